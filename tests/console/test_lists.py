"""Lists by keys: filter, sort, columns, marks, follow, totals, copy, export, screenshot."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from textual import events

from aster_tui.console.app import TICK_SECONDS
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.take import record, row_text, write_csv
from aster_tui.console.widgets.field import Field
from aster_tui.domain.commands import SyncAgents
from tests.console.driving import SMALL, console, line, overlay, pane, shown, until
from tests.console.scripted import Scripted, agent, error, fleet, order, position


def quiet(**changes: object) -> Scripted:
    return Scripted(fleet(errors=0, **changes))  # type: ignore[arg-type]


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


async def test_slash_filters_at_each_letter_says_what_it_hides_and_escape_clears() -> None:
    port = quiet()
    async with console(port) as (app, pilot):
        await pilot.press("2", "slash")
        assert isinstance(app.focused, Field)
        for typed, count in (("b", 4), ("t", 4), ("c", 4)):
            await pilot.press(typed)
            assert len(pane(app, "positions").rows) == count
        assert pane(app, "positions").border_title == "Positions 11 · +0.00 USDT · /btc hides 7".replace(
            "+", ""
        )
        assert "BTCUSDT" in shown(app, "positions")
        assert "ETHUSDT" not in shown(app, "positions")
        await pilot.press("enter", "j", "j")
        assert app.focused is pane(app, "positions")
        assert pane(app, "positions").cursor_key == "p6"
        port.show(positions=(*port.snapshot().positions, position(12), position(13)))
        await until(pilot, lambda: len(pane(app, "positions").rows) == 5)  # 12 is BTCUSDT, 13 is not
        await pilot.press("escape")
        assert len(pane(app, "positions").rows) == 13
        assert "hides" not in str(pane(app, "positions").border_title)


async def test_an_inverse_filter_and_one_by_field() -> None:
    async with console(quiet()) as (app, pilot):
        await pilot.press("3", "slash", *"!status:new", "enter")
        assert {row.cells[6] for row in pane(app, "orders").rows} == {"FILLED", "REJECTED", "CANCELED"}
        await pilot.press("slash", *["backspace"] * 11, *"agent:neural side:buy", "enter")
        rows = pane(app, "orders").rows
        assert {(row.cells[1], row.cells[2]) for row in rows} == {("NeuralStream", "BUY")}
        # Another pane is not filtered by it.
        assert len(pane(app, "agents").rows) == 8


async def test_escape_in_the_line_takes_the_filter_away_and_arrows_keep_it() -> None:
    async with console(quiet()) as (app, pilot):
        await pilot.press("slash", *"data", "escape")
        assert len(pane(app, "agents").rows) == 8
        assert app.focused is pane(app, "agents")
        await pilot.press("slash", *"data", "down")
        assert [row.key for row in pane(app, "agents").rows] == ["a3"]
        await pilot.press("slash", "x")  # goes on where it was
        assert pane(app, "agents").state.filter.text == "datax"
        assert pane(app, "agents").rows == ()


async def test_keys_typed_into_the_filter_do_nothing_else() -> None:
    port = quiet()
    async with console(port) as (app, pilot):
        await pilot.press("slash", *"sSqA1?", "left", "right", "ctrl+s", "ctrl+p")
        assert app.frame.filter_line.value == "sSqA1?"
        assert port.commands == []
        assert app.is_running
        await pilot.press("escape")
        assert app.focused is pane(app, "agents")


async def test_a_novel_that_is_pasted_is_cut_and_that_is_said() -> None:
    async with console(quiet()) as (app, pilot):
        await pilot.press("slash")
        app.frame.filter_line.post_message(events.Paste("It was a dark and stormy night.\n" * 1000))
        await until(pilot, lambda: app.frame.filter_line.value)
        assert len(app.frame.filter_line.value) == 200
        assert "\n" not in app.frame.filter_line.value
        await pilot.press("enter")
        await until(pilot, lambda: "31999 characters were pasted: cut to 200" in line(app, "footer"))


async def test_any_column_sorts_reverses_and_says_so() -> None:
    port = quiet()
    async with console(port) as (app, pilot):
        widget = pane(app, "agents")
        await pilot.press(">")
        assert widget.state.sort == "agent"
        assert widget.rows[0].cells[0] == "DataSage"
        assert "agent▲" in widget.render_line(0).text
        await pilot.press("I")
        assert widget.rows[0].cells[0] == "VoltCrane"
        assert "agent▼" in widget.render_line(0).text
        await pilot.press(">", ">")
        assert widget.state.sort == "balance"
        assert [r.key for r in widget.rows] == [f"a{n}" for n in reversed(range(8))]
        assert "by balance ▼" in str(widget.border_subtitle)
        # It stays sorted while figures move, and the cursor stays with its agent.
        await pilot.press("home")
        assert widget.cursor_key == "a7"
        richer = (*port.snapshot().agents[:-1], agent(7, balance=Decimal(1)))
        port.show(agents=richer)
        await until(pilot, lambda: widget.rows[-1].key == "a7")
        assert widget.cursor_key == "a7"
        await pilot.press("<", "<", "<")
        assert widget.state.sort is None
        assert [r.key for r in widget.rows] == [f"a{n}" for n in range(8)]


async def test_every_column_of_every_pane_sorts_whatever_is_unknown() -> None:
    port = Scripted(fleet(errors=3))
    holes = replace(port.snapshot().positions[0], mark_price=None, unrealized_pnl=None, stop_loss=None)
    port.show(positions=(holes, *port.snapshot().positions[1:]))
    async with console(port) as (app, pilot):
        for name in ("agents", "positions", "orders", "errors"):
            app.activate(name)
            widget = pane(app, name)
            before = len(widget.rows)
            seen = set()
            for _ in range(len(widget.SORTS) + 1):
                await pilot.press(">")
                seen.add(widget.state.sort)
                for _ in range(2):
                    await pilot.press("I")
                    assert len(widget.rows) == before
            assert seen == {None, *widget.SORTS}
            assert set(widget.SORTS) == {c.title for c in widget.COLUMNS}


async def test_columns_are_chosen_and_ordered_in_a_dialog_and_the_pane_follows() -> None:
    async with console(quiet()) as (app, pilot):
        widget = pane(app, "positions")
        await pilot.press("2", "C")
        assert "[x] agent" in app.screen.text  # type: ignore[attr-defined]
        await pilot.press("space", "j", "J")  # agent away, symbol one down
        assert widget.state.columns[:3] == ("side", "symbol", "size")
        titles = widget.render_line(0).text.split()
        assert titles[:2] == ["side", "symbol"]
        assert "agent" not in titles
        await pilot.press("d", "escape")
        assert widget.state.columns == ()
        assert widget.render_line(0).text.split()[0] == "agent"
        # One column always stays.
        await pilot.press("C", *["space", "j"] * len(widget.COLUMNS), "escape")
        assert len(widget.columns) == 1


async def test_marks_survive_updates_filters_and_sorting_and_go_with_their_rows() -> None:
    port = quiet()
    async with console(port) as (app, pilot):
        await pilot.press("space", "space")
        assert app.selected_rows() == ("a0", "a1")
        assert [a.name for a in app.selected_agents()] == ["NeuralSniper", "QuantumVortex"]
        assert shown(app, "agents").count("✓") == 2
        port.show(agents=tuple(replace(a, balance=a.balance + 1) for a in port.snapshot().agents))
        await until(pilot, lambda: "1,001.00" in shown(app, "agents"))
        assert app.selected_rows() == ("a0", "a1")
        await pilot.press("slash", *"quantum", "enter")
        assert app.selected_rows() == ("a0", "a1")
        assert app.hidden_marks() == 1
        assert "2 marked, 1 of them hidden" in str(pane(app, "agents").border_subtitle)
        await pilot.press("escape", "s")
        assert port.asked == [SyncAgents(("a0", "a1"))]
        port.show(agents=port.snapshot().agents[1:])
        await until(pilot, lambda: app.selected_rows() == ("a1",))
        await pilot.press("escape")  # no filter left: the marks
        assert app.pane.marks == {}
        assert len(app.selected_rows()) == 1  # without marks the cursor's row


async def test_all_that_is_shown_is_marked_and_unmarked() -> None:
    async with console(quiet()) as (app, pilot):
        await pilot.press("slash", *"mode:paper", "enter")
        await pilot.press("slash", *["backspace"] * 10, *"paper", "enter", "A")
        assert app.selected_rows() == ("a3", "a4", "a5", "a6", "a7")
        await pilot.press("escape", "A")
        assert len(app.selected_rows()) == 8
        await pilot.press("A")
        assert app.pane.marks == {}


async def test_marks_that_are_all_of_paper_agents_sync_nothing_and_say_so() -> None:
    port = quiet()
    async with console(port) as (app, pilot):
        await pilot.press("end", "space", "up", "space", "s")
        assert port.commands == []
        assert "none of the marked rows" in line(app, "footer")


async def test_a_log_follows_until_the_cursor_moves_and_then_stands_still() -> None:
    port = quiet(orders=200)
    async with console(port) as (app, pilot):
        widget = pane(app, "orders")
        await pilot.press("3")
        assert "follows" in str(widget.border_subtitle)

        def newest(number: int) -> None:
            port.show(orders=(order(number), *port.snapshot().orders))

        newest(300)
        await until(pilot, lambda: widget.rows[0].key == "o300")
        assert widget.cursor_key == "o300"
        await pilot.press(*["pagedown"] * 3)
        here, text = widget.cursor_key, shown(app, "orders").splitlines()[2:]
        for number in range(301, 306):
            newest(number)
        await until(pilot, lambda: widget.rows[0].key == "o305")
        assert widget.cursor_key == here
        assert "stands still" in str(widget.border_subtitle)
        await until(pilot, lambda: shown(app, "orders").splitlines()[2:] == text)
        await pilot.press("f")
        assert widget.cursor_key == "o305"
        newest(400)
        await until(pilot, lambda: widget.cursor_key == "o400")
        await pilot.press("f")  # stands still on the newest as well
        newest(401)
        await until(pilot, lambda: widget.rows[0].key == "o401")
        assert widget.cursor_key == "o400"
        await pilot.press("home")
        assert "follows" in str(widget.border_subtitle) or widget.following


async def test_totals_keep_real_and_paper_apart_and_sum_what_is_shown() -> None:
    port = quiet()
    async with console(port, (160, 40)) as (app, pilot):
        last = shown(app, "agents").splitlines()[-2:]
        assert "Σ 3 real" in last[0]
        assert "3,051.93" in last[0]
        assert "Σ 5 paper" in last[1]
        assert "5,432.75" in last[1]
        await pilot.press("slash", *"quantum", "enter")
        last = shown(app, "agents").splitlines()[-1]
        assert "Σ 1 real" in last
        assert "1,017.31" in last
        port.show(positions=(position(0, unrealized_pnl=None), position(1, unrealized_pnl=Decimal("2.5"))))
        await until(pilot, lambda: "Σ 2 real" in shown(app, "positions"))
        # What is known is not all of it: it stands there as such, in the title too.
        assert "+2.50?" in shown(app, "positions").splitlines()[-1]
        assert "Positions 2 · +2.50? USDT" in str(pane(app, "positions").border_title)
        port.show(positions=(position(0, unrealized_pnl=None, notional=None),))
        await until(pilot, lambda: "Σ 1 real" in shown(app, "positions"))
        assert "0.00" not in shown(app, "positions").splitlines()[-1]
        port.show(positions=(position(0, unrealized_pnl=Decimal(-1)), position(1, unrealized_pnl=Decimal(3))))
        await until(pilot, lambda: "+2.00" in shown(app, "positions").splitlines()[-1])
        assert "?" not in shown(app, "positions").splitlines()[-1]


async def test_the_last_row_is_not_under_the_totals() -> None:
    async with console(quiet(agents=8, positions=100), SMALL) as (app, pilot):
        await pilot.press("2", "end")
        await pilot.pause(TICK_SECONDS)
        lines = shown(app, "positions").splitlines()
        assert "»" in lines[-3] or "▸" in lines[-3]
        assert "Σ" in lines[-1]


async def test_a_row_and_a_field_are_copied_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    async with console(quiet()) as (app, pilot):
        monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
        await pilot.press("3", "y")
        assert "key: o39" in copied[-1]
        assert "quantity: 0.010" in copied[-1]
        assert "at: 2026-" in copied[-1]
        await pilot.press("Y")
        assert "client" not in app.screen.text  # type: ignore[attr-defined]
        await pilot.press("j", "j", "enter")
        assert copied[-1] == "PhantomLens"
        assert "copied agent" in line(app, "footer")


async def test_export_writes_what_is_shown_and_never_over_a_file(tmp_path: Path) -> None:
    options = ConsoleOptions(state_folder=tmp_path)
    async with console(quiet(), options=options) as (app, pilot):
        await pilot.press("2", "slash", *"btc", "enter", "E")
        asked = app.screen.query_one("#path", Field)
        assert asked.value.startswith(str(tmp_path / "exports" / "positions-"))
        first = Path(asked.value)
        await pilot.press("enter")
        await until(pilot, lambda: "4 rows are in" in line(app, "footer"))
        rows = rows_of(first)
        assert [row["symbol"] for row in rows] == ["BTCUSDT"] * 4
        assert rows[0]["entry_price"] == "64012.4"
        assert os.stat(first).st_mode & 0o077 == 0
        await pilot.press("E", "enter")
        await until(pilot, lambda: "it exists already" in str(app.screen.query_one("#text").render()))  # type: ignore[attr-defined]
        await pilot.press("escape", "escape", "space", "E")
        assert "1 marked positions" in str(app.screen.query_one("#text").render())  # type: ignore[attr-defined]
        app.screen.query_one("#path", Field).value = "/proc/nowhere/x.csv"
        await pilot.press("enter")
        await until(pilot, lambda: "not written" in str(app.screen.query_one("#text").render()))  # type: ignore[attr-defined]


def test_csv_is_exact_and_starts_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    views = [agent(0, name="=1+1", pnl_absolute=Decimal("-12345.678901234567890123"))]
    assert write_csv(path, views) == 1
    (row,) = csv.DictReader(path.open())
    assert row["name"] == "'=1+1"
    assert row["pnl_absolute"] == "-12345.678901234567890123"
    assert row["sync_at"] == "2026-09-21T14:13:18.000+00:00"
    assert write_csv(tmp_path / "empty.csv", []) == 0


def test_every_kind_of_row_has_a_record() -> None:
    for view in (agent(0), position(0), order(0), error(0)):
        found = record(view)
        assert found["key"] == view.key
        assert "\x1b" not in row_text(replace(view, key="\x1b[31m\nx"))


async def test_a_screenshot_is_kept_and_said(tmp_path: Path) -> None:
    async with console(quiet(), options=ConsoleOptions(state_folder=tmp_path)) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "screenshot is in" in line(app, "footer"))
        (path,) = (tmp_path / "screenshots").iterdir()
        assert "NeuralSniper" in path.read_text()
        assert "@font-face" not in path.read_text()


async def test_without_a_state_folder_export_says_why_not() -> None:
    async with console(quiet()) as (app, pilot):
        await pilot.press("E")
        assert overlay(app) == ""
        assert "no state folder" in line(app, "footer")


async def test_choosing_costs_no_more_painting_than_what_changed() -> None:
    port = quiet(positions=60)
    async with console(port) as (app, pilot):
        widget = pane(app, "positions")
        await pilot.press("2", "slash", *"btc", "enter")
        await pilot.pause(TICK_SECONDS * 2)
        before = widget.painted
        changed = list(port.snapshot().positions)
        changed[1] = replace(changed[1], unrealized_pnl=Decimal("55.55"))  # hidden by the filter
        changed[3] = replace(changed[3], unrealized_pnl=Decimal("66.66"))
        port.show(positions=tuple(changed))
        await until(pilot, lambda: "+66.66" in shown(app, "positions"))
        assert widget.painted - before == 1


async def test_the_lines_of_a_picker_stay_one_line_each_at_every_size() -> None:
    port = quiet()
    port.show(positions=(position(0, agent="long name " * 30),))
    async with console(port, SMALL) as (app, pilot):
        for keys in (("2", "Y"), ("T",), ("C",)):
            await pilot.press(*keys)
            await pilot.pause()
            count = app.screen.text.count("\n") + 1  # type: ignore[attr-defined]
            assert app.screen.query_one("#text").size.height == count
            await pilot.press("end")
            await pilot.pause()
            frame = app.screen.query_one("#frame")
            assert count <= frame.size.height or frame.scroll_offset.y > 0
            await pilot.press("escape")

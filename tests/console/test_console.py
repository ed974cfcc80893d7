"""The console by keys, on a made-up fleet: what it shows, what it asks of the engine, what it refuses."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from textual import events

from aster_tui.console.app import TICK_SECONDS, ConsoleApp
from aster_tui.console.details import Overlay
from aster_tui.console.layout import PANES
from aster_tui.console.registry import ACTIONS
from aster_tui.domain.commands import SyncAgents
from aster_tui.domain.views import SyncView
from tests import rig
from tests.console.driving import SMALL, WIDE, Clock, console, line, overlay, pane, shown, until
from tests.console.scripted import NOW, Scripted, agent, error, feeds, fleet, order, position


async def test_all_four_panes_show_the_fleet() -> None:
    async with console(Scripted()) as (app, _):
        assert "● REAL" in shown(app, "agents")
        assert "○ paper" in shown(app, "agents")
        assert "BTCUSDT" in shown(app, "positions")
        assert "REJECTED" in shown(app, "orders")
        assert "lower the size" in shown(app, "errors")
        header = line(app, "header")
        for word in (
            "PRACTICE",
            "exchange ● 12 ms",
            "streams ● 3/3",
            "mongo ● 0 s",
            "clock +4 ms",
            "weight 214/2400",
        ):
            assert word in header


async def test_numbers_are_aligned_on_their_point() -> None:
    async with console(Scripted(), size=(160, 40)) as (app, _):
        widget = pane(app, "positions")
        lines = [widget.render_line(y).text for y in range(1, 12)]
        title = widget.render_line(0).text
        end = title.index("entry") + len("entry")
        points = {text[: end + 1].rindex(".") for text in lines}
        assert len(points) == 1


@pytest.mark.parametrize("width", [60, 80, 120, 200])
async def test_hints_are_whole_or_not_there_and_the_way_to_help_stays(width: int) -> None:
    async with console(Scripted(fleet(errors=0)), (width, 40)) as (app, _):
        *hints, urgent = line(app, "footer").strip().split("ctrl+x")
        assert urgent == " CLOSE ALL"
        shown = "ctrl+x".join(hints).strip().split("   ")
        known = {f"{a.shown} {a.short or a.title}" for a in ACTIONS if a.hint}
        assert set(shown) <= known
        assert shown[-1] == "? help"


@pytest.mark.parametrize("width", [80, 120])
async def test_a_notice_takes_no_place_from_what_cannot_wait(width: int) -> None:
    async with console(Scripted(), (width, 40)) as (app, pilot):
        app.say("VoltCrane: long DOGE was refused: balance age: the balance is 14 s old, more than 10 s " * 2)
        assert "VoltCrane" in line(app, "footer")
        assert line(app, "footer").endswith("ctrl+x CLOSE ALL")
        await pilot.pause()


@pytest.mark.parametrize("width", [80, 120, 200])
async def test_no_number_is_cut_where_only_its_padding_has_no_room(width: int) -> None:
    dear = position(0, entry_price=Decimal("97302.2"), mark_price=Decimal("104297.5"))
    cheap = position(2, mark_price=Decimal("0.0182312"), entry_price=Decimal("0.0182312"), price_places=7)
    rich = agent(0, balance=Decimal("1000000.25"), pnl_percent=Decimal("-1020.45"))
    async with console(Scripted(fleet(positions=0)), (width, 40)) as (app, pilot):
        app._engine.show(positions=(dear, cheap), agents=(rich,))  # type: ignore[attr-defined]
        await pilot.press("2")
        await until(pilot, lambda: "104,297.5" in shown(app, "positions"))
        text = shown(app, "positions")
        assert "0.0182312" in text
        assert "…" not in text
        await pilot.press("1")
        await until(pilot, lambda: "1000000" in shown(app, "agents"))
        text = shown(app, "agents")
        assert "1,000,00" not in text
        assert "−1020 %" in text


async def test_a_balance_that_nobody_said_is_not_shown_as_none() -> None:
    nothing = {"balance": Decimal(0), "pnl_absolute": Decimal(0), "pnl_percent": Decimal(0), "stale": True}
    port = Scripted(fleet(positions=0))
    async with console(port) as (app, pilot):
        port.show(agents=(agent(0, **nothing), agent(1)))
        await until(pilot, lambda: "–" in shown(app, "agents"))
        one, total = (
            next(text for text in shown(app, "agents").splitlines() if word in text)
            for word in ("NeuralSniper", "2 real")
        )
        assert "0.00" not in one
        assert "1,017.31?" in total, "a part of the sum is not known"
        port.show(agents=(agent(0, **nothing),))
        await until(pilot, lambda: "1 real" in shown(app, "agents"))
        assert "0.00" not in shown(app, "agents")
        port.show(agents=(agent(0, **nothing, wallet_at=NOW),))
        await until(pilot, lambda: "0.00" in shown(app, "agents"))


@pytest.mark.parametrize("network", ["MAINNET", "TESTNET", "PRACTICE"])
async def test_network_and_watch_mode_are_always_in_the_header(network: str) -> None:
    for size in (WIDE, SMALL):
        async with console(Scripted(fleet(network=network, read_only=True)), size) as (app, _):
            assert network in line(app, "header")
            assert "WATCH" in line(app, "header")


async def test_the_narrow_header_still_has_clock_and_weight() -> None:
    async with console(Scripted(), SMALL) as (app, _):
        header = line(app, "header")
        assert "w 214" in header
        assert "+4ms" in header


async def test_a_stale_feed_says_so_with_its_age() -> None:
    clock = Clock()
    async with console(Scripted(fleet(feeds=feeds(marks="stale", mongo="down"))), clock=clock) as (
        app,
        pilot,
    ):
        clock.now += 7_000
        await until(pilot, lambda: "STALE 7s" in line(app, "header").replace(" s", "s"))
        assert "mongo ○ down" in line(app, "header")


async def test_tab_arrows_and_digits_walk_the_panes() -> None:
    async with console(Scripted()) as (app, pilot):
        seen = []
        for key in ("tab", "right", "tab", "tab", "tab", "tab", "shift+tab", "left", "4", "1", "3"):
            await pilot.press(key)
            seen.append(app.focused.id if app.focused else None)
        assert seen == [*PANES[1:], PANES[0], PANES[5], PANES[4], PANES[3], PANES[0], PANES[2]]


async def test_s_syncs_the_selected_agent_and_shift_s_all() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press("j", "s")
        await pilot.press("S")
        assert port.asked == [SyncAgents(("a1",)), SyncAgents()]
        await pilot.press("2", "s")
        assert port.asked[-1] == SyncAgents(("a0",))
        assert "syncing NeuralSniper" in line(app, "footer")


async def test_a_paper_agent_is_not_synced_and_the_footer_says_why() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press("end", "s")
        assert port.commands == []
        assert "PhantomLens trades on paper" in line(app, "footer")


async def test_the_whole_registry_changes_nothing_in_read_only_mode() -> None:
    port = Scripted(fleet(read_only=True, errors=0))
    async with console(port) as (app, pilot):
        for action in ACTIONS:
            if action.id == "quit":
                continue
            for name in action.panes or PANES[:1]:
                app.activate(name)
                app.do(action.id)
                if action.danger != "none":
                    assert "read-only" in line(app, "footer"), action.id
                await pilot.pause()
                while app.covered:
                    app.pop_screen()
                await pilot.press("escape")
            assert port.commands == [], action.id


async def test_every_action_that_is_not_none_names_what_it_needs() -> None:
    assert all(action.needs for action in ACTIONS if action.danger != "none")


async def test_enter_shows_all_there_is_to_know_and_follows() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press("enter")
        assert "momentum" in overlay(app)
        drifted = agent(0, sync=SyncView("drift", NOW, ("BTCUSDT: size 1 in MongoDB, 2 at the exchange",)))
        port.show(agents=(drifted, *port.snapshot().agents[1:]))
        await until(pilot, lambda: "size 1 in MongoDB" in overlay(app))
        port.show(agents=port.snapshot().agents[1:])
        await until(pilot, lambda: "It is gone" in overlay(app))
        await pilot.press("escape")
        assert overlay(app) == ""


@pytest.mark.parametrize(("key", "word"), [("2", "liquidation"), ("3", "client id"), ("4", "what to do")])
async def test_every_pane_has_details(key: str, word: str) -> None:
    async with console(Scripted()) as (app, pilot):
        await pilot.press(key, "down", "enter")
        assert word in overlay(app)


async def test_help_begins_with_the_focused_pane_and_says_why_not() -> None:
    async with console(Scripted(fleet(read_only=True))) as (app, pilot):
        await pilot.press("question_mark")
        text = overlay(app)
        assert text.index("agents") < text.index("everywhere")
        assert "read-only: this process can change nothing" in text
        for action in ACTIONS:
            assert (action.title in text) == (not action.panes or "agents" in action.panes)
        await pilot.press("question_mark")
        assert overlay(app) == ""


async def test_a_long_text_of_an_overlay_stays_in_its_column_at_every_size() -> None:
    port = Scripted(fleet(errors=0))
    port.show(errors=(error(0, message="many words " * 30),))
    async with console(port) as (app, pilot):
        await pilot.press("4", "enter")
        for size in (WIDE, SMALL, WIDE):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda size=size: app.screen.size == size)
            await pilot.pause(TICK_SECONDS)
            lines = overlay(app).splitlines()
            column = lines[0].index("many")
            assert all(text[:column].strip() == "" for text in lines[1:4])
            assert max(map(len, lines)) <= app.screen.query_one("#text").size.width


async def test_ctrl_c_says_in_the_footer_what_quits() -> None:
    async with console(Scripted()) as (app, pilot):
        await pilot.press("ctrl+c")
        assert "q quits" in line(app, "footer")
        assert app.is_running


async def test_under_an_overlay_the_consoles_keys_are_silent() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press("question_mark", "s", "S", "tab", "3")
        assert port.commands == []
        assert isinstance(app.screen, Overlay)
        await pilot.press("q")  # closes the overlay, not the console
        assert not isinstance(app.screen, Overlay)
        assert app.is_running


async def test_unknown_keys_and_a_held_key_do_no_harm() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press("f7", "ctrl+k", "%", "ü", "escape", "~", "insert")
        await pilot.press(*["down"] * 60)
        row = pane(app, "agents").cursor_row
        assert row is not None
        assert row.key == "a7"
        assert port.commands == []


async def test_80_by_24_shows_one_pane_under_tabs() -> None:
    port = Scripted()
    async with console(port, SMALL) as (app, pilot):
        for number, name in enumerate(PANES, start=1):
            await pilot.press(str(number))
            await pilot.pause(TICK_SECONDS * 1.5)
            visible = [p for p in PANES if pane(app, p).region.area and pane(app, p).display]
            assert [p for p in visible if pane(app, p).parent and pane(app, p).parent.display] == [name]  # type: ignore[union-attr]
            assert pane(app, name).size.width == 78
            assert pane(app, name).rows
        assert "1 agents 8" in line(app, "tabs")
        shown_there = len(pane(app, "commands").views(port.snapshot()))
        assert f"5 log {shown_there} " in line(app, "tabs")


async def test_a_click_on_a_tab_goes_to_its_pane_and_under_a_dialog_nowhere() -> None:
    async with console(Scripted(), SMALL) as (app, pilot):
        for name, word in (("orders", "orders"), ("operators", "who"), ("agents", "agents")):
            await pilot.click("#tabs", offset=(line(app, "tabs").index(word), 0))
            await until(pilot, lambda name=name: app.pane.id == name)
        await pilot.press("question_mark")
        await pilot.click(offset=(line(app, "tabs").index("orders"), 1))
        await pilot.pause()
        assert app.pane.id == "agents"


async def test_a_hidden_pane_does_not_paint_and_is_right_when_it_is_shown() -> None:
    port = Scripted()
    async with console(port, SMALL) as (app, pilot):
        before = pane(app, "positions").painted
        port.show(positions=(position(0, unrealized_pnl=Decimal("77.77")),))
        await pilot.pause(TICK_SECONDS * 3)
        assert pane(app, "positions").painted == before
        await pilot.press("2")
        await until(pilot, lambda: "+77.77" in shown(app, "positions"))


async def test_too_small_says_so_and_recovers_also_under_an_overlay() -> None:
    async with console(Scripted()) as (app, pilot):
        await pilot.press("question_mark")
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: "60×16 is needed" in line(app, "small"))
        await pilot.resize_terminal(*WIDE)
        await pilot.press("escape")
        await until(pilot, lambda: "● REAL" in shown(app, "agents"))


async def test_only_changed_rows_are_painted() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        grid = pane(app, "positions")
        before = grid.painted
        changed = list(port.snapshot().positions)
        changed[3] = replace(changed[3], unrealized_pnl=Decimal("55.55"))
        port.show(positions=tuple(changed))
        await until(pilot, lambda: "+55.55" in shown(app, "positions"))
        assert grid.painted - before == 1


async def test_the_cursor_stays_on_its_row_when_rows_move() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press("2", "down", "down")
        assert pane(app, "positions").cursor_row.key == "p2"  # type: ignore[union-attr]
        port.show(positions=(position(50), *port.snapshot().positions))
        await until(pilot, lambda: len(pane(app, "positions").rows) == 12)
        assert pane(app, "positions").cursor_row.key == "p2"  # type: ignore[union-attr]
        port.show(positions=tuple(p for p in port.snapshot().positions if p.key != "p2"))
        await until(pilot, lambda: len(pane(app, "positions").rows) == 11)
        assert pane(app, "positions").cursor_row is not None


async def test_a_cursor_on_the_first_row_stays_with_its_agent_but_with_the_newest_of_a_log() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        earlier = port.snapshot()
        port.show(agents=(agent(9, name="Newcomer"), *earlier.agents), orders=(order(99), *earlier.orders))
        await until(pilot, lambda: len(pane(app, "agents").rows) == 9)
        assert pane(app, "agents").cursor_row.key == "a0"  # type: ignore[union-attr]
        assert pane(app, "orders").cursor_row.key == "o99"  # type: ignore[union-attr]
        await pilot.press("s")
        assert port.asked == [SyncAgents(("a0",))]


async def test_a_long_log_scrolls_with_the_cursor() -> None:
    async with console(Scripted(fleet(orders=300))) as (app, pilot):
        await pilot.press("3", "end")
        await pilot.pause(0.1)
        assert pane(app, "orders").cursor_row.key == "o0"  # type: ignore[union-attr]
        assert "▸" in shown(app, "orders")
        await pilot.press("home")
        await pilot.pause(0.1)
        assert "▸" in shown(app, "orders").splitlines()[1]


async def test_foreign_text_of_any_kind_stays_in_its_row() -> None:
    escape = "\x1b]0;title\x07"
    odd = agent(0, name="N\nx\x1b[31m" + "很长的名字" * 9, strategy="\t\r\u202e")
    port = Scripted(fleet(agents=0, positions=0, orders=0, errors=0))
    async with console(port) as (app, pilot):
        assert "No open positions" in shown(app, "positions")
        port.show(
            agents=(odd,),
            positions=(position(0, symbol=escape),),
            orders=(order(0, symbol=escape, order_type=escape, status=escape),),
            errors=(error(0, message="line\nbreak " * 200, agent="🚀" * 30, code=escape),),
        )
        await until(pilot, lambda: "…" in shown(app, "agents"))
        widget = pane(app, "agents")
        assert all(widget.render_line(y).cell_length == widget.size.width for y in range(widget.size.height))
        for name in PANES:
            assert "\x1b" not in shown(app, name)
            await pilot.press(str(PANES.index(name) + 1), "enter")
            assert overlay(app)
            assert "\x1b" not in overlay(app)
            await pilot.press("escape")
        await pilot.press("1", "s")
        assert "\x1b" not in line(app, "footer")


async def test_snapshots_from_another_thread_are_looked_at_once_per_tick() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        grid = pane(app, "orders")
        before = grid.painted

        def flood() -> None:
            for number in range(500):
                port.show(orders=(order(100 + number),))

        thread = threading.Thread(target=flood)
        thread.start()
        thread.join()
        await until(pilot, lambda: grid.rows and grid.rows[0].key == "o599")
        assert grid.painted - before < 100


async def test_an_engine_that_ended_is_said_and_the_last_picture_stays() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        port.failure = "the engine stopped: out of luck"
        await until(pilot, lambda: "out of luck" in line(app, "footer"))
        assert "● REAL" in shown(app, "agents")


async def test_no_color_still_says_everything_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console(Scripted()) as (app, _):
        assert "● REAL" in shown(app, "agents")
        assert "+" in shown(app, "positions")
        assert "−" in shown(app, "positions")


async def test_the_console_paints_its_own_picture() -> None:
    from aster_tui.console.picture import picture

    drawn = await picture(fleet())
    assert drawn.lstrip().startswith("<svg")
    assert "NeuralSniper" in drawn


async def test_an_action_never_comes_before_the_cursor_that_was_moved_for_it() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        driver = app._driver
        assert driver is not None
        for key in ("j", "s", "k", "S", "j", "j", "s"):  # all at once, as over a slow line
            event = events.Key(key, key)
            event.set_sender(app)
            driver.send_message(event)
        await until(pilot, lambda: len(port.asked) == 3)
        assert port.asked == [SyncAgents(("a1",)), SyncAgents(), SyncAgents(("a2",))]


async def test_told_to_leave_before_all_of_the_screen_stands_it_leaves_in_order() -> None:
    class Leaving(Scripted):
        def start(self) -> None:
            super().start()
            app.exit(return_code=129)

    port = Leaving()
    app = ConsoleApp(port)
    async with app.run_test():
        await rig.until(lambda: port.started and not app.is_running, "it left")
    assert app.return_code == 129
    assert app._exception is None

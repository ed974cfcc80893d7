"""Themes, the look of real money, NO_COLOR, what is remembered, the first start, running requests."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from aster_tui.console import remembered
from aster_tui.console.app import ConsoleApp
from aster_tui.console.listing import parse_filter
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.pane import PaneState
from aster_tui.console.remembered import memory_file, recall, remember, written
from aster_tui.console.status_line import progress
from aster_tui.console.theme import ON_DANGER, PALETTES, styles_of, styles_on_danger
from aster_tui.console.widgets.line import Line
from aster_tui.domain.commands import CancelRequest
from aster_tui.domain.views import RequestView
from tests.console.driving import SMALL, WIDE, console, line, overlay, pane, shown, until
from tests.console.scripted import NOW, Scripted, error, fleet, trading

# Colours


def _linear(colour: str) -> tuple[float, float, float]:
    def part(start: int) -> float:
        value = int(colour[start : start + 2], 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    return part(1), part(3), part(5)


def _contrast(one: str, two: str) -> float:
    """The contrast ratio of WCAG 2."""

    def light(colour: str) -> float:
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), _linear(colour), strict=True))

    low, high = sorted((light(one), light(two)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", PALETTES)
def test_every_text_can_be_read_on_every_ground(name: str) -> None:
    colours = PALETTES[name]
    least = 7.0 if name == "high-contrast" else 3.8
    texts = (
        *("text", "strong", "dim", "real", "paper", "profit", "loss"),
        *("buy", "sell", "warn", "alarm", "focus"),
    )
    for text, ground in itertools.product(texts, ("ground", "panel")):
        assert _contrast(colours[text], colours[ground]) >= least, (text, ground)
    for text, ground in itertools.product(("text", "strong", "profit", "loss"), ("cursor", "rest", "marked")):
        assert _contrast(colours[text], colours[ground]) >= 3.0, (text, ground)


@pytest.mark.parametrize("name", PALETTES)
def test_on_the_ground_of_danger_every_text_can_be_read(name: str) -> None:
    """Header and footer of an armed session on MAINNET: CLOSE ALL above all."""
    styles, danger = styles_on_danger(name), PALETTES[name]["danger"]
    used = {"strong", "dim", "ok", "warn", "alarm", "key", "notice", "armed", "closing", "watch", "MAINNET"}
    for style in used:
        words = styles[style].removeprefix("bold ").split(" on ")
        assert _contrast(words[0], words[1] if len(words) > 1 else danger) >= 4.5, style


async def test_the_armed_mainnet_has_its_own_colours_in_every_theme() -> None:
    port = Scripted(trading(network="MAINNET"))
    async with console(port) as (app, pilot):
        footer = app.query_one("#footer", Line)
        for name in PALETTES:
            app.comfort.choose_theme(name)
            await pilot.press("j", "a")
            assert str(footer._text.spans[-1].style) == ON_DANGER["alarm"]
            await pilot.press("k", "a")
            assert str(footer._text.spans[-1].style) == app.looks["alarm"]


#: What the three kinds of colour-blindness see of linear RGB (Viénot, Brettel and Mollon, 1999; for blue
#: the plane of Brettel, Viénot and Mollon, 1997).
_SEEN: Mapping[str, tuple[tuple[float, float, float], ...]] = {
    "protan": ((0.1124, 0.8876, 0.0), (0.1124, 0.8876, 0.0), (0.0040, -0.0040, 1.0)),
    "deutan": ((0.2927, 0.7073, 0.0), (0.2927, 0.7073, 0.0), (-0.0223, 0.0223, 1.0)),
    "tritan": ((1.0, 0.1446, -0.1446), (0.0, 0.8592, 0.1408), (0.0, 0.8592, 0.1408)),
}


def _lab(linear: tuple[float, ...]) -> tuple[float, float, float]:
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    x, y, z = (
        (max(0.0, sum(a * b for a, b in zip(row, linear, strict=True))) / w) ** (1 / 3)
        for row, w in zip(rows, white, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _apart(one: str, two: str, seen: tuple[tuple[float, float, float], ...]) -> float:
    labs = []
    for colour in (one, two):
        linear = _linear(colour)
        labs.append(_lab(tuple(sum(a * b for a, b in zip(row, linear, strict=True)) for row in seen)))
    return sum((a - b) ** 2 for a, b in zip(*labs, strict=True)) ** 0.5


@pytest.mark.parametrize("kind", _SEEN)
def test_colour_blind_eyes_tell_profit_from_loss(kind: str) -> None:
    colours = PALETTES["colour-blind"]
    for one, two in (("profit", "loss"), ("buy", "sell"), ("profit", "alarm")):
        assert _apart(colours[one], colours[two], _SEEN[kind]) > 25, (one, two)
    # It is what the usual green and red do not give to those who have it most often.
    usual = PALETTES["dark"]
    if kind != "tritan":
        assert _apart(usual["profit"], usual["loss"], _SEEN[kind]) < 25


def test_every_theme_has_every_colour_and_style() -> None:
    assert len({frozenset(colours) for colours in PALETTES.values()}) == 1
    assert len({frozenset(styles_of(name)) for name in PALETTES}) == 1


async def test_a_theme_is_chosen_and_everything_changes_with_it() -> None:
    async with console(Scripted()) as (app, pilot):
        before = app.screen_stack[0].styles.background
        await pilot.press("T", "j", "enter")
        await pilot.pause()
        assert app.comfort.theme == "light"
        assert app.screen_stack[0].styles.background != before
        strip = pane(app, "agents").render_line(1)
        assert any(PALETTES["light"]["real"] in str(s.style) for s in strip if s.style)
        await pilot.press("question_mark")
        assert overlay(app)


@pytest.mark.parametrize("name", PALETTES)
async def test_the_theme_to_begin_with_is_everywhere_from_the_first_frame(name: str) -> None:
    async with console(Scripted(), options=ConsoleOptions(theme=name)) as (app, pilot):
        ground = app.screen_stack[0].styles.background
        assert ground.hex.lower() == PALETTES[name]["ground"]
        strip = pane(app, "agents").render_line(1)
        assert any(PALETTES[name]["real"] in str(s.style) for s in strip if s.style)
        await pilot.press("question_mark")
        frame = app.screen.query_one("#frame")
        assert frame.styles.background.hex.lower() == PALETTES[name]["panel"]


# Real money


async def test_mainnet_with_an_armed_session_looks_like_nothing_else() -> None:
    port = Scripted(fleet(network="MAINNET"))
    async with console(port) as (app, pilot):
        frame = pane(app, "agents")
        quiet = frame.styles.border_top
        await pilot.press("a")
        await pilot.pause()
        assert frame.styles.border_top[0] == "heavy"
        assert "ARMED" in line(app, "header")
        assert "MAINNET" in line(app, "header")
        await pilot.press("tab", "a")
        await pilot.press("shift+tab")
        await pilot.pause()
        assert frame.styles.border_top == quiet
    port = Scripted(fleet(network="TESTNET"))
    async with console(port) as (app, pilot):
        await pilot.press("a")
        await pilot.pause()
        assert pane(app, "agents").styles.border_top[0] == "round"


# What is remembered


def _options(folder: Path, **more: Any) -> ConsoleOptions:
    return ConsoleOptions(state_folder=folder, profile="testnet", **more)


async def _leave(app: ConsoleApp, pilot: Pilot[None]) -> None:
    await pilot.press("q")
    app.comfort.end()


async def test_theme_filter_sort_columns_and_pane_are_there_again_at_the_next_start(tmp_path: Path) -> None:
    async with console(Scripted(), options=_options(tmp_path)) as (app, pilot):
        await pilot.press("2", "slash", *"btc", "enter", ">", ">", "I", "C", "space", "escape")
        await pilot.press("T", "G", "enter")
        await _leave(app, pilot)
    async with console(Scripted(), options=_options(tmp_path)) as (app, pilot):
        widget = pane(app, "positions")
        assert app.focused is widget
        assert widget.state.filter.text == "btc"
        assert "/btc hides 7" in str(widget.border_title)
        assert widget.state.sort == "symbol"
        assert widget.state.descending
        assert "agent" not in widget.state.columns
        assert app.comfort.theme == "high-contrast"
    # Another profile has its own.
    other = ConsoleOptions(state_folder=tmp_path, profile="mainnet", theme="light")
    async with console(Scripted(), options=other) as (app, _):
        assert pane(app, "positions").state == PaneState()
        assert app.comfort.theme == "light"


async def test_a_choice_is_written_while_the_console_runs(tmp_path: Path) -> None:
    path = memory_file(tmp_path, "testnet")
    async with console(Scripted(), options=_options(tmp_path)) as (_, pilot):
        assert not path.exists()
        await pilot.press("slash", *"nova", "enter")
        await until(pilot, path.exists)
        assert json.loads(path.read_text())["panes"]["agents"]["filter"] == "nova"
        assert os.stat(path).st_mode & 0o077 == 0
        assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 2}',
        '{"format": 1, "panes": [1]}',
        '{"format": 1, "panes": {"agents": 3}}',
        '{"format": 1, "panes": {"agents": {"columns": 5}}}',
        "[" * 50_000,
        "x" * 200_000,
        "\udcff",
    ],
)
async def test_a_broken_memory_is_left_out_with_a_word(tmp_path: Path, content: str) -> None:
    path = memory_file(tmp_path, "testnet")
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert "left out" in recall(path).word
    async with console(Scripted(fleet(errors=0)), options=_options(tmp_path)) as (app, _):
        assert "the remembered layout is left out" in line(app, "footer")
        assert "● REAL" in shown(app, "agents")


def test_odd_things_in_a_memory_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "m"
    document = {
        "format": 1,
        "theme": 7,
        "active": "nowhere",
        "panes": {
            "agents": {"filter": None, "sort": 3, "descending": "x", "columns": ["nothing", 5, "pnl"]},
            "martians": {},
        },
    }
    path.write_text(json.dumps(document))
    found = recall(path)
    assert (found.word, found.theme) == ("", "")
    assert found.panes["agents"] == PaneState(columns=("nothing", "", "pnl"))


async def test_what_is_remembered_of_columns_that_are_no_more_harms_nothing(tmp_path: Path) -> None:
    text = written("gone", "nowhere", {"agents": PaneState(sort="gone", columns=("gone",))})
    remember(memory_file(tmp_path, "testnet"), text)
    async with console(Scripted(), options=_options(tmp_path)) as (app, _):
        assert "● REAL" in shown(app, "agents")
        assert pane(app, "agents").state.sort is None
        assert app.comfort.theme == "dark"


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    state = PaneState(filter=parse_filter("!agent:x y"), sort="pnl", descending=False, columns=("pnl",))
    remember(path, written("light", "orders", {"agents": state}))
    assert recall(path).panes["agents"] == state

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remembered.Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        remember(path, "other")
    assert recall(path).active == "orders"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


async def test_a_state_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    async with console(Scripted(fleet(errors=0)), options=_options(nowhere)) as (app, pilot):
        await pilot.press("slash", *"nova", "enter")
        await until(pilot, lambda: "will not be remembered" in line(app, "footer"))
        assert len(pane(app, "agents").rows) == 1
        await _leave(app, pilot)


# The first start


async def test_where_nothing_is_configured_the_console_says_how_to_connect() -> None:
    port = Scripted(fleet(agents=0, positions=0, orders=0, errors=0))
    for size in (WIDE, SMALL):
        async with console(port, size, options=ConsoleOptions(connected=False)) as (app, pilot):
            for word in ("MONGODB_URI", "AGENT_NAME_PRIVATE_KEY", "aster-tui demo", "aster-tui paths"):
                assert word in overlay(app)
            await pilot.press("escape")
            assert overlay(app) == ""
            await pilot.press("colon", *"connect", "enter")
            await until(pilot, lambda app=app: "MONGODB_URI" in overlay(app))
        port.started = 0


# Requests


def running(number: int, **changes: Any) -> RequestView:
    view = RequestView(f"r{number}", "sync all real agents", "aster-tui sync", "running", NOW - 3_000)
    return replace(view, **changes)


async def test_running_requests_have_a_line_with_their_progress_and_can_be_stopped() -> None:
    port = Scripted(fleet(errors=0))
    async with console(port) as (app, pilot):
        assert not app.screen_stack[0].query_one("#requests").display
        await pilot.press("ctrl+k")
        assert "no request is running" in line(app, "footer")
        older = running(0, done=3, total=12, message="reading positions")
        close = running(1, title="close all", words="aster-tui close-all")
        port.show(requests=(close, older))
        await until(pilot, lambda: "3/12 reading positions 3 s" in line(app, "requests"))
        assert "close all" in line(app, "requests")
        assert app.screen_stack[0].query_one("#requests").display
        await pilot.press("j", "ctrl+k")
        assert port.commands == [CancelRequest("r0")]
        # A close-all is not stopped by a key that stops other things.
        port.show(requests=(close, replace(older, state="done")))
        await until(pilot, lambda: "3/12" not in line(app, "requests"))
        await pilot.press("j", "ctrl+k")
        assert len(port.commands) == 1
        port.show(requests=())
        await until(pilot, lambda: not app.screen_stack[0].query_one("#requests").display)


def test_a_bar_never_runs_over() -> None:
    for done, total in ((0, 0), (-1, 3), (1, 3), (3, 3), (9, 3)):
        bar = progress(done, total)
        assert len(bar.split(" ")[0]) == 10
    assert progress(4, 10) == "████······ 4/10"


# Sizes, and no colours

SIZES = [(80, 24), (120, 40), (200, 60)]


def picture(app: ConsoleApp) -> list[str]:
    """All lines of the screen."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    assert len(strips) == height
    lines = ["".join(segment.text for segment in strip) for strip in strips]
    assert {len(text) for text in lines} == {width}
    return lines


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("no_color", [False, True])
async def test_the_screen_as_text(
    size: tuple[int, int], no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    port = Scripted(fleet(errors=0))
    port.show(errors=tuple(error(n, at=NOW - 60_000) for n in range(2)))  # old news, which rings no bell
    expected = Path(__file__).parent / "pictures" / f"{size[0]}x{size[1]}.txt"
    async with console(port, size) as (app, pilot):
        await pilot.press("space", "2", ">", "1")
        await until(pilot, lambda: "follows" in "".join(picture(app)) or size == SMALL)
        app.refresh_lines()
        await pilot.pause(0.2)
        *lines, footer = (text.rstrip() for text in picture(app))
    monkeypatch.undo()
    time.tzset()
    assert "ctrl+x CLOSE ALL" in footer
    if os.environ.get("ASTER_TUI_DRAW"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text("\n".join(lines) + "\n")
    # Without colours every word and sign is where it is with them.
    assert "\n".join(lines) + "\n" == expected.read_text()


async def test_resized_while_a_dialog_is_open_nothing_is_lost() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        for key in ("C", "T", "question_mark", "Y", "o", "ctrl+x", "H", "M"):
            await pilot.press(key)
            screen = app.screen
            for size in (SMALL, (40, 10), (200, 60), WIDE):
                await pilot.resize_terminal(*size)
                await until(pilot, lambda size=size: app.screen.size == size)
                assert app.screen is screen
            await pilot.press("escape")
            await until(pilot, lambda: not app.covered)
        for name in ("agents", "positions", "orders", "errors"):
            assert pane(app, name).rows
        assert port.commands == []

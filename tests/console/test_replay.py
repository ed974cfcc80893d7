"""A recording in the console, by keys; and the moments people write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from textual.pilot import Pilot

from aster_tui.console.app import TICK_SECONDS, ConsoleApp
from aster_tui.console.layout import PANES
from aster_tui.console.moments import MomentError, parse_moment
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.registry import Registry
from aster_tui.domain.commands import Command
from aster_tui.engine.replaying import Replay
from tests.console.driving import SMALL, WIDE, line, overlay, pane, shown, until
from tests.tapes import SECONDS, T0, tape

END = T0 + SECONDS * 1000


class Watched(Replay):
    """Remembers what it was asked to do."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.commands: list[Command] = []

    def submit(self, command: Command) -> None:
        self.commands.append(command)


@asynccontextmanager
async def replayed(size: tuple[int, int] = WIDE) -> AsyncIterator[tuple[ConsoleApp, Pilot[None], Watched]]:
    replay = Watched(tape())
    replay.pause(True)
    app = ConsoleApp(replay, options=ConsoleOptions(replay=replay))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: replay.snapshot().agents)
        await pilot.pause(TICK_SECONDS * 1.5)
        yield app, pilot, replay
    replay.stop()


async def test_the_header_says_that_it_is_a_replay_when_it_is_and_how_far() -> None:
    for size in (WIDE, SMALL):
        async with replayed(size) as (app, pilot, replay):
            header = line(app, "header")
            assert "REPLAY ⏸ 1×" in header
            assert "0 %" in header
            await pilot.press("end")
            await until(pilot, lambda app=app: "100 %" in line(app, "header"))
            assert f"{datetime.fromtimestamp(END / 1000):%H:%M:%S}" in line(app, "header")
            await pilot.press("plus", "home", "space")
            await until(pilot, lambda app=app: "▶ 2×" in line(app, "header"))
            assert not replay.paused


async def test_seek_step_and_time_show_what_was_then() -> None:
    async with replayed() as (app, pilot, replay):
        await pilot.press(*["right"] * 6)
        await until(pilot, lambda: replay.at == T0 + 60_000)
        await until(pilot, lambda: "BTCUSDT" in shown(app, "positions"))
        await pilot.press("left")
        await until(pilot, lambda: "BTCUSDT" not in shown(app, "positions"))
        await pilot.press("g", *["backspace"] * 10, *"+1:30", "enter")
        await until(pilot, lambda: "out of luck" in shown(app, "errors"))
        assert replay.at == T0 + 90_000
        position = replay.position[0]
        await pilot.press("comma", "comma")
        await until(pilot, lambda: replay.position[0] == position - 2)
        await until(pilot, lambda: "out of luck" not in shown(app, "errors"))
        await pilot.press("full_stop")
        await until(pilot, lambda: replay.position[0] == position - 1)


async def test_a_time_that_is_none_is_said_in_the_dialog_and_goes_nowhere() -> None:
    async with replayed() as (app, pilot, replay):
        await pilot.press("g", *["backspace"] * 10, *"soon", "enter")
        assert "'soon' is no time" in str(app.screen.query_one("#text").render())  # type: ignore[attr-defined]
        await pilot.press(*["backspace"] * 10, *"+2h", "enter")
        assert "not in the recording" in str(app.screen.query_one("#text").render())  # type: ignore[attr-defined]
        await pilot.press("escape")
        assert replay.at == T0


async def test_the_whole_registry_and_every_key_change_nothing_in_a_recording() -> None:
    registry = Registry(replaying=True)
    async with replayed() as (app, pilot, replay):
        for action in registry.actions:
            if action.id == "quit":
                continue
            app.activate((action.panes or PANES)[0])
            app.do(action.id)
            if action.danger != "none":
                assert "this is a recording" in line(app, "footer"), action.id
                assert len(app.screen_stack) == 1
            await pilot.pause()
            while len(app.screen_stack) > 1:
                app.pop_screen()
            await pilot.press("escape")
        app.activate("agents")
        # One after the other without a pause, as they come from a terminal that was behind.
        for key in [*map(chr, range(33, 127)), *(f"f{n}" for n in range(1, 13)), "enter", "delete"]:
            if key != "q":
                app.simulate_key(key)
        await pilot.pause()
        assert replay.commands == []
        assert app.is_running


async def test_filter_sort_and_details_work_in_a_recording_and_no_bell_rings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with replayed() as (app, pilot, replay):
        monkeypatch.setattr(app, "bell", lambda: pytest.fail("nothing happens now"))
        await pilot.press("end", "slash", *"nova", "enter")
        await until(pilot, lambda: len(pane(app, "agents").rows) == 1)
        await pilot.press("enter")
        assert "NovaHawk" in overlay(app)
        await pilot.press("escape", "tab", "tab", "tab")
        assert app.focused is pane(app, "errors")
        await until(pilot, lambda: "out of luck" in shown(app, "errors"))
        assert replay.commands == []


async def test_a_broken_recording_says_where_it_ended() -> None:
    async with replayed() as (app, pilot, replay):
        replay.failure = "the replay ended: event 7: a line of MarkPrices cannot be read"
        await until(pilot, lambda: "event 7" in line(app, "footer"))
        assert "DataSage" in shown(app, "agents")


def _local(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000)


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("start", 0),
        ("end", 120),
        ("+0", 0),
        ("+90s", 90),
        ("+90", 90),
        ("+1500ms", 1.5),
        ("+1m", 60),
        ("+1:30", 90),
        ("+0:00:07", 7),
        ("-30s", 90),
        (str(T0 + 5_000), 5),
        (f"{_local(T0 + 7_000):%H:%M:%S}", 7),
        (f"{_local(T0 + 8_000):%Y-%m-%d %H:%M:%S}", 8),
        (f"{_local(T0 + 9_000).astimezone():%Y-%m-%dT%H:%M:%S%z}", 9),
        (f"  {_local(T0):%H:%M:%S} ", 0),
    ],
)
def test_moments_as_people_write_them(text: str, second: float) -> None:
    assert parse_moment(text, T0, END) == T0 + second * 1000


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00:00", "14:61", "+", "+3m", "-3m", "2001-01-01", "12", "1" * 40]
)
def test_what_is_no_moment_of_the_recording_says_why(text: str) -> None:
    with pytest.raises(MomentError) as refused:
        parse_moment(text, T0, END)
    assert "\n" not in str(refused.value)


def test_a_time_of_day_before_the_start_is_the_next_day() -> None:
    start = int(datetime(2026, 11, 24, 23, 59, 50).timestamp() * 1000)
    at = parse_moment("00:00:10", start, start + 60_000)
    assert _local(at) == datetime(2026, 11, 25, 0, 0, 10)

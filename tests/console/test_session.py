"""Arming and the lock: what may be asked for, and what the engine is told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from aster_tui.console.acting import Acting
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.status_line import header
from aster_tui.console.theme import DEFAULT, styles_of
from aster_tui.domain.commands import Command, Presence, SetLock
from aster_tui.domain.views import FleetSnapshot, RequestView
from tests.console.driving import SMALL, Clock, console, line, shown, until
from tests.console.scripted import NOW, Scripted, agent, fleet

MINUTE = 60_000


async def test_a_session_starts_disarmed_and_a_arms_it() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        assert "ARMED" not in line(app, "header")
        await pilot.press("a")
        assert port.commands == [Presence(armed=True)]
        assert "ARMED" in line(app, "header")
        assert app.context().armed
        await pilot.press("j", "a")
        assert port.commands == [Presence(armed=True), Presence(armed=False)]
        assert "ARMED" not in line(app, "header")
        assert "disarmed" in line(app, "footer")


async def test_idle_minutes_disarm_and_keys_keep_it_armed() -> None:
    port, clock = Scripted(), Clock()
    async with console(port, clock=clock, options=ConsoleOptions(disarm_minutes=2)) as (app, pilot):
        await pilot.press("a")
        clock.now += 119_000
        await pilot.press("j")
        clock.now += 119_000
        await pilot.pause(0.3)
        assert app.acting.armed(clock.now)
        clock.now += 2_000
        assert not app.context().armed  # at once, not only at the next tick
        await until(pilot, lambda: port.commands[-1] == Presence(armed=False))
        assert "disarmed: nothing was typed" in line(app, "footer")
        assert "ARMED" not in line(app, "header")


def test_a_clock_that_is_set_back_disarms_and_a_late_key_revives_nothing() -> None:
    told: list[Command] = []
    acting = Acting(told.append, 10)
    acting.arm(NOW)
    assert acting.armed(NOW + 9 * MINUTE)
    assert not acting.armed(NOW - MINUTE)
    acting.touch(NOW + 11 * MINUTE)
    assert not acting.armed(NOW + 11 * MINUTE)
    acting.look(FleetSnapshot(), NOW + 11 * MINUTE)
    assert told == [Presence(armed=True), Presence(armed=False)]


async def test_one_key_locks_and_disarms() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press("a", "L")
        assert port.commands[1] == Presence(armed=False)
        assert port.asked == [SetLock(True)]
        port.show(locked=True)
        await until(pilot, lambda: "LOCKED" in line(app, "header"))
        before = len(port.commands)
        await pilot.press("a", "S", "s")
        assert len(port.commands) == before
        assert "locked to read-only" in line(app, "footer")


async def test_unlocking_wants_the_word() -> None:
    port = Scripted(fleet(locked=True))
    async with console(port) as (app, pilot):
        await pilot.press("L")
        assert isinstance(app.screen, Confirm)
        assert "PRACTICE" in app.screen.text
        for word in ("", "y", "unlok", "UNLOCK"):
            await pilot.press(*word, "enter")
            assert port.asked == []
            assert isinstance(app.screen, Confirm)
            await pilot.press("ctrl+u")
        await pilot.press("escape")
        assert port.asked == []
        await pilot.press("L", *"unlock", "enter")
        assert port.asked == [SetLock(False)]
        assert not isinstance(app.screen, Confirm)


async def test_a_lock_that_comes_from_elsewhere_disarms_too() -> None:
    port = Scripted()
    async with console(port) as (_, pilot):
        await pilot.press("a")
        port.show(locked=True)
        await until(pilot, lambda: port.commands[-1] == Presence(armed=False))


async def test_a_process_that_was_started_read_only_is_neither_armed_nor_unlocked() -> None:
    port = Scripted(fleet(read_only=True))
    async with console(port) as (app, pilot):
        await pilot.press("a")
        assert "read-only" in line(app, "footer")
        await pilot.press("L")
        assert "cannot be unlocked" in line(app, "footer")
        assert port.commands == []
        assert not app.covered


def test_no_number_of_the_header_is_cut() -> None:
    """At any width each is there whole, or not at all; what had to be cut says so."""
    stopped = (agent(0, trading="HALTED"), agent(1))
    for told in (fleet(), fleet(agents=0, locked=True), replace(fleet(agents=0), agents=stopped)):
        armed = NOW + 60_000
        whole = header(told, NOW, 200, styles_of(DEFAULT), armed_until=armed).plain
        for width in range(60, 200):
            text = header(told, NOW, width, styles_of(DEFAULT), armed_until=armed).plain
            assert len(text) <= width
            assert {*re.findall(r"\d+", text)} <= {*re.findall(r"\d+", whole)}, text
            assert re.search(r"(w 214|weight 214/2400|mongo ●( ?0 ?s)?|\+4 ?ms|…)$", text), text


async def test_the_header_names_what_persons_set_at_every_width() -> None:
    halted = agent(0, trading="HALTED")
    told = fleet(
        trading="HALTED",
        dead_man={("0x00", "BTCUSDT"): 60, ("0x00", "ETHUSDT"): 60},
        requests=(RequestView("1", "CLOSE ALL", "aster-tui close-all", "running", NOW, done=3, total=5),),
    )
    for size in (SMALL, (120, 40)):
        async with console(Scripted(told), size) as (app, pilot):
            await pilot.press("a")
            header = line(app, "header")
            for word in ("HALTED", "ARMED", "CLOSING", "3/5", "60"):
                assert word in header, (size, header)
    told = fleet(agents=0)
    told = replace(told, agents=(halted, agent(1)))
    async with console(Scripted(told)) as (app, _):
        assert "1 halted" in line(app, "header")


@pytest.mark.parametrize(("state", "word"), [("unknown", "OUTCOME UNKNOWN"), ("refused", "refused")])
async def test_what_came_of_a_request_is_said(state: Any, word: str) -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        request = app.acting.ask(SetLock(True))
        port.show(requests=(RequestView(request, "the order", "", "running", NOW),))
        await pilot.pause(0.3)
        assert "the order" not in line(app, "footer")
        port.show(requests=(RequestView(request, "the order", "", state, NOW, NOW, "no answer came"),))
        await until(pilot, lambda: "no answer came" in line(app, "footer"))
        assert word in line(app, "footer")


async def test_who_is_halted_or_may_only_reduce_has_a_sign_of_its_own_in_the_narrowest_list() -> None:
    told = replace(
        fleet(agents=0),
        agents=(agent(0, trading="HALTED"), agent(1, trading="REDUCING"), agent(2), agent(3, mode="paper")),
    )
    async with console(Scripted(told), SMALL) as (app, pilot):
        await until(pilot, lambda: "■ REAL" in shown(app, "agents"))
        text = shown(app, "agents")
        assert [text.count(sign) for sign in ("■ REAL", "▼ REAL", "● REAL", "○ paper")] == [1, 1, 1, 1]

"""Alarms reach a real webhook, grouped and limited; a receiver that fails blocks nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiohttp import web

from aster_tui.domain.events import Control, ControlsChanged
from aster_tui.engine import notifier
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.notifier import Notifier, apprise_sender
from aster_tui.store.journal import Journal
from tests import rig


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook that answers with these statuses, and the last of them from then on."""
    told: list[dict[str, Any]] = []
    answers = [*statuses] or [200]

    async def take(request: web.Request) -> web.Response:
        told.append(await request.json())
        return web.Response(status=answers.pop(0) if len(answers) > 1 else answers[0])

    app = web.Application()
    app.router.add_post("/alarm", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"json://127.0.0.1:{runner.addresses[0][1]}/alarm", told
    finally:
        await runner.cleanup()


@asynccontextmanager
async def notifying(*urls: str, journal: Journal | None = None) -> AsyncIterator[Core]:
    core = Core(network="PRACTICE", read_only=False, initial_balance=Decimal(1000), sync_seconds=30)
    told = Notifier(core, apprise_sender(urls), journal, network="PRACTICE")
    core.listen(told.listen)
    running = asyncio.create_task(told.run())
    try:
        yield core
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_lines_of_a_moment_are_one_message_and_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(notifier, "GROUP_SECONDS", 0.2)
    async with receiver() as (url, told), notifying(url) as core:
        for _ in range(3):
            core.problem("exchange", "Real: LIQUIDATION", agent="Real")
        core.problem("safeguard", "Real: too large")
        core.problem("console", "of no interest elsewhere")
        await rig.until(lambda: told)
        assert told[0]["title"] == "aster-tui PRACTICE: Real: LIQUIDATION (×3)"
        assert told[0]["message"].splitlines() == ["Real: LIQUIDATION (×3)", "Real: too large"]
        assert len(told) == 1


async def test_no_more_than_a_few_messages_a_minute(monkeypatch: Any) -> None:
    monkeypatch.setattr(notifier, "GROUP_SECONDS", 0.01)
    async with receiver() as (url, told), notifying(url) as core:
        lines = (f"line {number}" for number in itertools.count())

        def says_another() -> bool:
            core.problem("exchange", next(lines))
            return len(told) >= notifier.MOST_A_MINUTE

        await rig.until(says_another, "all that a minute takes", every=0.05)
        for _ in range(20):
            says_another()
            await asyncio.sleep(0.05)
        assert len(told) == notifier.MOST_A_MINUTE


async def test_a_receiver_that_fails_is_one_line_and_heals(monkeypatch: Any) -> None:
    monkeypatch.setattr(notifier, "GROUP_SECONDS", 0.05)
    async with receiver(500) as (url, told), notifying(url) as core:
        for number in range(2):
            core.problem("exchange", f"line {number}")
            await rig.until(lambda n=number: len(told) > n)  # type: ignore[misc]
        errors = [e for e in core.state.errors.values() if e.source == "notifier"]
        assert [(e.count, "not delivered" in e.message) for e in errors] == [(1, True)]
    async with notifying("nonsense://") as core:
        core.problem("exchange", "x")
        await rig.until(lambda: any(e.source == "notifier" for e in core.state.errors.values()))


async def test_what_a_receiver_did_not_take_is_told_to_it_again_and_to_nobody_twice(monkeypatch: Any) -> None:
    monkeypatch.setattr(notifier, "GROUP_SECONDS", 0.05)
    monkeypatch.setattr(notifier, "AGAIN_SECONDS", 0.1)
    async with receiver() as (good, heard), receiver(500, 500, 200) as (bad, told):
        async with notifying(good, bad) as core:
            core.problem("naked", "no stop")
            await rig.until(lambda: len(told) == 3)
            core.problem("naked", "another")
            await rig.until(lambda: len(told) == 4)
        assert [t["message"] for t in heard] == ["no stop", "another"]
        assert [t["message"].splitlines()[0] for t in told] == ["no stop"] * 3 + ["another"]
        assert "could not be told before" in told[2]["message"]


async def test_of_two_processes_one_tells_what_both_see_and_each_what_it_alone_does(
    monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(notifier, "GROUP_SECONDS", 0.05)
    journals = [Journal(tmp_path), Journal(tmp_path)]
    for journal in journals:
        await journal.open()
    async with receiver() as (url, told):
        async with notifying(url, journal=journals[0]) as one, notifying(url, journal=journals[1]) as two:
            for core in (one, two):
                core.problem("exchange", "the same")
            await rig.until(lambda: told)
            for number, core in enumerate((one, two)):
                core.problem("naked", f"only of {number}")
            await rig.until(lambda: len(told) == 3)
        assert sorted(t["message"] for t in told) == ["only of 0", "only of 1", "the same"]
    for journal in journals:
        await journal.close()


async def test_a_feed_that_stays_away_is_told_and_its_return(monkeypatch: Any) -> None:
    monkeypatch.setattr(notifier, "GROUP_SECONDS", 0.05)
    monkeypatch.setattr(notifier, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(notifier, "LOST_SECONDS", 0.4)
    async with receiver() as (url, told), notifying(url) as core:
        core.feed("marks", "down", "connection refused")
        core.feed("marks", "live")
        core.feed("exchange", "stale", "nothing heard")
        await rig.until(lambda: told)
        core.feed("exchange", "live")
        await rig.until(lambda: len(told) == 2)
        assert [t["message"] for t in told] == [
            "the feed exchange is stale: nothing heard",
            "the feed exchange is live again",
        ]


async def test_halts_are_told_by_whom_and_those_of_before_are_no_news(monkeypatch: Any) -> None:
    monkeypatch.setattr(notifier, "GROUP_SECONDS", 0.05)
    async with receiver() as (url, told), notifying(url) as core:
        old = Control("HALTED", "last week", "ann", 5)
        core.emit(ControlsChanged(now_ms(), {"a1": old}))
        fresh = Control("HALTED", "storm", "bob", now_ms() + 1000)
        core.emit(ControlsChanged(now_ms(), {"a1": old, "fleet": fresh}))
        await rig.until(lambda: told)
        core.emit(ControlsChanged(now_ms(), {"a1": old}))
        await rig.until(lambda: len(told) == 2)
        assert [t["message"] for t in told] == [
            "the fleet is HALTED: storm (by bob)",
            "the fleet may trade again",
        ]


async def test_what_is_known_when_the_process_ends_is_still_told(monkeypatch: Any) -> None:
    monkeypatch.setattr(notifier, "LAST_SECONDS", 60.0)  # the first sending imports its library
    async with receiver() as (url, told):
        async with notifying(url) as core:
            core.problem("naked", "in the last moment")
            await asyncio.sleep(0.1)  # it is being grouped
            core.problem("naked", "and in the very last")
        assert [t["message"].splitlines() for t in told] == [["in the last moment", "and in the very last"]]

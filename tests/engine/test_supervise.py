"""Parts that break: one line for people, and the others go on."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from aster_tui.engine import supervise
from aster_tui.engine.core import Core
from aster_tui.engine.supervise import Tasks, keep_running


def core() -> Core:
    return Core(network="PRACTICE", read_only=False, initial_balance=Decimal(1000), sync_seconds=30)


async def test_a_part_that_breaks_is_said_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "RESTART_SECONDS", 0.01)
    heart, runs = core(), 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            async with asyncio.TaskGroup():
                raise ValueError("a surprise")

    await keep_running(heart, "the part", part)
    assert runs == 3
    (line,) = heart.snapshot().errors
    assert (line.count, line.message) == (2, "the part broke: ValueError: a surprise")


async def test_a_task_nobody_awaits_still_says_how_it_ended() -> None:
    heart = core()
    tasks = Tasks(heart)

    async def surprise() -> None:
        raise KeyError("lost")

    tasks.start("one", surprise())
    with pytest.raises(RuntimeError, match="running"):
        tasks.start("one", asyncio.sleep(0))
    await asyncio.sleep(0.01)
    assert "one" not in tasks
    assert "KeyError" in heart.snapshot().errors[0].message


async def test_ending_waits_and_lets_our_own_cancellation_through() -> None:
    tasks = Tasks(core())
    ended = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    tasks.start("one", stubborn())
    await asyncio.sleep(0)
    await tasks.end("one")
    assert ended.is_set()
    tasks.start("two", stubborn())
    await asyncio.sleep(0)
    ending = asyncio.create_task(tasks.end("two"))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending

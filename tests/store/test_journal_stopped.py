"""A process that is stopped, wherever it is stopped, holds up no other; killed, it is taken over once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.engine.core import Core
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.outbox import Outbox
from aster_tui.store import journal_files, shared_folder
from aster_tui.store.journal import Journal
from aster_tui.store.shared_folder import Turns
from aster_tui.store.trading import TradingStore
from tests import rig
from tests.domain.test_lifecycle import INTENT, update
from tests.store.test_journal import CLAIM, files_in, opened

HOW = ["a write", "everything", "another's"]


class Stopped:
    """A process that stopped itself in the middle of a transaction."""

    def __init__(self, folder: Path, how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.stopper", str(folder), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def stopped(self) -> None:
        _, status = await asyncio.to_thread(os.waitpid, self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), status

    def goes_on(self) -> str:
        self.process.send_signal(signal.SIGCONT)
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@asynccontextmanager
async def stopped(folder: Path, how: str) -> AsyncIterator[Stopped]:
    process = Stopped(folder, how)
    try:
        await process.stopped()
        yield process
    finally:
        process.end()


@asynccontextmanager
async def delivering(journal: Journal, uri: str, database: str) -> AsyncIterator[Outbox]:
    core = Core(network="PRACTICE", read_only=False, initial_balance=Decimal(1000), sync_seconds=30)
    store = TradingStore(uri, database, 5.0)
    await store.prepare()
    outbox = Outbox(core, journal, store)
    running = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        running.cancel()
        await asyncio.wait({running})
        await store.close()


async def drained(outbox: Outbox) -> None:
    async with asyncio.timeout(rig.PATIENCE):
        while not await outbox.drained():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", HOW)
async def test_a_stopped_process_holds_up_nobody(
    tmp_path: Path, how: str, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    before = await opened(tmp_path)  # of journal-1: the one that "another's" is about
    async with stopped(tmp_path, how) as process:
        after = await opened(tmp_path)
        for name, journal in (("before", before), ("after", after)):
            await journal.intend(replace(INTENT, client_order_id=name))
            assert (await journal.append(name, "refused", 1500, {"code": "-1"})).state == "refused"
            assert await journal.take_over() == []  # it lives
            waits, rests = await journal.order("stopped"), await journal.order("rests")
            assert (waits and waits.state, rests and rests.state) == ("intent", "open")
            assert {r.client_order_id for r in await journal.orders()} >= {"stopped", "rests", name}
            ledger = Ledger(journal)
            await ledger.refresh()
            assert ledger.records["rests"].state == "open"
            await journal.queue(f"d-{name}", "A", {"_id": f"d-{name}", "timestamp": 5})
            assert await journal.claim("A", CLAIM) is not None
        async with delivering(after, mongo_uri, mongo_database) as outbox:
            await drained(outbox)
            assert {o["clientOrderId"]: o["state"] for o in raw_database.orders.find()} == {
                "stopped": "intent",
                "rests": "open",
                "before": "refused",
                "after": "refused",
            }
            # What it cannot hear is written down by those who live, and told.
            await after.append("rests", *told("FILLED", 3, 2000))
            await rig.until(lambda: state_of(raw_database, "rests") == "done")
        await before.close()
        await after.close()
        assert process.goes_on() == "went on\n"
        process.end()
        one, two = await opened(tmp_path), await opened(tmp_path)
        assert {r.client_order_id for r in await one.take_over()} == {"stopped", "later"}
        assert await two.take_over() == []
        for name in ("stopped", "later"):
            await one.append(name, "resolved", 3000, {"word": "never-placed"})
        assert await one.take_over() == await two.take_over() == []
        states = {r.client_order_id: r.state for r in await two.orders()}
        assert (states["stopped"], states["later"], states["rests"]) == (
            "never-placed",
            "never-placed",
            "done",
        )
        async with delivering(two, mongo_uri, mongo_database) as outbox:
            await drained(outbox)
        stored = {o["clientOrderId"]: o["state"] for o in raw_database.orders.find()}
        assert stored == states
        await one.close()
        await two.close()


def state_of(database: Any, name: str) -> str:
    return str(database.orders.find_one({"clientOrderId": name})["state"])


def told(status: str, executed: int, at: int) -> tuple[Any, int, dict[str, Any]]:
    kind, data = update(status, executed)
    return kind, at, data


async def test_killed_while_it_is_stopped_it_is_taken_over_and_its_half_write_is_gone(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    async with stopped(tmp_path, "a write") as process:
        assert await journal.take_over() == []
        process.end()
        assert [r.client_order_id for r in await journal.take_over()] == ["stopped"]
        await journal.append("stopped", "resolved", 2000, {"word": "never-placed"})
        assert await journal.take_over() == []
        await journal.append("rests", *told("FILLED", 3, 2000))
        kinds = [e.kind for e in await journal.entries_since({}, 100)]
        assert sorted(kinds) == ["answered", "intent", "intent", "resolved"]
    again = await opened(tmp_path)  # the file is used again, and its new owner heard of nothing
    await journal.close()  # what was heard and not written down yet is written down now
    rests = await again.order("rests")
    assert rests is not None
    assert rests.state == "done"
    await again.close()
    assert files_in(tmp_path) == ["journal-1.sqlite", "journal-2.sqlite"]


async def test_a_file_that_another_process_locks_is_left_and_stays_ours(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.intend(INTENT)
    first = journal.name
    async with stopped(tmp_path, "another's"):
        await journal.append("a", "unknown", 1500, {"message": "?"})
        assert journal.name != first
        assert [(e.kind, e.journal) for e in (await journal.lines(["a"]))["a"]] == [
            ("intent", first),
            ("unknown", journal.name),
        ]
        other = await opened(tmp_path)
        assert await other.take_over() == await journal.take_over() == []
        await other.close()
    # The one that locked it was killed: only its own order is taken over.
    assert [r.client_order_id for r in await journal.take_over()] == ["stopped"]
    await journal.append("a", "resolved", 1600, {"word": "never-placed"})
    await journal.append("stopped", "resolved", 1600, {"word": "never-placed"})
    await journal.close()
    again = await opened(tmp_path)
    assert again.name == first
    assert await again.take_over() == []
    await again.close()


async def test_a_turn_of_a_stopped_process_ends_and_that_of_a_dead_one_at_once(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    now = time.time_ns() // 1_000_000
    other = await opened(tmp_path)
    assert await other.take_turn("x", now, 8_000)
    assert not await journal.take_turn("x", now + 8_000, 8_000)
    assert await other.take_turn("x", now + 100, 8_000)
    assert await journal.take_turn("x", now + 8_101, 8_000)  # it did not go on
    assert not await other.take_turn("x", now + 8_102, 8_000)
    await journal.close()
    assert await other.take_turn("x", now + 8_103, 8_000)
    assert await other.take_turn("y", now, 8_000)
    async with stopped(tmp_path, "a write") as process:
        third = await opened(tmp_path)
        async with asyncio.timeout(rig.PATIENCE):
            while not await third.take_turn("mongo", time.time_ns() // 1_000_000, 8_000):
                await asyncio.sleep(0.05)
        await third.close()
        process.goes_on()
        fourth = await opened(tmp_path)
        assert not await fourth.take_turn("y", now + 1, 8_000)
        assert await fourth.take_turn("y", now - 60_000, 8_000)  # the clock was set back
        await fourth.close()
    await other.close()


async def test_of_many_that_take_a_turn_at_once_one_gets_it(tmp_path: Path) -> None:
    journals = [await opened(tmp_path) for _ in range(6)]
    for number in range(20):
        now = 1_000_000 + number * 10_000
        got = await asyncio.gather(*(j.take_turn("x", now - n, 8_000) for n, j in enumerate(journals)))
        assert len([number for number in got if number]) == 1
    for journal in journals:
        await journal.close()
    assert len([p for p in (tmp_path / "journal").iterdir() if ".turn-" in p.name]) == 1


def test_of_one_that_goes_on_with_a_turn_and_one_that_saw_it_end_not_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, really = (*(Turns(tmp_path, owner) for owner in "ab"), shared_folder._write)

    def take(turns: Turns, now: int) -> int:
        return turns.take("x", now, 1_000, lambda process: True, "process")

    meanwhile: list[Any] = []

    def write(path: Path, document: Any, *, new: bool = False, safe: bool = True) -> bool:
        # What is decided on is old by the time it is written.
        if meanwhile:
            meanwhile.pop()()
        return really(path, document, new=new, safe=safe)

    monkeypatch.setattr(shared_folder, "_write", write)
    assert take(one, 0) == 1
    meanwhile.append(lambda: take(one, 900))
    assert take(other, 1_100) == 0
    assert take(one, 1_500) == 1
    meanwhile.append(lambda: take(other, 2_600))
    assert take(one, 2_400) == 0
    assert take(other, 2_700) == 2
    other.leave("x")
    assert take(one, 2_800) == 3


async def test_a_decision_queued_here_is_taken_once_in_order_whoever_asks(tmp_path: Path) -> None:
    journals = [await opened(tmp_path) for _ in range(4)]
    for number in range(40):
        document = {"_id": f"d{number}", "timestamp": 1000 + number, "decision": {"n": number}}
        await journals[0].queue(f"d{number}", "Ägent/..", document)
        await journals[0].queue(f"d{number}", "Ägent/..", document)
    assert await journals[1].claim("another", CLAIM) is None

    async def take(journal: Journal) -> list[int]:
        found = []
        while (document := await journal.claim("äGENT/..", CLAIM)) is not None:
            found.append(document["decision"]["n"])
        return found

    race = {"_id": "race", "timestamp": 1, "decision": {}}
    for number in range(40):
        await journals[0].queue(f"race{number}", "r", {**race, "_id": f"race{number}"})
        got = await asyncio.gather(*(journal.claim("r", CLAIM) for journal in journals))
        assert sum(document is not None for document in got) == 1
    taken = await asyncio.gather(*(take(j) for j in journals))
    assert sorted(n for one in taken for n in one) == list(range(40))
    assert all(one == sorted(one) for one in taken)
    document = {"_id": "d3", "timestamp": 1003, "decision": {"n": 3}}
    await journals[2].queue("d3", "Ägent/..", document)
    assert await journals[2].claim("Ägent/..", CLAIM) is None
    for journal in journals:
        await journal.close()


async def test_what_is_heard_of_anothers_order_waits_a_moment_for_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_files, "PATIENCE_SECONDS", 0.4)
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    heard = await two.append("a", *told("NEW", 0, 2000))
    assert heard.state == "open"
    ledger = Ledger(one)
    await ledger.refresh()
    await ledger.refresh()
    assert len(await two.entries_since({}, 10)) == 1
    await asyncio.sleep(0.4)
    assert [e.journal for e in await two.entries_since({}, 10)] == [one.name, two.name]
    await ledger.refresh()
    assert ledger.records["a"].state == "open"
    await one.close()
    await two.close()

"""The journal: on the disk before anything leaves, shared by processes, taken over from the dead."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from aster_tui.domain.events import ErrorRaised
from aster_tui.store.base import StoreError
from aster_tui.store.journal import FILE, Journal
from tests.domain.test_lifecycle import INTENT


async def opened(folder: Path) -> Journal:
    journal = Journal(folder)
    await journal.open()
    return journal


async def test_what_was_intended_is_there_after_a_kill_and_taken_over_once(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:

        async def die() -> None:
            journal = await opened(tmp_path)
            await journal.intend(INTENT)
            await journal.intend(replace(INTENT, client_order_id="b"))
            await journal.append("b", "refused", 5, {"code": "-1"})
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(die())
    os.waitpid(child, 0)  # noqa: ASYNC222 - it ends by itself at once
    one, two = await opened(tmp_path), await opened(tmp_path)
    assert [r.client_order_id for r in await one.take_over()] == ["a"]
    assert await two.take_over() == []  # the one that took it lives
    await one.close()
    assert [r.client_order_id for r in await two.take_over()] == ["a"]
    await two.close()


async def test_the_orders_of_a_living_process_are_left_alone(tmp_path: Path) -> None:
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    assert await two.take_over() == []
    assert (await two.order("a")) == replace(INTENT, owner=one.owner)
    await one.close()
    await two.close()


async def test_a_client_order_id_is_used_once(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.intend(INTENT)
    with pytest.raises(StoreError, match="holds this order already"):
        await journal.intend(INTENT)
    with pytest.raises(KeyError):
        await journal.append("nobody", "update", 1, {})
    await journal.close()


async def test_entries_are_read_in_order_after_a_mark_that_never_goes_back(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.intend(INTENT)
    await journal.error(ErrorRaised(7, "exchange", "no", "A", code="-1"))
    await journal.append("a", "unknown", 8, {"message": "?"})
    await journal.append("a", "unknown", 9, {"message": "?"})  # says nothing new but its time
    entries = await journal.entries_after("mongo", 10)
    assert [e.kind for e in entries][:3] == ["intent", "error", "unknown"]
    assert entries[1].data["message"] == "no"
    await journal.move_mark("mongo", entries[1].seq)
    await journal.move_mark("mongo", entries[0].seq)
    assert [e.seq for e in await journal.entries_after("mongo", 1)] == [entries[2].seq]
    assert await journal.counts("mongo") == len(entries) - 2
    await journal.close()


async def test_a_disk_that_refuses_is_said_and_nothing_is_held(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    broken = sqlite3.connect(tmp_path / "journal" / FILE)
    broken.execute("drop table orders")
    broken.commit()
    with pytest.raises(StoreError, match="cannot be used"):
        await journal.intend(INTENT)
    broken.close()
    await journal.close()
    with pytest.raises((StoreError, RuntimeError)):
        await journal.order("a")


async def test_many_processes_may_write_at_once(tmp_path: Path) -> None:
    journals = [await opened(tmp_path) for _ in range(4)]

    async def write(number: int, journal: Journal) -> None:
        for step in range(25):
            name = f"{number}-{step}"
            await journal.intend(replace(INTENT, client_order_id=name))
            await journal.append(name, "refused", 5, {"code": "-1"})

    await asyncio.gather(*(write(n, j) for n, j in enumerate(journals)))
    assert len(await journals[0].orders()) == 100
    assert await journals[0].counts("x") == 200
    for journal in journals:
        await journal.close()
    assert oct((tmp_path / "journal" / FILE).stat().st_mode & 0o777) == "0o600"


async def test_many_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    both = (INTENT, replace(INTENT, client_order_id="b"))
    await journal.intend_many(both)
    with pytest.raises(StoreError, match="holds this order already"):
        await journal.intend_many((replace(INTENT, client_order_id="c"), INTENT))
    assert await journal.order("c") is None
    after = await journal.append_many((("a", "refused", 5, {"code": "-1"}), ("b", "unknown", 6, {})))
    assert [r.state for r in after] == ["refused", "unknown"]
    with pytest.raises(KeyError):
        await journal.append_many((("b", "resolved", 7, {"word": "never-placed"}), ("x", "unknown", 7, {})))
    assert [r.state for r in await journal.orders()] == ["refused", "unknown"]
    await journal.close()


async def test_what_is_unresolved_is_told_with_whether_its_process_is_gone(tmp_path: Path) -> None:
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    await two.intend(replace(INTENT, client_order_id="b"))
    assert {r.client_order_id: gone for r, gone in await two.unresolved()} == {"a": False, "b": False}
    await one.close()
    assert {r.client_order_id: gone for r, gone in await two.unresolved()} == {"a": True, "b": False}
    await two.close()

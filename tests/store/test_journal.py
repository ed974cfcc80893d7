"""The journal: on the disk before anything leaves, one file per process, taken over from the dead."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.lifecycle import Kind, as_data
from aster_tui.store import journal_files
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal, added_up
from tests.domain.test_lifecycle import INTENT, fill, update

CLAIM = {"owner": "w", "epoch": 3, "at": 7}


async def opened(folder: Path) -> Journal:
    journal = Journal(folder)
    await journal.open()
    return journal


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "journal").glob("*.sqlite"))


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
    assert await one.take_over() == []  # and was told
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


async def test_a_client_order_id_is_used_once_by_anybody(tmp_path: Path) -> None:
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    for journal in (one, two):
        with pytest.raises(StoreError, match="holds this order already"):
            await journal.intend(INTENT)
    with pytest.raises(KeyError):
        await one.append("nobody", "update", 1, {})
    for journal in (one, two):
        await journal.close()


async def test_many_orders_are_written_down_with_one_write_all_or_none(tmp_path: Path) -> None:
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    many = [replace(INTENT, client_order_id=f"m{n}") for n in range(1200)]
    for journal in (one, two):
        with pytest.raises(StoreError, match="holds this order already"):
            await journal.intend_many([*many, INTENT])
        assert len(await journal.orders()) == 1
    with pytest.raises(StoreError, match="holds this order already"):
        await two.intend_many([*many, many[7]])
    assert len(await one.orders()) == 1
    await two.intend_many(many)
    assert len(await one.orders()) == 1201
    assert len(await two.entries_since({}, 10_000)) == 1201
    for journal in (one, two):
        await journal.close()


async def test_what_became_of_many_is_written_with_one_write_all_or_none(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.intend_many((INTENT, replace(INTENT, client_order_id="b")))
    after = await journal.append_many((("a", "refused", 5, {"code": "-1"}), ("b", "unknown", 6, {})))
    assert [r.state for r in after] == ["refused", "unknown"]
    with pytest.raises(KeyError):
        await journal.append_many((("b", "resolved", 7, {"word": "never-placed"}), ("x", "unknown", 7, {})))
    assert [r.state for r in await journal.orders()] == ["refused", "unknown"]
    after = await journal.append_many([("b", *told) for told in (at("NEW", 0, 8), at("FILLED", 3, 9))])
    assert [r.state for r in after] == ["open", "done"]
    assert await journal.orders() == [await journal.order("a"), after[1]]
    await journal.close()


def at(status: str, executed: int, when: int) -> tuple[Kind, int, dict[str, Any]]:
    kind, data = update(status, executed)
    return kind, when, data


async def test_what_is_unresolved_is_told_with_whether_its_process_is_gone(tmp_path: Path) -> None:
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    await two.intend(replace(INTENT, client_order_id="b"))
    assert {r.client_order_id: gone for r, gone in await two.unresolved()} == {"a": False, "b": False}
    await one.close()
    assert {r.client_order_id: gone for r, gone in await two.unresolved()} == {"a": True, "b": False}
    await two.take_over()
    assert {r.client_order_id: gone for r, gone in await two.unresolved()} == {"a": False, "b": False}
    await two.close()


async def test_entries_are_read_in_order_after_a_mark_that_never_goes_back(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.intend(INTENT)
    await journal.error(ErrorRaised(7, "exchange", "no", "A", code="-1"))
    await journal.append("a", "unknown", 1008, {"message": "?"})
    await journal.append("a", "unknown", 1009, {"message": "?"})  # says nothing new but its time
    entries = await journal.entries_after("mongo", 10)
    assert [e.kind for e in entries][:3] == ["intent", "error", "unknown"]
    assert entries[1].data["message"] == "no"
    await journal.move_mark("mongo", {journal.name: entries[1].seq})
    await journal.move_mark("mongo", {journal.name: entries[0].seq})
    assert [e.seq for e in await journal.entries_after("mongo", 1)] == [entries[2].seq]
    assert await journal.counts("mongo") == len(entries) - 2
    await journal.close()


async def test_a_mark_holds_for_everybody_whoever_moved_it(tmp_path: Path) -> None:
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    await two.note("mode", 2000, {})
    found = await two.entries_after("mongo", 10)
    assert [(e.kind, e.journal) for e in found] == [("intent", one.name), ("mode", two.name)]
    await one.note("mode", 2001, {})
    await one.move_mark("mongo", {one.name: 2})
    await two.move_mark("mongo", {one.name: 1, two.name: 1})
    for journal in (one, two):
        assert await journal.counts("mongo") == 0
        assert await journal.counts("else") == 3
    for journal in (one, two):
        await journal.close()


async def test_a_disk_that_refuses_is_said_and_nothing_is_held(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    broken = sqlite3.connect(tmp_path / "journal" / "journal-1.sqlite")
    broken.execute("drop table orders")
    broken.commit()
    with pytest.raises(StoreError, match="cannot be used"):
        await journal.intend(INTENT)
    broken.close()
    await journal.close()
    with pytest.raises((StoreError, RuntimeError)):
        await journal.order("a")


async def test_a_transaction_that_the_disk_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    database = journal._files._own._database
    assert database is not None
    pages = database.execute("pragma page_count").fetchone()[0]
    database.execute(f"pragma max_page_count = {pages + 2}")  # the disk is full
    with pytest.raises(StoreError, match="full"):
        await journal.intend_many([replace(INTENT, client_order_id=f"m{n}") for n in range(100)])
    database.execute("pragma max_page_count = 100000")
    await journal.intend(INTENT)
    assert [r.client_order_id for r in await journal.orders()] == ["a"]
    await journal.close()


async def test_many_processes_may_write_at_once_and_their_files_are_used_again(tmp_path: Path) -> None:
    async def write(number: int, journal: Journal) -> None:
        for step in range(25):
            name = f"{number}-{step}"
            await journal.intend(replace(INTENT, client_order_id=name))
            await journal.append(name, "refused", 5, {"code": "-1"})

    for again in range(2):
        journals = [await opened(tmp_path) for _ in range(4)]
        await asyncio.gather(*(write(4 * again + n, j) for n, j in enumerate(journals)))
        assert len(await journals[0].orders()) == 100 * (again + 1)
        assert await journals[0].counts("x") == 200 * (again + 1)
        for journal in journals:
            await journal.close()
    assert files_in(tmp_path) == [f"journal-{n}.sqlite" for n in range(1, 5)]
    assert oct((tmp_path / "journal" / "journal-4.sqlite").stat().st_mode & 0o777) == "0o600"


async def test_a_file_with_something_unresolved_waits_for_whoever_takes_it_over(tmp_path: Path) -> None:
    one = await opened(tmp_path)
    await one.intend(INTENT)
    await one.close()
    console = await opened(tmp_path)  # it resolves nothing, and must not keep others from it
    worker = await opened(tmp_path)
    assert [r.owner for r in await worker.take_over()] == [worker.owner]
    await worker.append("a", "resolved", 2000, {"word": "never-placed"})
    assert await worker.take_over() == []
    again = await opened(tmp_path)
    assert again._files._own.path.name == "journal-1.sqlite"
    assert [e.journal for e in (await again.lines(["a"]))["a"]] == [again.name] * 2
    for journal in (console, worker, again):
        await journal.close()
    assert files_in(tmp_path) == [f"journal-{n}.sqlite" for n in range(1, 4)]


async def test_what_all_hear_of_an_order_is_written_down_by_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_files, "PATIENCE_SECONDS", 1000.0)
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    for at, (kind, data) in enumerate([fill(1), update("FILLED", 3)], start=2000):
        heard = await two.append("a", kind, at, data)
        assert await one.append("a", kind, at, data) == heard
    assert (heard.state, heard.executed, heard.commission) == ("done", Decimal(3), Decimal("0.1"))
    assert await two.order("a") == heard
    await two.close()
    assert {e.journal for e in await one.entries_since({}, 10)} == {one.name}
    await one.close()


async def test_what_an_owner_does_not_write_down_another_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_files, "PATIENCE_SECONDS", 0.0)
    one, two = await opened(tmp_path), await opened(tmp_path)
    await one.intend(INTENT)
    heard = replace(INTENT, owner=one.owner)
    for at, (kind, data) in enumerate([fill(1), update("FILLED", 3), fill(1)], start=2000):
        heard = await two.append("a", kind, at, data)
    found = await one.entries_since({}, 10)
    assert [(e.kind, e.journal) for e in found] == [
        ("intent", one.name),
        ("fill", two.name),
        ("update", two.name),
    ]
    for journal in (one, two):
        assert await journal.order("a") == heard
        assert await journal.orders() == [heard]
        assert added_up((await journal.lines(["a"]))["a"]) == (heard, found)
        assert await journal.append("a", "fill", 3000, fill(1)[1]) == heard  # late
    assert len(await one.entries_since({}, 10)) == 3
    for journal in (one, two):
        await journal.close()


async def test_a_file_that_cannot_be_read_keeps_nobody_from_writing_and_is_complained_of(
    tmp_path: Path,
) -> None:
    one = await opened(tmp_path)
    await one.intend(INTENT)
    await one.append("a", "refused", 5, {})
    await one.close()
    (tmp_path / "journal" / "journal-1.sqlite").write_bytes(b"no database at all" * 1000)
    two = await opened(tmp_path)
    await two.intend(replace(INTENT, client_order_id="b"))
    assert (await two.append("b", "refused", 5, {})).state == "refused"
    assert await two.take_over() == []
    assert len(await two.entries_after("mongo", 10)) == 2
    for asked in (two.orders(), two.entries_since({}, 10)):
        with pytest.raises(StoreError, match="not a database"):
            await asked
    await two.close()


async def test_the_one_file_of_an_earlier_version_is_one_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    old = sqlite3.connect(tmp_path / "journal" / "journal.sqlite")
    old.executescript(OLD)
    record = json.dumps(as_data(replace(INTENT, owner="old")))
    old.execute("insert into orders values ('a','0xa','1','BTCUSDT','intent','old',1000,?)", (record,))
    old.execute(
        "insert into entries (at, client_order_id, kind, data) values (1000,'a','intent',?)", (record,)
    )
    decision = json.dumps({"_id": "d", "timestamp": 5, "decision": {}})
    old.execute(
        "insert into decisions (decision_id, agent, state, document) values ('d','x','queued',?)", (decision,)
    )
    old.commit()
    old.close()
    reader = Journal(tmp_path)
    assert await reader.open_to_read()
    assert [r.client_order_id for r in await reader.orders()] == ["a"]
    await reader.close()
    journal = await opened(tmp_path)
    assert await journal.counts("mongo") == 1
    await journal.move_mark("mongo", {"oldname": 1})
    assert await journal.counts("mongo") == 0
    assert [r.client_order_id for r in await journal.take_over()] == ["a"]
    await journal.append("a", "resolved", 2000, {"word": "never-placed"})
    assert await journal.claim("X", CLAIM) == {"_id": "d", "timestamp": 5, "decision": {}}
    assert await journal.claim("X", CLAIM) is None
    await journal.close()
    journal = await opened(tmp_path)
    assert journal.name == "oldname"
    await journal.close()


async def test_while_a_process_of_an_earlier_version_lives_its_file_is_its_own(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "journal").mkdir()
    old = sqlite3.connect(tmp_path / "journal" / "journal.sqlite")
    old.executescript(OLD)
    old.close()
    descriptor = os.open(tmp_path / "journal" / "old.owner", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    journal = await opened(tmp_path)
    assert journal.name != "oldname"
    await journal.close()
    os.close(descriptor)
    journal = await opened(tmp_path)
    assert journal.name == "oldname"
    assert not (tmp_path / "journal" / "old.owner").exists()
    await journal.close()


OLD = """
pragma journal_mode = wal;
create table entries (
    seq integer primary key autoincrement, at integer not null,
    client_order_id text not null, kind text not null, data text not null
);
create table orders (
    client_order_id text primary key, account text not null, agent_id text not null, symbol text not null,
    state text not null, owner text not null, intent_at integer not null, record text not null
) without rowid;
create table decisions (
    number integer primary key autoincrement, decision_id text not null unique, agent text not null,
    state text not null, document text not null
);
create table names (name text primary key, value text not null) without rowid;
create table turns (name text primary key, owner text not null, until integer not null) without rowid;
create table marks (name text primary key, value integer not null) without rowid;
insert into names values ('journal', 'oldname');
insert into marks values ('mongo', 0);
"""

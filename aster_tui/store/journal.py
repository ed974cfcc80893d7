"""The local journal of orders: written and synced to disk before the first byte of an order leaves.

One SQLite file per state folder, shared by every process of this machine that trades. Entries are only ever
appended; ``orders`` is what they add up to. What is unresolved belongs to the process that wrote it for as
long as that process lives (it holds a lock on a file of its name), and to whoever takes it over after that.

All calls but :meth:`Journal.open` are asynchronous and run on one thread: a disk that hangs never holds the
loop.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.lifecycle import Kind, OrderRecord, applied, as_data, from_data
from aster_tui.store.base import StoreError

FILE = "journal.sqlite"
BUSY_SECONDS = 5.0
_SCHEMA = """
create table if not exists entries (
    seq integer primary key autoincrement,
    at integer not null,
    client_order_id text not null,
    kind text not null,
    data text not null
);
create index if not exists entries_of_order on entries (client_order_id);
create table if not exists orders (
    client_order_id text primary key,
    account text not null,
    agent_id text not null,
    symbol text not null,
    state text not null,
    owner text not null,
    intent_at integer not null,
    record text not null
) without rowid;
create index if not exists orders_by_state on orders (state);
create index if not exists orders_by_agent on orders (agent_id, intent_at);
create table if not exists decisions (
    number integer primary key autoincrement,
    decision_id text not null unique,
    agent text not null,
    state text not null,
    document text not null
);
create table if not exists names (name text primary key, value text not null) without rowid;
create table if not exists turns (
    name text primary key, owner text not null, until integer not null
) without rowid;
create table if not exists marks (name text primary key, value integer not null) without rowid;
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. An error has no client order id."""

    seq: int
    at: int
    client_order_id: str
    kind: str
    data: Mapping[str, Any]


class Journal:
    """One process's hold on the journal.

    Raises from every call:
        StoreError: the disk refused. Nothing may be sent then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "journal"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._database: sqlite3.Connection | None = None
        self._lock = -1
        #: The name under which this process owns what it wrote.
        self.owner = secrets.token_hex(8)
        #: The name of the journal itself, the same for every process and run.
        self.name = ""

    async def open(self) -> None:
        """Open the file, and claim this process's name."""
        await self._run(self._open)

    async def open_to_read(self) -> bool:
        """Open the file to look at it only; False when there is none. Nothing can be written then."""
        return await self._run(self._open_to_read)

    async def close(self) -> None:
        """Close the file; what is unresolved may be taken over from now on."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    async def intend(self, record: OrderRecord) -> None:
        """Write an order down before it is sent; it is on the disk when this returns.

        Raises:
            StoreError: also when the client order id was used before: then nothing may be sent.
        """
        await self.intend_many((record,))

    async def intend_many(self, records: Sequence[OrderRecord]) -> None:
        """Write orders down before any of them is sent, all or none. Raises what :meth:`intend` raises."""
        mine = [replace(record, owner=self.owner) for record in records]
        await self._run(lambda: self._intend(mine))

    async def append(self, client_order_id: str, kind: Kind, at: int, data: Mapping[str, Any]) -> OrderRecord:
        """Write down what became of an order; returns what is known of it now.

        Raises:
            KeyError: no such order was intended here.
        """
        (after,) = await self.append_many(((client_order_id, kind, at, data),))
        return after

    async def append_many(
        self, entries: Sequence[tuple[str, Kind, int, Mapping[str, Any]]]
    ) -> list[OrderRecord]:
        """Write down what became of several orders, all or nothing; what is known of each now. Raises what
        :meth:`append` raises."""
        return await self._run(lambda: self._append(entries))

    async def error(self, error: ErrorRaised) -> None:
        """Keep an error, for the database."""
        data = {name: getattr(error, name) for name in error.__slots__}
        await self._run(lambda: self._insert(error.at, "", "error", data))

    async def note(self, kind: str, at: int, data: Mapping[str, Any]) -> None:
        """Keep anything else that the database is to be told, in its place among the orders."""
        await self._run(lambda: self._insert(at, "", kind, data))

    async def queue(self, decision_id: str, agent: str, document: Mapping[str, Any]) -> None:
        """Queue a decision on this machine, for when the database cannot be reached."""
        values = (decision_id, agent.lower(), _json(document))
        await self._run(
            lambda: self._db.execute(
                "insert or ignore into decisions (decision_id, agent, state, document)"
                " values (?, ?, 'queued', ?)",
                values,
            )
        )

    async def claim(self, agent: str) -> Mapping[str, Any] | None:
        """Take the oldest decision queued on this machine for an agent (by name); each is taken once."""
        return await self._run(lambda: self._claim(agent.lower()))

    async def order(self, client_order_id: str) -> OrderRecord | None:
        """One order."""
        return await self._run(lambda: self._order(client_order_id))

    async def order_before(self, client_order_id: str, seq: int) -> OrderRecord | None:
        """What an order was before a line, added up from its lines."""
        return await self._run(lambda: self._before(client_order_id, seq))

    async def orders(self, *, agent_id: str | None = None, since: int = 0) -> list[OrderRecord]:
        """Orders intended since a time, oldest first."""
        where, values = "intent_at >= ?", [since]  # type: tuple[str, list[Any]]
        if agent_id is not None:
            where, values = f"{where} and agent_id = ?", [*values, agent_id]
        return await self._run(lambda: self._select(f"{where} order by intent_at", values))

    async def take_over(self) -> list[OrderRecord]:
        """The unresolved orders of processes that are gone; they are this one's from now on."""
        return await self._run(self._take_over)

    async def unresolved(self) -> list[tuple[OrderRecord, bool]]:
        """The orders of which nobody knows yet if the exchange has them, whoever's they are, each with
        whether its process is gone."""
        return await self._run(self._unresolved)

    async def entries_after(self, mark: str, limit: int) -> list[Entry]:
        """The entries after a named mark, oldest first."""
        return await self._run(lambda: self._entries_after(mark, limit))

    async def entries_since(self, seq: int, limit: int) -> list[Entry]:
        """The entries after a line, oldest first."""
        return await self._run(lambda: self._entries_since(seq, limit))

    async def move_mark(self, mark: str, seq: int) -> None:
        """Everything up to ``seq`` was dealt with."""
        await self._run(lambda: self._move_mark(mark, seq))

    async def take_turn(self, name: str, now: int, span_ms: int) -> bool:
        """Take a turn at something that one process does at a time, or go on with it; False while it is
        another's. Times are Unix ms of this machine."""
        return await self._run(lambda: self._take_turn(name, now, span_ms))

    async def counts(self, mark: str) -> int:
        """How many entries wait after a mark."""
        return await self._run(lambda: self._waiting(mark))

    # On the thread

    async def _run(self, call: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return call()
            except sqlite3.IntegrityError as error:
                raise StoreError(
                    f"the journal holds this order already: {error}", remedy="nothing was sent twice"
                ) from error
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    f"the journal {self._folder} cannot be used: {error}",
                    remedy="free or repair the disk; no order is sent until the journal can be written",
                ) from error

        loop = asyncio.get_running_loop()
        # Once begun, a write is finished: a cancelled caller must not leave half of one behind.
        return await asyncio.shield(loop.run_in_executor(self._thread, guarded))

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._locked(self.owner, create=True)
        database = sqlite3.connect(
            self._folder / FILE, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        os.chmod(self._folder / FILE, 0o600)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        database.executescript(_SCHEMA)
        database.execute("insert or ignore into names values ('journal', ?)", (secrets.token_hex(6),))
        self.name = database.execute("select value from names where name = 'journal'").fetchone()[0]
        self._database = database

    def _open_to_read(self) -> bool:
        path = self._folder / FILE
        if not path.is_file():
            return False
        self._database = sqlite3.connect(
            f"{path.as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        return True

    def _close(self) -> None:
        if self._database is not None:
            if self._lock >= 0:
                self._database.execute("delete from turns where owner = ?", (self.owner,))
            self._database.close()
            self._database = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            (self._folder / f"{self.owner}.owner").unlink(missing_ok=True)

    def _locked(self, owner: str, *, create: bool) -> int:
        """The descriptor that holds a process's name; -1 when it is held elsewhere."""
        path = self._folder / f"{owner}.owner"
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return -1
        return descriptor

    @property
    def _db(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError("the journal is closed", remedy="nothing is sent without it")
        return self._database

    def _intend(self, records: Sequence[OrderRecord]) -> None:
        with _transaction(self._db) as database:
            for record in records:
                database.execute(
                    "insert into orders values (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        record.client_order_id,
                        record.account,
                        record.agent_id,
                        record.symbol,
                        record.state,
                        record.owner,
                        record.intent_at,
                        _json(as_data(record)),
                    ),
                )
                self._insert(record.intent_at, record.client_order_id, "intent", as_data(record))

    def _append(self, entries: Sequence[tuple[str, Kind, int, Mapping[str, Any]]]) -> list[OrderRecord]:
        found: list[OrderRecord] = []
        with _transaction(self._db) as database:
            for name, kind, at, data in entries:
                known = self._order(name)
                if known is None:
                    raise KeyError(name)
                after = applied(known, kind, at, data)
                found.append(after)
                if after == known:
                    continue  # late or doubled: nothing to write down
                self._insert(at, name, kind, data)
                database.execute(
                    "update orders set state = ?, owner = ?, record = ? where client_order_id = ?",
                    (after.state, after.owner, _json(as_data(after)), name),
                )
        return found

    def _insert(self, at: int, name: str, kind: str, data: Mapping[str, Any]) -> None:
        values = (at, name, kind, _json(data))
        self._db.execute("insert into entries (at, client_order_id, kind, data) values (?, ?, ?, ?)", values)

    def _order(self, name: str) -> OrderRecord | None:
        found = self._select("client_order_id = ?", [name])
        return found[0] if found else None

    def _before(self, name: str, seq: int) -> OrderRecord | None:
        rows = self._db.execute(
            "select kind, at, data from entries where client_order_id = ? and seq < ? order by seq",
            (name, seq),
        ).fetchall()
        if not rows:
            return None
        record = from_data(json.loads(rows[0][2]))
        for kind, at, data in rows[1:]:
            record = applied(record, kind, at, json.loads(data))
        return record

    def _select(self, where: str, values: list[Any]) -> list[OrderRecord]:
        rows = self._db.execute(f"select record from orders where {where}", values)
        return [from_data(json.loads(row[0])) for row in rows]

    def _take_over(self) -> list[OrderRecord]:
        taken: list[OrderRecord] = []
        for record in self._select("state in ('intent', 'unknown') order by intent_at", []):
            if record.owner == self.owner or not self._gone(record.owner):
                continue
            mine = replace(record, owner=self.owner)
            with _transaction(self._db) as database:
                changed = database.execute(
                    "update orders set owner = ?, record = ? where client_order_id = ? and owner = ?",
                    (mine.owner, _json(as_data(mine)), mine.client_order_id, record.owner),
                )
            if changed.rowcount:
                taken.append(mine)
        return taken

    def _unresolved(self) -> list[tuple[OrderRecord, bool]]:
        found = self._select("state in ('intent', 'unknown')", [])
        return [(r, r.owner != self.owner and self._gone(r.owner)) for r in found]

    def _gone(self, owner: str) -> bool:
        try:
            descriptor = self._locked(owner, create=False)
        except FileNotFoundError:
            return True
        if descriptor < 0:
            return False
        os.close(descriptor)
        return True

    def _claim(self, agent: str) -> Mapping[str, Any] | None:
        row = self._db.execute(
            "update decisions set state = 'claimed' where number = (select number from decisions"
            " where agent = ? and state = 'queued' order by number limit 1) and state = 'queued'"
            " returning document",
            (agent,),
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def _entries_after(self, mark: str, limit: int) -> list[Entry]:
        rows = self._db.execute(
            "select seq, at, client_order_id, kind, data from entries"
            " where seq > coalesce((select value from marks where name = ?), 0) order by seq limit ?",
            (mark, limit),
        )
        return [Entry(seq, at, name, kind, json.loads(data)) for seq, at, name, kind, data in rows]

    def _entries_since(self, seq: int, limit: int) -> list[Entry]:
        rows = self._db.execute(
            "select seq, at, client_order_id, kind, data from entries where seq > ? order by seq limit ?",
            (seq, limit),
        )
        return [Entry(n, at, name, kind, json.loads(data)) for n, at, name, kind, data in rows]

    def _move_mark(self, mark: str, seq: int) -> None:
        # Never back: another process may have got further.
        self._db.execute(
            "insert into marks values (?, ?) on conflict (name) do update set value = max(value, ?)",
            (mark, seq, seq),
        )

    def _take_turn(self, name: str, now: int, span_ms: int) -> bool:
        with _transaction(self._db) as database:
            row = database.execute("select owner, until from turns where name = ?", (name,)).fetchone()
            if row is not None and row[0] != self.owner and row[1] >= now and not self._gone(row[0]):
                return False
            database.execute(
                "insert or replace into turns values (?, ?, ?)", (name, self.owner, now + span_ms)
            )
        return True

    def _waiting(self, mark: str) -> int:
        row = self._db.execute(
            "select count(*) from entries where seq > coalesce((select value from marks where name = ?), 0)",
            (mark,),
        ).fetchone()
        return int(row[0])


class _transaction:
    """``begin immediate`` … ``commit``: other processes write to the same file."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        self._database.execute("begin immediate")
        return self._database

    def __exit__(self, kind: object, *rest: object) -> None:
        self._database.execute("commit" if kind is None else "rollback")


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), default=str)

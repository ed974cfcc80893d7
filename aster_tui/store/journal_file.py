"""One file of the journal: an SQLite database that one process at a time writes to.

Who writes holds an exclusive lock on a small file beside it: the lock ends with its process, and it is only
ever tried, never waited for. Everybody else reads, and SQLite's readers wait for no writer. Where a process
was stopped with one of SQLite's own short locks in its hands, a copy of the two files is read instead: they
are what a crash at that moment would have left.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aster_tui.domain.lifecycle import Kind, OrderRecord, applied, as_data, from_data

#: Nobody else writes to our file, and reading waits for no writer: what takes longer is stuck.
WRITE_SECONDS, READ_SECONDS = 0.5, 0.2
#: ``journal`` alone is the one file that all processes shared in earlier versions.
NAMES = re.compile(r"journal(?:-([1-9]\d*))?\.sqlite")
_COPIES = 3
_MOST_VALUES = 500
_SCHEMA = """
begin immediate;
create table if not exists entries (
    seq integer primary key autoincrement,
    at integer not null,
    client_order_id text not null,
    kind text not null,
    data text not null
);
create index if not exists entries_of_order on entries (client_order_id);
create index if not exists entries_errors on entries (seq) where kind = 'error';
create index if not exists entries_funding on entries (seq) where kind = 'funding';
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
create table if not exists strays (client_order_id text primary key) without rowid;
create table if not exists names (name text primary key, value text not null) without rowid;
create table if not exists marks (name text primary key, value integer not null) without rowid;
insert or ignore into names values ('journal', '{name}');
commit;
"""
_ENTRY = "select seq, at, client_order_id, kind, data from entries"

#: Client order id, kind, time (Unix ms), and what is known.
Line = tuple[str, Kind, int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. An error has no client order id; ``journal`` names the file it stands in."""

    seq: int
    at: int
    client_order_id: str
    kind: str
    data: Mapping[str, Any]
    journal: str


def stuck(error: sqlite3.Error) -> bool:
    """Whether somebody holds what SQLite needs."""
    held = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in held


def journal_paths(folder: Path) -> list[Path]:
    """The files there are, by their number."""
    found = [(int(match[1] or 0), name) for name in os.listdir(folder) if (match := NAMES.fullmatch(name))]
    return [folder / name for _, name in sorted(found)]


class JournalFile:
    """A file to read, and to write to once it was taken. Raises what SQLite raises."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: The name it was given when it was made, for good.
        self.name = ""
        #: Whether it can be written to.
        self.writable = False
        self._lock = -1
        self._database: sqlite3.Connection | None = None
        self._copy: _Copy | None = None

    @property
    def held(self) -> bool:
        """Whether no other process may write to it."""
        return self._lock >= 0

    def take(self) -> bool:
        """Become its writer, and make it if it is not there; False where another process lives or hangs
        that holds it."""
        self._lock = _locked(self.path.with_suffix(".lock"))
        if not self.held:
            return False
        try:
            if self.path.stem == "journal" and _lives_still(self.path.parent):
                self.release()
                return False
            self._open()
        except sqlite3.Error as error:
            self.release()
            if stuck(error):
                return False
            raise
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Close it, and let another process write to it."""
        self.leave()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def leave(self) -> None:
        """Write to it no more, and let nobody else do so."""
        self.close()
        self.writable = False

    def close(self) -> None:
        """Close what was opened to read it."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        if self._database is not None:
            self._database.close()
            self._database = None

    def ready(self) -> bool:
        """Whether it was made to the end."""
        if self.name:
            return True
        try:
            if not self.path.stat().st_size:
                return False
            self.name = self._rows("select value from names where name = 'journal'")[0][0]
        except FileNotFoundError:
            return False
        except (sqlite3.OperationalError, IndexError) as error:
            if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
                raise
            self.close()
            return False
        return True

    # Reading

    def order(self, name: str) -> OrderRecord | None:
        """An order that was intended here, as the lines of this file have it."""
        found = self.orders("client_order_id = ?", [name])
        return found[0] if found else None

    def orders(self, where: str, values: Sequence[Any] = ()) -> list[OrderRecord]:
        """The orders that were intended here."""
        rows = self._rows(f"select record from orders where {where}", values)
        return [from_data(json.loads(row[0])) for row in rows]

    def orders_from(self, after: str, limit: int) -> list[OrderRecord]:
        """The orders that were intended here, from one on, by client order id."""
        return self.orders("client_order_id > ? order by client_order_id limit ?", (after, limit))

    def known(self, names: Sequence[str]) -> list[str]:
        """Which of these orders were intended here."""
        found: list[str] = []
        for begin in range(0, len(names), _MOST_VALUES):
            part = names[begin : begin + _MOST_VALUES]
            marks = ",".join("?" * len(part))
            rows = self._rows(f"select client_order_id from orders where client_order_id in ({marks})", part)
            found += [row[0] for row in rows]
        return found

    def lines(self, name: str) -> list[Entry]:
        """What stands here of an order."""
        return self._entries("where client_order_id = ? order by seq", (name,))

    def strays(self) -> list[str]:
        """The orders of other files of which lines stand here."""
        try:
            return [row[0] for row in self._rows("select client_order_id from strays")]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []  # a file of an earlier version that nobody took yet
            raise

    def entries(self, after: int, limit: int) -> list[Entry]:
        """The lines after one, oldest first."""
        return self._entries("where seq > ? order by seq limit ?", (after, limit))

    def errors(self, limit: int) -> list[Entry]:
        """The last errors, newest first."""
        return self._entries("where kind = 'error' order by seq desc limit ?", (limit,))

    def errors_counted(self, last: int) -> list[tuple[str, str, str, int]]:
        """How many errors there are up to a line: (agent, code, source, count)."""
        told = ", ".join(
            f"coalesce(json_extract(data, '$.{name}'), '')" for name in ("agent", "code", "source")
        )
        return self._rows(
            f"select {told}, count(*) from entries where kind = 'error' and seq <= ? group by 1, 2, 3",
            (last,),
        )

    def funding(self) -> list[Entry]:
        """Every payment of funding, oldest first."""
        return self._entries("where kind = 'funding' order by seq", ())

    def last(self) -> int:
        """The number of the last line. They are numbered from one on, and none is ever taken away."""
        return int(self._rows("select coalesce(max(seq), 0) from entries")[0][0])

    def marks(self, mark: str) -> dict[str, int]:
        """How far its writers got with each file, by the files' names."""
        found: dict[str, int] = {}
        for name, value in self._rows("select name, value from marks"):
            kind, _, of = name.partition("/")
            if kind == mark:
                found[of or self.name] = value
        return found

    # Writing

    def intend(self, records: Sequence[OrderRecord]) -> None:
        """Write orders down, all or none."""
        rows = [(record, _json(as_data(record))) for record in records]
        with self._transaction() as database:
            for r, text in rows:
                database.execute(
                    "insert into orders values (?, ?, ?, ?, ?, ?, ?, ?)",
                    (r.client_order_id, r.account, r.agent_id, r.symbol, r.state, r.owner, r.intent_at, text),
                )
                _insert(database, r.intent_at, r.client_order_id, "intent", text)

    def adopt(self, orders: Sequence[tuple[OrderRecord, Mapping[str, Any]]]) -> None:
        """Write down orders of another machine, each with what that had told of it, all or none."""
        with self._transaction() as database:
            for r, told in orders:
                data = as_data(r)
                database.execute(
                    "insert into orders values (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        r.client_order_id,
                        r.account,
                        r.agent_id,
                        r.symbol,
                        r.state,
                        r.owner,
                        r.intent_at,
                        _json(data),
                    ),
                )
                _insert(database, r.intent_at, r.client_order_id, "adopted", _json({**data, "told": told}))

    def append(self, lines: Sequence[Line]) -> None:
        """Write down what became of orders, all or nothing; those of other files are strays here."""
        with self._transaction() as database:
            for name, kind, at, data in lines:
                _insert(database, at, name, kind, _json(data))
                before = self.order(name)
                if before is None:
                    database.execute("insert or ignore into strays values (?)", (name,))
                    continue
                after = applied(before, kind, at, data)
                database.execute(
                    "update orders set state = ?, record = ? where client_order_id = ?",
                    (after.state, _json(as_data(after)), name),
                )

    def note(self, at: int, kind: str, data: Mapping[str, Any]) -> None:
        """A line that is of no order."""
        with self._transaction() as database:
            _insert(database, at, "", kind, _json(data))

    def move_marks(self, mark: str, reached: Mapping[str, int]) -> None:
        """How far we got with each file; never back."""
        with self._transaction() as database:
            database.executemany(
                "insert into marks values (?, ?) on conflict (name) do update set value = max(value, ?)",
                [(f"{mark}/{name}", seq, seq) for name, seq in reached.items()],
            )

    def left_decisions(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Decisions that an earlier version queued here and nobody took, by the agents' names."""
        if not self._rows("select 1 from sqlite_master where name = 'decisions'"):
            return []
        rows = self._rows("select agent, document from decisions where state = 'queued' order by number")
        return [(agent, json.loads(document)) for agent, document in rows]

    def forget_decisions(self) -> None:
        """They were put where decisions are queued now."""
        with self._transaction() as database:
            database.execute("update decisions set state = 'claimed'")

    # SQLite

    def _open(self) -> None:
        self.close()
        if not self.path.exists():
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        database = self._database = _connected(self.path, "rw", WRITE_SECONDS)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        if not database.execute("select 1 from sqlite_master where name = 'entries_funding'").fetchone():
            try:
                database.executescript(_SCHEMA.format(name=secrets.token_hex(6)))
            except sqlite3.Error:
                _undo(database)
                raise
        self.writable = True
        if not self.ready():
            raise sqlite3.DatabaseError(f"{self.path.name} has no name")

    def _entries(self, rest: str, values: Sequence[Any]) -> list[Entry]:
        rows = self._rows(f"{_ENTRY} {rest}", values)
        return [Entry(seq, at, name, kind, json.loads(data), self.name) for seq, at, name, kind, data in rows]

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._copy is not None and self._copy.stamp != _stamp(self.path):
            self.close()  # its writer goes on
        if self._copy is None:
            try:
                if self._database is None:
                    self._database = _connected(self.path, "ro", READ_SECONDS)
                return self._database.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                if self.writable or not stuck(error):
                    raise
            self.close()  # first: to close a file ends all of a process's locks on it
            self._copy = _Copy(self.path)
        return self._copy.database.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._database
        if database is None or not self.writable:
            raise sqlite3.ProgrammingError(f"{self.path.name} is not ours to write to")
        database.execute("begin immediate")
        try:
            yield database
            database.execute("commit")
        except BaseException:
            _undo(database)
            raise


class _Copy:
    """A file as a crash would have left it when it was copied."""

    def __init__(self, path: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="aster-tui-journal-")
        copy = Path(self._folder.name) / path.name
        for _ in range(_COPIES):
            self.stamp = _stamp(path)
            shutil.copyfile(path, copy)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(_log(path), _log(copy))
            if self.stamp == _stamp(path):
                break
        else:
            self._folder.cleanup()
            raise sqlite3.OperationalError(f"{path.name} is locked and changes all the same")
        self.database = _connected(copy, "rw", READ_SECONDS)

    def close(self) -> None:
        self.database.close()
        self._folder.cleanup()


def _connected(path: Path, mode: str, seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def _insert(database: sqlite3.Connection, at: int, name: str, kind: str, text: str) -> None:
    database.execute(
        "insert into entries (at, client_order_id, kind, data) values (?, ?, ?, ?)", (at, name, kind, text)
    )


def _undo(database: sqlite3.Connection) -> None:
    # A disk that is full may have ended it already, and one that is gone cannot be told.
    with contextlib.suppress(sqlite3.Error):
        if database.in_transaction:
            database.execute("rollback")


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _stamp(path: Path) -> tuple[tuple[int, int], ...]:
    """Changes whenever the file or its log was written."""
    found = []
    for part in (path, _log(path)):
        try:
            status = part.stat()
        except FileNotFoundError:
            found.append((-1, 0))
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)


def _locked(path: Path) -> int:
    """The descriptor that holds a lock file; -1 when another process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lives(path: Path) -> bool:
    """Whether any process holds a file to write to it."""
    descriptor = _locked(path.with_suffix(".lock"))
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor < 0


def _lives_still(folder: Path) -> bool:
    """Whether a process of an earlier version, which all wrote to one file, is still at work."""
    for path in folder.glob("*.owner"):
        descriptor = _locked(path)
        if descriptor < 0:
            return True
        path.unlink(missing_ok=True)
        os.close(descriptor)
    return False


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), default=str)


def added_up(lines: Iterable[Entry]) -> tuple[OrderRecord | None, list[Entry]]:
    """What the lines of an order come to, its intent first; and the lines without those that two processes
    wrote both."""
    record: OrderRecord | None = None
    once: dict[str, Entry] = {}
    for line in lines:
        if line.kind in ("intent", "adopted"):
            record = from_data(line.data)
        elif record is None:
            continue
        else:
            record = applied(record, line.kind, line.at, line.data)  # type: ignore[arg-type]
        once.setdefault(f"{line.kind} {_json(line.data)}", line)
    return record, [*once.values()]

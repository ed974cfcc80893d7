"""The journal's files together, as one process has them: its own to write to, all of them to read. Blocks.

Entries are only ever appended, and an order is what its lines add up to: those of the file it was intended
in, and what others heard of it while that file's owner wrote nothing down (``strays``). The order of that
does not matter: news that comes late or twice changes nothing (:mod:`aster_tui.domain.lifecycle`).
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from aster_tui.domain.lifecycle import OrderRecord, applied
from aster_tui.store.base import StoreError
from aster_tui.store.journal_file import Entry, JournalFile, Line, journal_paths, lives, stuck
from aster_tui.store.shared_folder import LocalQueue, Turns

log = structlog.get_logger(__name__)

#: How long the owner of an order's file is given to write down what all of us heard.
PATIENCE_SECONDS = 0.3
_MOST_FILES = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _News:
    """What was heard of an order that stands in another process's file."""

    heard: float
    line: Line


class JournalFiles:
    """Raises what SQLite and the system raise.

    Args:
        owner: the name of this process's life.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._owner = owner
        self._opened = False
        self._mine: JournalFile | None = None
        self._adopted: dict[Path, JournalFile] = {}
        #: Files of ours in which somebody holds SQLite's locks: we keep them, and write there no more.
        self._left: dict[Path, JournalFile] = {}
        self._others: dict[Path, JournalFile] = {}
        self._news: deque[_News] = deque()
        self._told: set[str] = set()
        self._doubted: set[Path] = set()
        self._queue = LocalQueue(folder)
        self._turns = Turns(folder, owner)

    @property
    def name(self) -> str:
        """The name of the file that is written to."""
        return self._own.name

    def open(self) -> None:
        """Take a file to write to."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._opened = True
        try:
            self._mine = self._free_file()
        finally:
            self._opened = self._mine is not None

    def open_to_read(self) -> bool:
        """Only look; False when there is nothing yet."""
        self._opened = self._folder.is_dir() and bool(journal_paths(self._folder))
        return self._opened

    def close(self) -> None:
        """Let go of everything."""
        try:
            if self._mine is not None:
                self._hear(0.0)
                self._turns.leave_all()
        finally:
            for file in self._all():
                file.release()
            self._mine, self._opened = None, False
            for files in (self._adopted, self._left, self._others):
                files.clear()

    # Orders

    def intend(self, records: Sequence[OrderRecord]) -> None:
        """Write orders down, all or none.

        Raises:
            StoreError: a client order id was used before, by anybody.
        """
        names = [record.client_order_id for record in records]
        for file, found in self._ask(lambda file: file.known(names)):
            if found:
                raise used_already(f"{found[0]} in {file.path.name}")
        self._write(lambda file: file.intend(records))

    def adopt(self, orders: Sequence[tuple[OrderRecord, Mapping[str, Any]]]) -> list[OrderRecord]:
        """Write down orders of another machine, those that nobody here knows; which they were."""
        names = [record.client_order_id for record, _ in orders]
        known = {name for _, found in self._ask(lambda file: file.known(names)) for name in found}
        fresh = [(r, told) for r, told in orders if r.client_order_id not in known]
        if fresh:
            self._write(lambda file: file.adopt(fresh))
        # Found out by whoever adopted them: not as what a dead process of this machine left.
        self._told |= {record.client_order_id for record, _ in fresh}
        return [record for record, _ in fresh]

    def append(self, lines: Sequence[Line]) -> list[OrderRecord]:
        """Write down what became of orders; an order of another process's file after a moment, and only if
        that process has not."""
        self._hear(PATIENCE_SECONDS)
        known: dict[str, tuple[JournalFile, OrderRecord]] = {}
        found: list[OrderRecord] = []
        ours: list[tuple[JournalFile, Line]] = []
        news: list[_News] = []
        for line in lines:
            name, kind, at, data = line
            if name not in known:
                home, record = self._home(name)
                known[name] = home, self._with_news(self._sum(home, record))
            home, record = known[name]
            after = applied(record, kind, at, data)
            found.append(after)
            if after == record:
                continue  # late or doubled: nothing to write down
            known[name] = home, after
            if home.held:
                ours.append((home, line))
            else:
                news.append(_News(time.monotonic(), line))
        self._put(ours)
        self._news += news
        return found

    def order(self, name: str) -> OrderRecord | None:
        """One order."""
        try:
            return self._with_news(self._sum(*self._home(name)))
        except KeyError:
            return None

    def lines(self, name: str) -> list[Entry]:
        """All that stands of an order, the lines of its own file first."""
        try:
            home, _ = self._home(name)
        except KeyError:
            return []
        return [*home.lines(name), *self._stray_lines(home, name)]

    def orders(self, where: str, values: Sequence[Any]) -> list[OrderRecord]:
        """The orders of all files, oldest first."""
        files = [file for file in self._files() if file.ready()]
        strays = {name for file in files for name in file.strays()}
        found = [
            self._sum(file, record) if record.client_order_id in strays else record
            for file in files
            for record in file.orders(where, values)
        ]
        return sorted(found, key=lambda record: record.intent_at)

    def take_over(self, only: Collection[str] | None = None) -> list[OrderRecord]:
        """The unresolved orders of processes that are gone, each told once; their files are held until
        nothing of what was told is unresolved."""
        self._hear(PATIENCE_SECONDS)
        for file in [f for f in self._files() if not f.held]:
            with self._forgiving(file.path):
                if not file.ready() or not any(_among(r, only) for r in self._unresolved(file)):
                    continue
                if (taken := self._taken(file.path)) is not None:
                    self._others.pop(file.path, None)
                    self._adopted[file.path] = taken
        found: list[OrderRecord] = []
        for path, file in [*self._adopted.items()]:
            with self._forgiving(path):
                left = self._unresolved(file)
                new = [r for r in left if _among(r, only) and r.client_order_id not in self._told]
                self._told |= {record.client_order_id for record in new}
                found += [replace(record, owner=self._owner) for record in new]
                if not any(record.client_order_id in self._told for record in left):
                    del self._adopted[path]
                    file.release()
        return sorted(found, key=lambda record: record.intent_at)

    def unresolved(self) -> list[tuple[OrderRecord, bool]]:
        """All unresolved orders, each with whether its process is gone and nobody has taken it over."""
        found: list[tuple[OrderRecord, bool]] = []
        for file, records in self._ask(self._unresolved):
            if file.path in self._adopted:
                found += [(record, record.client_order_id not in self._told) for record in records]
                continue
            gone = bool(records) and not file.held and not lives(file.path)
            found += [(record, gone) for record in records]
        return found

    # Lines

    def note(self, at: int, kind: str, data: Mapping[str, Any]) -> None:
        """A line that is of no order."""
        self._write(lambda file: file.note(at, kind, data))

    def entries_after(self, mark: str, limit: int) -> list[Entry]:
        """The lines that no mark of a name has reached, about as they came."""
        self._hear(PATIENCE_SECONDS)
        reached = self._reached(mark)
        found = self._ask(lambda file: file.entries(reached.get(file.name, 0), limit))
        # By time, but never against the order of a file.
        return [*heapq.merge(*(lines for _, lines in found), key=lambda line: line.at)][:limit]

    def entries_since(self, reached: Mapping[str, int], limit: int) -> list[Entry]:
        """The lines after one of each file, at most so many of each."""
        self._hear(PATIENCE_SECONDS)
        files = [file for file in self._files() if file.ready()]
        return [line for file in files for line in file.entries(reached.get(file.name, 0), limit)]

    def last(self) -> dict[str, int]:
        """The number of the last line of each file."""
        return {file.name: file.last() for file in self._files() if file.ready()}

    def orders_from(self, name: str, after: str, limit: int) -> list[OrderRecord]:
        """The orders of a file, without what stands of them elsewhere."""
        return [r for file in self._files() if file.name == name for r in file.orders_from(after, limit)]

    def stray_lines(self) -> list[Entry]:
        """All lines of orders that stand outside of the orders' own files."""
        files = [file for file in self._files() if file.ready()]
        return [line for file in files for name in file.strays() for line in file.lines(name)]

    def errors(self, limit: int) -> list[Entry]:
        """The last errors, oldest first."""
        files = [file for file in self._files() if file.ready()]
        found = [line for file in files for line in file.errors(limit)]
        return sorted(found, key=lambda line: line.at)[-limit:]

    def errors_counted(self, last: Mapping[str, int]) -> list[tuple[str, str, str, int]]:
        """How many errors there are up to each file's line: (agent, code, source, count)."""
        files = [file for file in self._files() if file.ready()]
        return [row for file in files for row in file.errors_counted(last.get(file.name, 0))]

    def funding(self) -> list[Entry]:
        """Every payment of funding, about as they came."""
        files = [file for file in self._files() if file.ready()]
        return sorted((line for file in files for line in file.funding()), key=lambda line: line.at)

    def move_mark(self, mark: str, reached: Mapping[str, int]) -> None:
        """How far we got with each file."""
        self._write(lambda file: file.move_marks(mark, reached))

    def waiting(self, mark: str) -> int:
        """How many lines no mark of a name has reached."""
        reached = self._reached(mark)
        last = self._ask(lambda file: (file.name, file.last()))
        return sum(max(0, seq - reached.get(name, 0)) for _, (name, seq) in last)

    def _reached(self, mark: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for _, marks in self._ask(lambda file: file.marks(mark)):
            for name, seq in marks.items():
                found[name] = max(seq, found.get(name, 0))
        return found

    # What is shared

    def put(self, decision_id: str, agent: str, document: Mapping[str, Any]) -> None:
        """Queue a decision on this machine."""
        self._note_queued(document)
        self._queue.put(decision_id, agent, document)

    def claim(self, agent: str, claim: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Take the oldest decision for an agent."""
        document = self._queue.take(agent)
        if document is not None:
            # All of it: the file of whoever queued it may be read later than this one.
            self._note_queued(document, state="claimed", claim=dict(claim))
        return document

    def _note_queued(self, document: Mapping[str, Any], **more: Any) -> None:
        self.note(int(document.get("timestamp", 0)), "queued", {**document, "state": "local", **more})

    def begin(self, decision_id: str, agent: str, document: Mapping[str, Any]) -> bool:
        """Begin a decision of another queue; False when it was begun before."""
        return self._queue.begin(decision_id, agent, document)

    def begun(self, agent: str) -> list[Mapping[str, Any]]:
        """What was begun for an agent and did not end."""
        return self._queue.begun(agent)

    def finish(self, decision_id: str, agent: str, made_at: int, at: int, fields: Mapping[str, Any]) -> None:
        """A decision ended."""
        self.note(at, "decision", {"decision_id": decision_id, "fields": fields})
        self._queue.end(decision_id, agent, made_at)

    def forget(self, decision_id: str, agent: str, made_at: int) -> None:
        """A decision is somebody else's."""
        self._queue.end(decision_id, agent, made_at)

    def take_turn(self, name: str, now: int, span_ms: int) -> int:
        """Take a turn, or go on with it."""
        return self._turns.take(name, now, span_ms, self._lives, self._own.path.stem)

    def leave_turn(self, name: str) -> None:
        """Give a turn back."""
        self._turns.leave(name)

    def _lives(self, stem: str) -> bool:
        path = self._folder / f"{stem}.sqlite"
        # Who held a file of ours before us is gone.
        return not any(file.path == path and file.held for file in self._all()) and lives(path)

    # Files

    @property
    def _own(self) -> JournalFile:
        if self._mine is None:
            raise _closed()
        return self._mine

    def _all(self) -> list[JournalFile]:
        mine = [self._mine] if self._mine is not None else []
        return [*mine, *self._adopted.values(), *self._left.values(), *self._others.values()]

    def _files(self) -> list[JournalFile]:
        """Every file there is, by number."""
        if not self._opened:
            raise _closed()
        held = {file.path: file for file in self._all() if file.held}
        there = journal_paths(self._folder)
        for gone in self._others.keys() - {*there}:
            self._others.pop(gone).close()
        for path in there:
            if path not in held and path not in self._others:
                self._others[path] = JournalFile(path)
        return [held.get(path) or self._others[path] for path in there]

    def _free_file(self) -> JournalFile:
        """The first file that nobody holds and in which nothing waits to be taken over, or a new one."""
        paths = journal_paths(self._folder)
        for path in (p for p in paths if p not in self._left and p not in self._adopted):
            with self._forgiving(path):
                if (found := self._taken(path)) is not None and self._settled(found):
                    self._others.pop(path, None)
                    return found
        for number in range(1, _MOST_FILES):
            path = self._folder / f"journal-{number}.sqlite"
            if path not in paths and (made := self._taken(path)) is not None:
                return made
        raise OSError("there are too many files")

    def _settled(self, file: JournalFile) -> bool:
        """Whether nothing in a file we just took is unresolved; else it is let go."""
        self._adopted[file.path] = file
        settled = False
        try:
            settled = not self._unresolved(file)
        finally:
            del self._adopted[file.path]
            if not settled:
                file.release()
        return settled

    def _taken(self, path: Path) -> JournalFile | None:
        """A file to write to, where nobody else does."""
        if (other := self._others.get(path)) is not None:
            other.close()
        file = JournalFile(path)
        if not file.take():
            return None
        if left := file.left_decisions():
            for agent, document in left:
                self._queue.put(str(document["_id"]), agent, document)
            file.forget_decisions()
        return file

    def _write(self, call: Callable[[JournalFile], T]) -> T:
        """Write to our file; where somebody was stopped with SQLite's locks on it, to another one."""
        try:
            return call(self._own)
        except sqlite3.OperationalError as error:
            if not stuck(error):
                raise
            log.warning("a file of the journal is left", file=self._own.path.name, error=str(error))
        left = self._own
        left.leave()
        self._left[left.path] = left
        self._mine = self._free_file()
        return call(self._mine)

    def _ask(self, question: Callable[[JournalFile], T]) -> list[tuple[JournalFile, T]]:
        """What each file answers; one of another process that cannot be read is passed over."""
        answers = []
        for file in self._files():
            with self._forgiving(file.path):
                if file.ready():
                    answers.append((file, question(file)))
        return answers

    @contextlib.contextmanager
    def _forgiving(self, path: Path) -> Iterator[None]:
        """What is wrong with another process's file keeps nobody from sending; the ledger complains of it."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            if self._mine is not None and path == self._mine.path:
                raise
            if path not in self._doubted:
                self._doubted.add(path)
                log.warning("a file of the journal is passed over", file=path.name, error=str(error))

    # Adding up

    def _home(self, name: str) -> tuple[JournalFile, OrderRecord]:
        """The file an order was intended in, and what stands there of it."""
        for file, record in self._ask(lambda file: file.order(name)):
            if record is not None:
                return file, record
        raise KeyError(name)

    def _sum(self, home: JournalFile, record: OrderRecord) -> OrderRecord:
        for line in self._stray_lines(home, record.client_order_id):
            record = applied(record, line.kind, line.at, line.data)  # type: ignore[arg-type]
        return record

    def _stray_lines(self, home: JournalFile, name: str) -> list[Entry]:
        found = self._ask(lambda file: file.lines(name) if file is not home else [])
        return [line for _, lines in found for line in lines]

    def _with_news(self, record: OrderRecord) -> OrderRecord:
        for name, kind, at, data in (news.line for news in self._news):
            if name == record.client_order_id:
                record = applied(record, kind, at, data)
        return record

    def _unresolved(self, file: JournalFile) -> list[OrderRecord]:
        found = file.orders("state in ('intent', 'unknown') order by intent_at")
        return [summed for record in found if (summed := self._sum(file, record)).unresolved]

    def _hear(self, patience: float) -> None:
        """Write down what we heard of other processes' orders, and they did not."""
        while self._news and time.monotonic() - self._news[0].heard >= patience:
            name, kind, at, data = line = self._news[0].line
            with contextlib.suppress(KeyError):
                home, record = self._home(name)
                known = self._sum(home, record)
                if applied(known, kind, at, data) != known:
                    self._put([(home, line)])
            self._news.popleft()

    def _put(self, lines: Sequence[tuple[JournalFile, Line]]) -> None:
        """More lines of orders: where those stand if we may, else in our own file."""
        mine: list[Line] = []
        for home in {file.path: file for file, _ in lines}.values():
            its = [line for file, line in lines if file is home]
            if home.writable and home is not self._mine:
                try:
                    home.append(its)
                    continue
                except sqlite3.OperationalError as error:
                    if not stuck(error):
                        raise
            mine += its
        if mine:
            self._write(lambda file: file.append(mine))


def _among(record: OrderRecord, only: Collection[str] | None) -> bool:
    return only is None or record.client_order_id in only


def _closed() -> StoreError:
    return StoreError("the journal is closed", remedy="nothing is sent without it")


def used_already(which: str) -> StoreError:
    """A client order id was used before."""
    return StoreError(f"the journal holds this order already: {which}", remedy="nothing was sent twice")

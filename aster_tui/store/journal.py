"""The local journal of orders: written and synced to disk before the first byte of an order leaves.

Every process that trades writes to a file of its own, so that one which is stopped, or hangs, in the middle
of a write holds up no other; all of them read all files. A file is used again when its process is gone: there
are about as many as processes ever ran at once. What such a process left unresolved is taken over, once, by
whoever gets the lock of its file.

All calls are asynchronous and run on one thread: a disk that hangs never holds the loop.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aster_tui.domain.lifecycle import Kind, OrderRecord
from aster_tui.store.base import StoreError
from aster_tui.store.journal_file import Entry, Line, added_up
from aster_tui.store.journal_files import JournalFiles, used_already

if TYPE_CHECKING:
    from aster_tui.domain.events import ErrorRaised

__all__ = ["Entry", "Journal", "added_up"]

T = TypeVar("T")


class Journal:
    """One process's hold on the journal.

    Raises from every call:
        StoreError: the disk refused. Nothing may be sent then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "journal"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        #: The name of this process's life, which stands in what it wrote.
        self.owner = secrets.token_hex(8)
        self._files = JournalFiles(self._folder, self.owner)

    @property
    def name(self) -> str:
        """The name of the file that this process writes to."""
        return self._files.name

    async def open(self) -> None:
        """Take a file to write to."""
        await self._run(self._files.open)

    async def open_to_read(self) -> bool:
        """Look at the files only; False when there are none yet. Nothing can be written then."""
        return await self._run(self._files.open_to_read)

    async def close(self) -> None:
        """Let the file go; what is unresolved may be taken over from now on."""
        await self._run(self._files.close)
        self._thread.shutdown(wait=False)

    async def intend(self, record: OrderRecord) -> None:
        """Write an order down before it is sent; it is on the disk when this returns.

        Raises:
            StoreError: also when the client order id was used before: then nothing may be sent.
        """
        await self.intend_many((record,))

    async def intend_many(self, records: Sequence[OrderRecord]) -> None:
        """Write orders down, all or none, with one write to the disk. Raises what :meth:`intend` raises."""
        mine = [replace(record, owner=self.owner) for record in records]
        await self._run(lambda: self._files.intend(mine))

    async def append(self, client_order_id: str, kind: Kind, at: int, data: Mapping[str, Any]) -> OrderRecord:
        """Write down what became of an order; returns what is known of it now.

        An order of another process's file is that one's to write down; it is done here when that process
        has not done so after a moment.

        Raises:
            KeyError: no such order was intended on this machine.
        """
        (after,) = await self.append_many(((client_order_id, kind, at, data),))
        return after

    async def append_many(self, lines: Sequence[Line]) -> list[OrderRecord]:
        """Write down what became of several orders, those of this process all or none; what is known of each
        now. Raises what :meth:`append` raises."""
        return await self._run(lambda: self._files.append(lines))

    async def error(self, error: ErrorRaised) -> None:
        """Keep an error, for the database."""
        await self.note("error", error.at, {name: getattr(error, name) for name in error.__slots__})

    async def note(self, kind: str, at: int, data: Mapping[str, Any]) -> None:
        """Keep anything else that the database is to be told, in its place among the orders."""
        await self._run(lambda: self._files.note(at, kind, data))

    async def queue(self, decision_id: str, agent: str, document: Mapping[str, Any]) -> None:
        """Queue a decision on this machine, for when the database cannot be reached; the database is told of
        it when it can."""
        await self._run(lambda: self._files.put(decision_id, agent, document))

    async def claim(self, agent: str, claim: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Take the oldest decision queued on this machine for an agent (by name); each is taken once.

        Args:
            claim: who takes it, for the database: ``owner`` and ``epoch`` of its lease, and when (``at``).
        """
        return await self._run(lambda: self._files.claim(agent, claim))

    async def begin(self, decision_id: str, agent: str, document: Mapping[str, Any]) -> bool:
        """Begin a decision that was queued elsewhere; False when it was begun on this machine before."""
        return await self._run(lambda: self._files.begin(decision_id, agent, document))

    async def begun(self, agent: str) -> list[Mapping[str, Any]]:
        """The decisions of an agent (by name) that were begun on this machine and did not end, oldest
        first."""
        return await self._run(lambda: self._files.begun(agent))

    async def finish(self, decision_id: str, agent: str, made_at: int, at: int, fields: Any) -> None:
        """A decision of an agent (by name), made at a time, ended: the database is to be told ``fields``."""
        await self._run(lambda: self._files.finish(decision_id, agent, made_at, at, fields))

    async def forget(self, decision_id: str, agent: str, made_at: int) -> None:
        """A decision that was begun here is somebody else's: nothing is told of it."""
        await self._run(lambda: self._files.forget(decision_id, agent, made_at))

    async def adopt(self, orders: Sequence[tuple[OrderRecord, Mapping[str, Any]]]) -> list[OrderRecord]:
        """Take what another machine's journal told of orders that this one does not know, each with what it
        had told so far; those that are new here. What is unresolved of them is this process's to find out."""
        mine = [(replace(record, owner=self.owner), told) for record, told in orders]
        return await self._run(lambda: self._files.adopt(mine))

    async def order(self, client_order_id: str) -> OrderRecord | None:
        """One order."""
        return await self._run(lambda: self._files.order(client_order_id))

    async def lines(self, client_order_ids: Iterable[str]) -> dict[str, list[Entry]]:
        """All that stands of orders anywhere, the lines of their own file first."""
        names = list(client_order_ids)
        return await self._run(lambda: {name: self._files.lines(name) for name in names})

    async def orders(self, *, agent_id: str | None = None, since: int = 0) -> list[OrderRecord]:
        """Orders intended since a time, oldest first."""
        where, values = "intent_at >= ?", [since]  # type: tuple[str, list[Any]]
        if agent_id is not None:
            where, values = f"{where} and agent_id = ?", [*values, agent_id]
        return await self._run(lambda: self._files.orders(where, values))

    async def last(self) -> dict[str, int]:
        """The number of the last line of each file, by its name."""
        return await self._run(self._files.last)

    async def orders_from(self, journal: str, after: str, limit: int) -> list[OrderRecord]:
        """The orders of a file after a client order id, by client order id: as its own lines have them."""
        return await self._run(lambda: self._files.orders_from(journal, after, limit))

    async def stray_lines(self) -> list[Entry]:
        """All lines of orders that stand outside of the orders' own files."""
        return await self._run(self._files.stray_lines)

    async def errors(self, limit: int) -> list[Entry]:
        """The last errors, oldest first."""
        return await self._run(lambda: self._files.errors(limit))

    async def errors_counted(self, last: Mapping[str, int]) -> list[tuple[str, str, str, int]]:
        """How many errors there ever were up to each file's line: (agent, code, source, count)."""
        return await self._run(lambda: self._files.errors_counted(last))

    async def funding(self) -> list[Entry]:
        """Every payment of funding, oldest first."""
        return await self._run(self._files.funding)

    async def take_over(self, only: Collection[str] | None = None) -> list[OrderRecord]:
        """The unresolved orders of processes that are gone; they are this one's from now on, and each is
        told once.

        Args:
            only: those that this process can find out about, by client order id; None for all.
        """
        return await self._run(lambda: self._files.take_over(only))

    async def unresolved(self) -> list[tuple[OrderRecord, bool]]:
        """The orders of which nobody knows yet if the exchange has them, whoever's they are, each with
        whether its process is gone and nobody has taken it over."""
        return await self._run(self._files.unresolved)

    async def entries_after(self, mark: str, limit: int) -> list[Entry]:
        """The entries that nobody's mark of a name has reached, oldest first; those of a file in their
        order."""
        return await self._run(lambda: self._files.entries_after(mark, limit))

    async def entries_since(self, reached: Mapping[str, int], limit: int) -> list[Entry]:
        """The entries after a line of each file (by its name), at most so many of each, in their order."""
        return await self._run(lambda: self._files.entries_since(reached, limit))

    async def move_mark(self, mark: str, reached: Mapping[str, int]) -> None:
        """Everything up to a line of each file (by its name) was dealt with."""
        await self._run(lambda: self._files.move_mark(mark, reached))

    async def take_turn(self, name: str, now: int, span_ms: int) -> int:
        """Take a turn at something that one process of this machine does at a time, or go on with it: its
        number, which rises whenever it is taken anew; 0 while it is another's. It ends by itself.

        Args:
            now: ms of a clock that is the same for all who take turns of this name.
        """
        return await self._run(lambda: self._files.take_turn(name, now, span_ms))

    async def leave_turn(self, name: str) -> None:
        """Give a turn back, so that the next one need not wait for its end."""
        await self._run(lambda: self._files.leave_turn(name))

    async def counts(self, mark: str) -> int:
        """How many entries nobody's mark of a name has reached."""
        return await self._run(lambda: self._files.waiting(mark))

    async def _run(self, call: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return call()
            except sqlite3.IntegrityError as error:
                raise used_already(str(error)) from error
            except (sqlite3.Error, OSError, ValueError) as error:
                raise StoreError(
                    f"the journal {self._folder} cannot be used: {error}",
                    remedy="free or repair the disk; no order is sent until the journal can be written",
                ) from error

        loop = asyncio.get_running_loop()
        # Once begun, a write is finished: a cancelled caller must not leave half of one behind.
        return await asyncio.shield(loop.run_in_executor(self._thread, guarded))

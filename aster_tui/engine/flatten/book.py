"""The journal as a close-all uses it: every order is written down first, and no disk holds a close up.

What several accounts write at the same time goes to the disk together. When the journal takes too long, that
is said once, and closing goes on without waiting for it: every close is reduce-only, so what is not written
down can still open nothing. A slow disk gets everything all the same; one that refuses gets nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from aster_tui.domain.lifecycle import Kind, OrderRecord
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal

log = structlog.get_logger(__name__)

#: How long a close waits for the disk.
PATIENCE_SECONDS = 1.0
#: How long the end waits for a disk that was not slow before: everything is closed by then.
LAST_SECONDS = 5.0
_Entry = tuple[str, Kind, int, Mapping[str, Any]]


class FlattenBook:
    """Writes down what one close-all sends and what came back.

    Args:
        journal: None to write nothing down.
        opens: whether the journal is opened and closed here; otherwise it is somebody else's and open.
        on_record: told each order's record as it changes.
    """

    def __init__(
        self,
        journal: Journal | None,
        *,
        opens: bool = False,
        on_record: Callable[[OrderRecord], None] | None = None,
    ) -> None:
        self._journal, self._opens = journal, opens
        self._on_record = on_record or (lambda record: None)
        self._intents: list[tuple[Sequence[OrderRecord], asyncio.Future[None]]] = []
        self._entries: list[_Entry] = []
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._asked: set[str] = set()
        self._broken = False
        self._idle = asyncio.Event()
        #: Why orders go before they are written down, empty while they do not.
        self.trouble = "" if journal is not None else "there is no journal"

    def start(self) -> None:
        """Begin; the journal is opened in the background."""
        if self._journal is not None:
            self._writer = asyncio.create_task(self._write(self._journal))

    async def intend(self, records: Sequence[OrderRecord]) -> None:
        """Write orders down before they are sent, as far as that does not hold them up."""
        if self._broken or self._writer is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._intents.append((records, done))
        self._asked.update(record.client_order_id for record in records)
        self._wake.set()
        if self.trouble:
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.shield(done)
        except TimeoutError:
            self._slow()

    def note(self, client_order_id: str, kind: Kind, at: int, data: Mapping[str, Any]) -> None:
        """Write down, soon, what became of an order."""
        if client_order_id in self._asked and not self._broken:
            self._entries.append((client_order_id, kind, at, data))
            self._wake.set()

    async def unresolved(self) -> list[tuple[OrderRecord, bool]]:
        """The orders whose fate nobody knows, each with whether its process is gone; empty when the journal
        cannot be read."""
        if self._journal is None or self._writer is None:
            return []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._opened.wait()
                return await self._journal.unresolved()
        except TimeoutError:
            self._slow()
        except StoreError as error:
            self._fail(str(error))
        return []

    async def close(self) -> None:
        """Write what is left."""
        if self._writer is None or self._journal is None:
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS if self.trouble else LAST_SECONDS):
                while (self._intents or self._entries or not self._idle.is_set()) and not self._broken:
                    self._wake.set()
                    await asyncio.sleep(0.002)
        except TimeoutError:
            self._slow()
            self._broken = True
        self._writer.cancel()
        await asyncio.wait({self._writer})
        if self._opens and self._opened.is_set() and not self._broken:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._journal.close()
            except (TimeoutError, StoreError) as error:
                log.warning("the journal was not closed", error=str(error))

    async def _write(self, journal: Journal) -> None:
        try:
            if self._opens:
                await journal.open()
            self._opened.set()
            while True:
                self._idle.set()
                await self._wake.wait()
                self._wake.clear()
                self._idle.clear()
                await self._write_all(journal)
        except StoreError as error:
            self._fail(str(error))

    async def _write_all(self, journal: Journal) -> None:
        intents, self._intents = self._intents, []
        # With them: what is told while the disk is slow may be of orders that are not written down yet.
        entries, self._entries = self._entries, []
        if intents:
            try:
                await journal.intend_many([record for records, _ in intents for record in records])
            except StoreError as error:
                self._intents += intents
                self._fail(str(error))
                return
            for records, done in intents:
                for record in records:
                    self._on_record(record)
                if not done.done():
                    done.set_result(None)
        if entries:
            for after in await journal.append_many(entries):
                self._on_record(after)

    def _slow(self) -> None:
        self._say(f"the disk did not answer within {PATIENCE_SECONDS:.0f} s")

    def _fail(self, words: str) -> None:
        self._broken = True
        self._say(words)

    def _say(self, words: str) -> None:
        if not self.trouble:
            self.trouble = words
            log.error("a close-all does not wait for its journal any longer", why=words)
        for _, done in self._intents:
            if not done.done():
                done.set_result(None)  # it goes on, unwritten

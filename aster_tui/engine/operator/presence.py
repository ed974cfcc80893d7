"""Which consoles are attached: this one tells the others that it is there, where it may write, and looks who
else is."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aster_tui.domain.commands import Presence
from aster_tui.domain.events import ConsolesSeen
from aster_tui.domain.views import ConsoleView
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.identity import Identity
from aster_tui.store.base import StoreError
from aster_tui.store.mongo import MongoReader
from aster_tui.store.trading import TradingStore

BEAT_SECONDS = 3.0
#: A console that was not heard of for this long is gone.
GONE_MS = 12_000
LEAVE_SECONDS = 1.0


class Attendance:
    """Tells of this console and looks for the others. A store that only reads tells nothing.

    Args:
        attached: whether this process is a console; others only look.
    """

    def __init__(self, core: Core, store: MongoReader | None, who: Identity, *, attached: bool) -> None:
        self._core = core
        self._store = store
        self._who = who
        self._attached = attached
        self._since = now_ms()
        self._mine = Presence()
        self._wake = asyncio.Event()
        self.console_id = secrets.token_hex(6)

    @property
    def armed(self) -> bool:
        """Whether this console may add risk now, as it last said."""
        return self._mine.armed

    def tell(self, presence: Presence) -> None:
        """This console changed: the others are told at once."""
        if presence != self._mine:
            self._mine = presence
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled; says good-bye. Without a database there is nobody to see."""
        if self._store is None:
            return
        try:
            while True:
                self._wake.clear()
                with contextlib.suppress(StoreError):  # the database's feed says that it is away
                    await self._beat()
                    self._core.emit(ConsolesSeen(now_ms(), self._views(await self._store.consoles())))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._wake.wait()
        finally:
            if self._attached and isinstance(self._store, TradingStore):
                with contextlib.suppress(StoreError, TimeoutError, asyncio.CancelledError):
                    async with asyncio.timeout(LEAVE_SECONDS):
                        await self._store.leave(self.console_id)

    async def _beat(self) -> None:
        if self._attached and isinstance(self._store, TradingStore):
            fields = {
                "operator": self._who.operator,
                "host": self._who.host,
                "since": self._since,
                "armed": self._mine.armed,
                "watching": self._mine.watching,
            }
            await self._store.beat(self.console_id, fields)

    def _views(self, rows: tuple[Mapping[str, Any], ...]) -> tuple[ConsoleView, ...]:
        views = [_view(row, self.console_id) for row in rows]
        newest = max((view.seen_at for view in views), default=0)
        return tuple(view for view in views if newest - view.seen_at < GONE_MS)


def _view(row: Mapping[str, Any], mine: str) -> ConsoleView:
    seen, since = row.get("seenAt"), row.get("since")
    return ConsoleView(
        console_id=str(row.get("_id", "")),
        operator=str(row.get("operator") or "?"),
        host=str(row.get("host") or "?"),
        since=int(since) if isinstance(since, int | float) else 0,
        seen_at=int(seen.timestamp() * 1000) if isinstance(seen, datetime) else 0,
        armed=row.get("armed") is True,
        watching=str(row.get("watching") or ""),
        mine=str(row.get("_id", "")) == mine,
    )

"""What other machines ordered for an agent: read from MongoDB into this machine's journal.

An agent may be traded here that was traded elsewhere before. Its stops, its part of a shared account, what it
lost today and how often it ordered are then known from the ``orders`` that the other machine's journal told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aster_tui.domain.lifecycle import UNRESOLVED, OrderRecord
from aster_tui.domain.records import order_record
from aster_tui.domain.safeguards import DAY_MS
from aster_tui.engine.core import now_ms
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.store.journal import Journal
from aster_tui.store.trading import TradingStore

#: Purposes that belong to the worker that holds the agent; others are their senders' to find out.
_OF_A_WORKER = ("entry", "stop", "target", "close")
#: How long what was read counts as read.
FRESH_SECONDS = 20.0


class Adoption:
    """Reads each agent's orders: all of them at first, then the last day's."""

    def __init__(self, store: TradingStore, journal: Journal, ledger: Ledger) -> None:
        self._store, self._journal, self._ledger = store, journal, ledger
        self._read_at: dict[str, float] = {}

    async def agent(self, agent_id: str, *, epoch: int = 0, now: bool = False) -> list[OrderRecord]:
        """Adopt what is not known of an agent; the orders that are unresolved of it.

        Args:
            epoch: that of our lease: what older ones left unresolved is ours to find out.
            now: also if it was done a moment ago.

        Raises:
            StoreError: the database or the journal.
        """
        read_at = self._read_at.get(agent_id)
        if not now and read_at is not None and time.monotonic() - read_at < FRESH_SECONDS:
            return []
        since = 0 if read_at is None else now_ms() - DAY_MS
        await self._ledger.refresh()
        rows = await self._store.orders_of(agent_id, since=since, known=self._ledger.records.keys())
        found = [(record, _told(row)) for row in rows if (record := order_record(row)) is not None]
        adopted = await self._journal.adopt([(r, told) for r, told in found if _ours(r, epoch)])
        await self._ledger.refresh()
        self._read_at[agent_id] = time.monotonic()
        return [r for r in adopted if r.unresolved]


def _ours(record: OrderRecord, epoch: int) -> bool:
    if record.state not in UNRESOLVED:
        return True
    return record.purpose in _OF_A_WORKER and record.epoch < epoch


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the other machine had told of an order: it stays the beginning of its history."""
    history = [{k: v for k, v in line.items() if k != "_id"} for line in row.get("history") or ()]
    return {"lines": int(row.get("lines") or 0), "history": history}

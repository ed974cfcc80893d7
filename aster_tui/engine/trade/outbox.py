"""From the journal into MongoDB: orders, errors, paper documents and decisions, each exactly once in effect,
those of a file of the journal in their order.

A database that is away delays this and loses nothing. One process of a machine does it at a time, by turns;
two that do it at once do no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.records import error_record, order_document
from aster_tui.engine.core import Core, now_ms
from aster_tui.store.base import StoreError, StoreRefused, StoreUnavailable
from aster_tui.store.journal import Entry, Journal, added_up
from aster_tui.store.trading import TradingStore

MARK = "mongo"
AT_ONCE = 200
IDLE_SECONDS, AWAY_SECONDS = 0.3, 1.0
#: A turn outlives the time-outs of one step; an idle one is taken again at once.
TURN_MS = 8_000


class Outbox:
    """Feeds one database from one journal."""

    def __init__(
        self, core: Core, journal: Journal, store: TradingStore, costs: PaperCosts | None = None
    ) -> None:
        self._core = core
        self._journal = journal
        self._store = store
        self._costs = costs or PaperCosts()
        self._prepared = False

    async def run(self) -> None:
        """Until cancelled."""
        await self._feed()

    async def drained(self) -> bool:
        """Whether the database knows everything."""
        return not await self._journal.counts(MARK)

    async def _feed(self) -> None:
        told = False
        while True:
            # For a while at a time: a process that is stopped must not keep the others from it.
            if not await self._journal.take_turn(MARK, now_ms(), TURN_MS):
                await asyncio.sleep(AWAY_SECONDS)
                continue
            try:
                if not self._prepared:
                    # Without its unique index "exactly once" would be a hope.
                    await self._store.prepare()
                    self._prepared = True
                moved = await self.step()
            except StoreError as error:
                if not told:
                    told = True
                    self._core.problem(
                        "mongo", f"the database is not told of orders now: {error}", remedy=_REMEDY
                    )
                await asyncio.sleep(AWAY_SECONDS)
                continue
            told = False
            if not moved:
                await asyncio.sleep(IDLE_SECONDS)

    async def step(self) -> int:
        """Write the next lines; how many there were.

        Raises:
            StoreError: the database did not take one; it is tried again by the next step.
        """
        entries = await self._journal.entries_after(MARK, AT_ONCE)
        names = {entry.client_order_id for entry in entries} - {""}
        orders = await self._journal.lines(names) if names else {}
        reached: dict[str, int] = {}
        try:
            for entry in entries:
                try:
                    # An order is told once a step, with all that is known of it by now.
                    if not entry.client_order_id:
                        await self._write(entry)
                    elif entry.client_order_id in orders:
                        await self._order(orders.pop(entry.client_order_id))
                except (StoreUnavailable, StoreRefused):
                    raise  # nobody may lose a line because a password expired or a role was taken away
                except StoreError as error:
                    # A line the database refuses for itself must not hold up all that come after it.
                    self._core.problem(
                        "mongo", f"a line of the journal was refused: {error}", remedy=error.remedy
                    )
                reached[entry.journal] = entry.seq
        finally:
            if reached:
                await self._journal.move_mark(MARK, reached)
        return len(entries)

    async def _write(self, entry: Entry) -> None:
        data, store = entry.data, self._store
        key = f"{entry.journal}-{entry.seq}"
        if entry.kind == "error":
            error = ErrorRaised(**data)
            await store.record_error(key, error_record(error))
        elif entry.kind == "decision":
            await store.finish_decision(data["decision_id"], data["fields"])
        elif entry.kind == "queued":
            await store.queue_decision(data)
        elif entry.kind == "paper-entry":
            await store.enter_paper(data["position"], data.get("trade", {}), shadow=data["shadow"])
        elif entry.kind == "paper-exit":
            await store.exit_paper(
                data["position_id"], data["fields"], data.get("trade", {}), shadow=data["shadow"]
            )
        elif entry.kind == "audit":
            await store.record_audit(data)
        elif entry.kind == "mode":
            await store.set_paper(data["agent_id"], data["paper"], keeps=data.get("keeps"), line=key)

    async def _order(self, lines: list[Entry]) -> None:
        record, once = added_up(lines)
        if record is None:
            return
        # What another machine had told of it comes first.
        told: Mapping[str, Any] = next((e.data.get("told", {}) for e in once if e.kind == "adopted"), {})
        history = [
            {"at": e.at, "kind": e.kind, "journal": e.journal, "seq": e.seq, **_shown(e)} for e in once
        ]
        count = len(lines) + int(told.get("lines", 0))
        await self._store.record_order(
            order_document(record, self._costs), [*told.get("history", ()), *history], count
        )


def _shown(entry: Entry) -> Mapping[str, Any]:
    return (
        {}
        if entry.kind in ("intent", "adopted")
        else {k: v for k, v in entry.data.items() if v not in ("", None)}
    )


_REMEDY = "trading goes on; it is told as soon as the database is back"

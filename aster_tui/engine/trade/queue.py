"""Where a worker's decisions come from: MongoDB's queue, and this machine's for when that is away.

Each is begun at most once: by a claim in the database, and by a line in the journal where a claim's answer
was lost or a decision was queued in both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import structlog

from aster_tui.domain.documents import AgentDocument
from aster_tui.engine.core import now_ms
from aster_tui.engine.trade.leases import HeldLease
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from aster_tui.store.trading import QueuedDecision, TradingStore

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.2


class Queue:
    """Gives each agent's decisions in their order."""

    def __init__(self, store: TradingStore, journal: Journal) -> None:
        self._store, self._journal = store, journal
        self._waiting: set[str] = set()
        #: Agents for which a claim may hold in the database that nobody here knows of.
        self._doubtful: set[str] = set()

    async def look(self) -> None:
        """Look for whom decisions wait in the database, until cancelled."""
        while True:
            try:
                self._waiting = await self._store.agents_with_decisions()
            except StoreError:
                self._waiting = set()
            await asyncio.sleep(LOOK_SECONDS)

    async def take(self, agent: AgentDocument, held: HeldLease) -> QueuedDecision | None:
        """Take an agent's next decision; None when there is none, or when it cannot be known."""
        try:
            claim = {"owner": held.lease.owner, "epoch": held.lease.epoch, "at": now_ms()}
            local = await self._journal.claim(agent.name, claim)
            if local is not None:
                return await self._taken_here(agent, held, local)
            if agent.agent_id in self._doubtful:
                return await self._claimed_before(agent, held)
            if agent.agent_id not in self._waiting:
                return None
            # Until its answer is here nobody knows whether a claim holds.
            self._doubtful.add(agent.agent_id)
            taken = await self._store.claim_decision(held.lease, now_ms())
            if taken is not None and not await self._journal.begin(
                taken.decision_id, agent.name, _document(taken)
            ):
                taken = None  # it was queued twice, here and in the database
            self._doubtful.discard(agent.agent_id)
            return taken
        except StoreError:
            return None

    async def _taken_here(
        self, agent: AgentDocument, held: HeldLease, local: Mapping[str, Any]
    ) -> QueuedDecision | None:
        """A decision queued on this machine, unless the database knows that somebody took it already."""
        decision_id, made = str(local["_id"]), int(local.get("timestamp", 0))
        with contextlib.suppress(StoreError):  # away: that is why it was queued here
            if not await self._store.claim_local(decision_id, held.lease, now_ms()):
                log.warning("a decision was taken elsewhere already", decision=decision_id)
                await self._journal.forget(decision_id, agent.name, made)
                return None
        return QueuedDecision(decision_id, agent.agent_id, local.get("decision", {}), made)

    async def _claimed_before(self, agent: AgentDocument, held: HeldLease) -> QueuedDecision | None:
        """What was claimed for us without our learning of it, if anything was."""
        for taken in await self._store.claimed_decisions(held.lease):
            if await self._journal.begin(taken.decision_id, agent.name, _document(taken)):
                return taken
        self._doubtful.discard(agent.agent_id)
        return None


def _document(taken: QueuedDecision) -> dict[str, Any]:
    return {"_id": taken.decision_id, "decision": dict(taken.raw), "timestamp": taken.made_at}

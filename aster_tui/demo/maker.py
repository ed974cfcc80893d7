"""How the demo's decision maker hands decisions over: into the queue, as any decision maker does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.records import decision_document
from aster_tui.store.trading import TradingStore, new_id

#: For how long a coin an agent has just decided on counts as held: the database learns of it a little later.
PENDING_SECONDS = 5.0


class Maker:
    """Queues decisions; a worker carries them out."""

    def __init__(self, store: TradingStore) -> None:
        self._store = store
        self._pending: dict[tuple[str, str], float] = {}

    async def queue(self, agent: AgentDocument, arguments: Mapping[str, Any]) -> None:
        """Queue one decision.

        Raises:
            StoreError: the database did not take it.
        """
        self._pending[agent.agent_id, str(arguments.get("coin"))] = time.monotonic()
        at = time.time_ns() // 1_000_000
        document = decision_document(new_id(), agent.agent_id, agent.name, arguments, at)
        await self._store.queue_decision(document)

    async def held(self, agent: AgentDocument) -> list[str]:
        """Coins the agent holds by its documents, but for those it has just decided on."""
        documents = await self._store.open_positions(agent.agent_id)
        return sorted({d.coin for d in documents} - self._just_decided(agent))

    async def busy(self, agent: AgentDocument) -> set[str]:
        """Coins the agent holds or has just decided on."""
        documents = await self._store.open_positions(agent.agent_id)
        return {d.coin for d in documents} | self._just_decided(agent)

    def _just_decided(self, agent: AgentDocument) -> set[str]:
        now = time.monotonic()
        return {
            coin
            for (agent_id, coin), at in self._pending.items()
            if agent_id == agent.agent_id and now - at < PENDING_SECONDS
        }

"""Follows what the streams tell of our orders: into the journal, and to the orders that have lost their
purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aster_tui.aster.trader import Trader
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import Event, OrderUpdate
from aster_tui.engine.core import Core
from aster_tui.engine.desk import OrderDesk
from aster_tui.engine.executor import Executor
from aster_tui.engine.ledger import Ledger
from aster_tui.store.base import StoreError

#: A close and the news of its position come as a burst.
SETTLE_SECONDS = 0.4


class Guardian:
    """Tells the desk of every order event, and cancels the orphans of agents that are served here.

    Args:
        serves: whether this process trades for an agent.
    """

    def __init__(
        self,
        core: Core,
        desk: OrderDesk,
        ledger: Ledger,
        executor: Executor,
        client_of: Callable[[str], Trader | None],
        serves: Callable[[str], bool],
    ) -> None:
        self._core, self._desk, self._ledger = core, desk, ledger
        self._executor, self._client_of, self._serves = executor, client_of, serves
        self._updates: asyncio.Queue[OrderUpdate] = asyncio.Queue()
        self._looking: set[tuple[str, str]] = set()

    def listen(self, event: Event) -> None:
        """Take an event; nothing is waited for here."""
        if isinstance(event, OrderUpdate):
            self._updates.put_nowait(event)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                update = await self._updates.get()
                try:
                    await self._desk.tell(update)
                except StoreError as error:
                    self._core.problem("journal", str(error), remedy=error.remedy)
                if not update.order.executed or not (update.order.reduces or update.order.forced):
                    continue
                for agent in self._core.state.agents_of(update.account):
                    key = (agent.agent_id, update.order.symbol)
                    if self._serves(agent.agent_id) and key not in self._looking:
                        self._looking.add(key)
                        tasks.create_task(self._after(agent, update.order.symbol))

    async def _after(self, agent: AgentDocument, symbol: str) -> None:
        """Something of a position was closed: what protected it has nothing to protect any more."""
        try:
            await asyncio.sleep(SETTLE_SECONDS)
            client = self._client_of(agent.user_address or "")
            if client is None:
                return
            await self._ledger.refresh()
            if not self._executor.share(agent, symbol):
                await self._executor.cancel_orphans(agent, client, symbol)
                return
            done = {
                r.decision_id
                for r in self._ledger.of_agent(agent.agent_id, symbol)
                if r.purpose in ("stop", "target") and r.status == "FILLED"
            }
            orphans = [
                r for r in self._ledger.open_protection(agent.agent_id, symbol) if r.decision_id in done
            ]
            await self._executor.cancel(agent, client, orphans)
        finally:
            self._looking.discard((agent.agent_id, symbol))

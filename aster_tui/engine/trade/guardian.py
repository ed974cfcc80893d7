"""Follows what the streams tell of our orders: into the journal, and to the orders that have lost their
purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aster_tui.aster.trader import Trader
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import Event, OrderUpdate, SyncFinished
from aster_tui.domain.trading import account_key
from aster_tui.engine.core import Core
from aster_tui.engine.trade.desk import OrderDesk
from aster_tui.engine.trade.executor import Executor
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.protection import Protection
from aster_tui.store.base import StoreError

#: A close and the news of its position come as a burst.
SETTLE_SECONDS = 0.4
#: A sweep lets alone what was placed this shortly before the account was read.
OLD_MS = 3_000


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
        protection: Protection,
        client_of: Callable[[str], Trader | None],
        serves: Callable[[str], bool],
    ) -> None:
        self._core, self._desk, self._ledger = core, desk, ledger
        self._executor, self._protection = executor, protection
        self._client_of, self._serves = client_of, serves
        self._updates: asyncio.Queue[OrderUpdate | SyncFinished] = asyncio.Queue()
        self._looking: set[tuple[str, str]] = set()

    def listen(self, event: Event) -> None:
        """Take an event; nothing is waited for here."""
        if isinstance(event, OrderUpdate) or (isinstance(event, SyncFinished) and not event.error):
            self._updates.put_nowait(event)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                event = await self._updates.get()
                if isinstance(event, SyncFinished):
                    agent = self._core.state.agents.get(event.agent_id)
                    if agent is not None and not agent.paper and self._serves(agent.agent_id):
                        self._sweep(tasks, agent)
                    continue
                try:
                    await self._desk.tell(event)
                except StoreError as error:
                    self._core.problem("journal", str(error), remedy=error.remedy)
                if not event.order.executed or not (event.order.reduces or event.order.forced):
                    continue
                for agent in self._core.state.agents_of(event.account):
                    if self._serves(agent.agent_id):
                        self._start(tasks, agent, event.order.symbol, None)

    def _sweep(self, tasks: asyncio.TaskGroup, agent: AgentDocument) -> None:
        """A sync has just read the account: what protected nothing then, and is older, was left behind while
        nobody looked."""
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        if account is None:
            return
        before = account.told_at - (self._core.state.clock_offset_ms or 0) - OLD_MS
        for symbol in self._protection.symbols(agent):
            self._start(tasks, agent, symbol, before)

    def _start(self, tasks: asyncio.TaskGroup, agent: AgentDocument, symbol: str, before: int | None) -> None:
        key = (agent.agent_id, symbol)
        if key not in self._looking:
            self._looking.add(key)
            tasks.create_task(self._after(agent, symbol, before))

    async def _after(self, agent: AgentDocument, symbol: str, before: int | None) -> None:
        """Something of a position was closed: what protected it has nothing to protect any more."""
        try:
            if before is None:
                await asyncio.sleep(SETTLE_SECONDS)
            client = self._client_of(agent.user_address or "")
            if client is None:
                return
            await self._ledger.refresh()
            if not self._executor.share(agent, symbol):
                await self._protection.cancel_orphans(agent, client, symbol, before)
                return
            done = {
                r.decision_id
                for r in self._ledger.of_agent(agent.agent_id, symbol)
                if r.purpose in ("stop", "target") and r.status == "FILLED"
            }
            for r in self._ledger.open_protection(agent.agent_id, symbol):
                if r.decision_id in done and (before is None or r.intent_at < before):
                    await self._protection.cancel(agent, client, symbol, r.client_order_id, r.purpose)
        except StoreError as error:
            self._core.problem("journal", str(error), remedy=error.remedy)
        finally:
            self._looking.discard((agent.agent_id, symbol))

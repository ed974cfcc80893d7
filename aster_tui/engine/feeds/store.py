"""MongoDB as a feed: everything once, then every change, and the agents of last time when it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aster_tui.domain.documents import AgentDocument, parse_agent, parse_position, parse_trade
from aster_tui.domain.events import (
    AgentChanged,
    AgentRemoved,
    AgentsLoaded,
    AuditWritten,
    ExitPnl,
    FeedHeard,
    PaperLoaded,
    PaperPosition,
    ShadowPosition,
    ShadowsLoaded,
    TradeSeen,
)
from aster_tui.domain.records import parse_audit, parse_error_record, parse_order_record
from aster_tui.engine.core import Core, Watchdog, now_ms
from aster_tui.engine.keys import agents_in, with_addresses
from aster_tui.engine.remembered import recall, remember
from aster_tui.engine.supervise import Tasks
from aster_tui.store.base import StoreChange, StoreError, StoreReader

MONGO = "mongo"
PULSE_SECONDS = 2.0
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 15.0
_RELOAD, _REMEMBER = "reload", "remember"
TRADES_SHOWN, ORDERS_SHOWN, ERRORS_SHOWN, AUDIT_SHOWN = 100, 200, 50, 100


class StoreFeed:
    """Loads the fleet from MongoDB and follows it.

    Args:
        store: None where no database is configured.
        state_folder: where the agents of the last connection are remembered.
    """

    def __init__(
        self,
        core: Core,
        store: StoreReader | None,
        watchdog: Watchdog,
        environment: Mapping[str, str],
        state_folder: Path,
    ) -> None:
        self._core = core
        self._store = store
        self._watchdog = watchdog
        self._environment = environment
        self._state_folder = state_folder
        self._tasks = Tasks(core)
        self._again: set[str] = set()
        self._documents: dict[str, AgentDocument] = {}
        self._connected = False

    async def run(self) -> None:
        """Until cancelled."""
        if self._store is None:
            self._core.feed(MONGO, "off", "MONGODB_URI is not set")
            self._core.problem(
                MONGO,
                "no database is configured: paper agents, history and sync are missing",
                remedy="set MONGODB_URI in the environment or in .env.local",
            )
            self._use_remembered()
            self._core.settle(MONGO)
            return
        self._watchdog.watch(MONGO, int(PULSE_SECONDS * 4000))
        delay = FIRST_RETRY_SECONDS
        try:
            while True:
                self._connected = False
                try:
                    await self._follow(self._store)
                except StoreError as error:
                    self._failed(error)
                delay = FIRST_RETRY_SECONDS if self._connected else min(LAST_RETRY_SECONDS, delay * 2)
                await asyncio.sleep(delay)
        finally:
            await self._tasks.close()

    def _failed(self, error: StoreError) -> None:
        known = self._core.state.feeds.get(MONGO)
        if known is None or known.state != "down" or known.detail == "connecting":
            self._core.problem(MONGO, str(error), remedy=error.remedy)
        self._core.feed(MONGO, "down", str(error))
        if not self._core.state.agents:
            self._use_remembered()
        self._core.settle(MONGO)

    def _use_remembered(self) -> None:
        """Without the database: the agents the environment names and those of the last connection."""
        found = {a.name.upper(): a for a in recall(self._state_folder, self._core.state.network)}
        for agent in agents_in(self._environment):
            found.setdefault(agent.name.upper(), agent)
        if found:
            self._core.emit(AgentsLoaded(now_ms(), tuple(self._addressed(a) for a in found.values())))

    async def _follow(self, store: StoreReader) -> None:
        """Watch first, then load: what is written meanwhile is not missed."""
        changes: asyncio.Queue[StoreChange] = asyncio.Queue()
        watching = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(store, changes, watching))
                await watching.wait()
                await self._load(store)
                self._connected = True
                self._core.feed(MONGO, "live")
                self._core.settle(MONGO)
                tasks.create_task(self._pulse(store))
                while True:
                    self._take(await changes.get(), store)
        except* StoreError as group:
            raise group.exceptions[0] from None

    async def _watch(
        self, store: StoreReader, changes: asyncio.Queue[StoreChange], watching: asyncio.Event
    ) -> None:
        def state(word: str) -> None:
            watching.set()

        async for change in store.watch(state):
            changes.put_nowait(change)

    async def _pulse(self, store: StoreReader) -> None:
        while True:
            await store.ping()
            self._core.emit(FeedHeard(MONGO, now_ms()))
            await asyncio.sleep(PULSE_SECONDS)

    async def _load(self, store: StoreReader) -> None:
        agents = await store.load_agents()
        at = now_ms()
        self._core.emit(AgentsLoaded(at, tuple(self._addressed(a) for a in agents)))
        self._core.emit(PaperLoaded(at, await store.open_positions(), await store.exit_pnls()))
        self._core.emit(ShadowsLoaded(at, await store.shadows()))
        for order in await store.recent_orders(ORDERS_SHOWN):
            self._core.emit(order)
        for trade in await store.recent_trades(TRADES_SHOWN):
            self._core.emit(TradeSeen(at, trade))
        for error in await store.recent_errors(ERRORS_SHOWN):
            self._core.emit(error)
        for line in await store.recent_audit(AUDIT_SHOWN):
            self._core.emit(AuditWritten(at, line))
        self._documents = {agent.agent_id: agent for agent in agents}
        await self._remember()

    async def _remember(self) -> None:
        """Keep who is on which account, for when the database is away."""
        agents = tuple(self._documents.values())
        try:
            await asyncio.to_thread(remember, self._state_folder, self._core.state.network, agents)
        except OSError as error:
            self._core.problem(
                "console",
                f"the agents could not be remembered: {error}",
                remedy="without MongoDB only agents named in the environment will be known",
            )

    def _addressed(self, agent: AgentDocument) -> AgentDocument:
        return with_addresses(agent, self._environment)

    def _take(self, change: StoreChange, store: StoreReader) -> None:
        at = now_ms()
        self._core.emit(FeedHeard(MONGO, at))
        document = change.document
        if change.collection == "agents":
            if document is None:
                self._documents.pop(change.document_id, None)
                self._core.emit(AgentRemoved(at, change.document_id))
            else:
                agent = parse_agent(document)
                self._core.emit(AgentChanged(at, self._addressed(agent)))
                self._know(agent)
        elif document is None:
            if change.collection in ("positions", "trades"):
                self._again.add(_RELOAD)
                self._start(_RELOAD, self._reload(store))
        elif change.collection == "positions":
            self._core.emit(PaperPosition(at, parse_position(document)))
        elif change.collection == "trades":
            trade = parse_trade(document)
            self._core.emit(TradeSeen(at, trade))
            if trade.trade_type == "exit":
                self._exit(trade.agent_id, store)
        elif change.collection == "shadows":
            self._core.emit(ShadowPosition(at, parse_position(document)))
        elif change.collection == "orders":
            self._core.emit(parse_order_record(document))
        elif change.collection == "errors" and change.operation == "insert":
            self._core.emit(replace(parse_error_record(document), at=at))
        elif change.collection == "audit" and (line := parse_audit(document)) is not None:
            self._core.emit(AuditWritten(at, line))

    def _know(self, agent: AgentDocument) -> None:
        """An agent that comes to a real account is remembered at once: the database may be gone by the time
        that account is to be closed."""
        before = self._documents.get(agent.agent_id)
        self._documents[agent.agent_id] = agent
        was = before is not None and before.on_account and before.user_address == agent.user_address
        if agent.on_account and not was:
            self._again.add(_REMEMBER)
            self._start(_REMEMBER, self._remember_again())

    async def _remember_again(self) -> None:
        while _REMEMBER in self._again:
            self._again.discard(_REMEMBER)
            await self._remember()

    def _exit(self, agent_id: str, store: StoreReader) -> None:
        """An exit trade changed the realized PnL: ask for the sum once, however many there were."""
        self._again.add(agent_id)
        self._start(f"exit {agent_id}", self._sum_exits(agent_id, store))

    async def _sum_exits(self, agent_id: str, store: StoreReader) -> None:
        while agent_id in self._again:
            self._again.discard(agent_id)
            try:
                total = await store.exit_pnl(agent_id)
            except StoreError as error:
                self._core.problem(MONGO, f"realized PnL could not be read: {error}", remedy=error.remedy)
                return
            self._core.emit(ExitPnl(now_ms(), agent_id, total))

    async def _reload(self, store: StoreReader) -> None:
        while _RELOAD in self._again:
            self._again.discard(_RELOAD)
            try:
                positions, exits = await store.open_positions(), await store.exit_pnls()
            except StoreError as error:
                self._core.problem(MONGO, f"positions could not be read again: {error}", remedy=error.remedy)
                return
            self._core.emit(PaperLoaded(now_ms(), positions, exits))

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        if name in self._tasks:
            work.close()
        else:
            self._tasks.start(name, work)

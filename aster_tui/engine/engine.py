"""The engine's body: builds the parts, runs them on the engine's loop, takes commands.

Read-only is a type here: the exchange client is an :class:`~aster_tui.aster.rest.Observer`, which has no
trading method, and the database a reader, which has no write method.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.rest import Observer
from aster_tui.aster.venue import Venue
from aster_tui.config import SECRET_ENDINGS, Settings
from aster_tui.domain.commands import (
    CancelOrders,
    CancelRequest,
    CloseAll,
    Command,
    HoldDrill,
    ModifyOrder,
    PlaceOrder,
    Preflight,
    ReducePosition,
    Request,
    SetDeadMan,
    SetLeverage,
    SetMode,
    SetTrading,
    SyncAgents,
)
from aster_tui.domain.events import LimitsKnown
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.alarms import Alarms
from aster_tui.engine.core import Core, Watchdog, now_ms
from aster_tui.engine.feeds.account import AccountFeeds
from aster_tui.engine.feeds.store import MONGO, StoreFeed
from aster_tui.engine.feeds.sync import SyncService
from aster_tui.engine.feeds.venue import EXCHANGE, MARKS, VenueFeed
from aster_tui.engine.halts import Controls
from aster_tui.engine.identity import Identity, identity
from aster_tui.engine.operator.deadman import DeadManTask
from aster_tui.engine.operator.drill import DrillTask
from aster_tui.engine.operator.flatten import CloseAllTask
from aster_tui.engine.operator.modes import ModeTasks
from aster_tui.engine.operator.operator import Handler, Operator, Refuser
from aster_tui.engine.operator.orders import OrderTasks
from aster_tui.engine.operator.preflight import Check, Checker
from aster_tui.engine.operator.presence import Attendance
from aster_tui.engine.recording import Recorder
from aster_tui.engine.supervise import keep_running
from aster_tui.engine.trade.follow_up import FollowUp
from aster_tui.engine.trade.ledger import LedgerWatch
from aster_tui.engine.trade.room import TradeRoom, limits_of, paper_costs
from aster_tui.store.audit import AuditFile
from aster_tui.store.mongo import MongoReader, connect
from aster_tui.store.trading import TradingStore, trading_store

#: How long requests that are under way are waited for at the end; an emergency is waited for to its own end.
PATIENCE_SECONDS = 1.5


class Engine:
    """Everything of one console or command that talks to the exchange and the database.

    Args:
        settings: the settings in force.
        environment: the variables that name agents' addresses and keys.
        working: whether queued decisions are taken and carried out here.
        agents: then only those of these agents (lower-case names; empty for all).
        recorder: keeps every event.
        attached: whether a person sits at it: then the other consoles see this one.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        working: bool = False,
        agents: frozenset[str] = frozenset(),
        attached: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        self.core = Core(
            network=settings.network,
            read_only=settings.watching,
            initial_balance=settings.initial_balance,
            sync_seconds=settings.sync_seconds,
        )
        if recorder is not None:
            recorder.attach(self.core)
        self._watchdog = Watchdog(self.core, settings.stale_seconds)
        self._venue = Venue(
            settings.rest_url,
            settings.ws_url,
            settings.chain_id,
            settings.nonce_window_s,
            settings.signature_scheme,
        )
        # One source for all clients: the clock that the public one measures moves everybody's nonces.
        self._nonces = NonceSource(settings.state_folder / "nonces")
        self._public = Observer(self._venue, nonces=self._nonces, on_weight=self._weight)
        self._feed = VenueFeed(self.core, self._public, self._venue, self._watchdog)
        self._store = _store(settings)
        if settings.no_keys:
            environment = {n: v for n, v in environment.items() if not n.upper().endswith(SECRET_ENDINGS)}
        self._documents = StoreFeed(
            self.core, self._store, self._watchdog, environment, settings.state_folder
        )
        self._accounts = AccountFeeds(
            self.core,
            self._venue,
            environment,
            no_keys=settings.no_keys,
            on_weight=self._weight,
            nonces=self._nonces,
            trading=not settings.watching,
            state_folder=settings.state_folder,
        )
        writer = self._store if isinstance(self._store, TradingStore) else None
        self.room: TradeRoom | None = None
        if not settings.watching:
            self.room = TradeRoom(
                self.core, settings, writer, self._accounts.trader, working=working, agents=agents
            )
        self._figures = LedgerWatch(settings.state_folder, self.core.emit, paper_costs(settings))
        who = identity()
        self._attendance = Attendance(self.core, self._store, who, attached=attached)
        self._blocked = _blocked(settings)
        self._sync = SyncService(
            self.core,
            client=self._accounts.client,
            store=writer,
            blocked=self._sync_blocked,
            initial_balance=settings.initial_balance,
            every_seconds=settings.sync_seconds,
            ledger=self.room.ledger if self.room is not None else None,
            follow_up=FollowUp(self.room.desk, self.room.ledger) if self.room is not None else None,
            adoption=self.room.adoption if self.room is not None else None,
        )
        # Read-only: halts are looked at and never told, and every request is answered with why not.
        self._controls = Controls(self.core, self._store, settings.state_folder)
        self._dead_man = DeadManTask(self.core, self._accounts.trader)
        self._operator: Operator | Refuser = Refuser(self.core, self._blocked)
        if self.room is not None:
            self._controls = self.room.controls
            self._operator = self._make_operator(settings, environment, writer, self.room, who)
        self.core.emit(LimitsKnown(now_ms(), limits_of(settings)))

    async def run(self, publish: Callable[[FleetSnapshot], None]) -> None:
        """Run every part until cancelled, then close sockets and the database."""
        core = self.core
        for name in (EXCHANGE, MARKS, MONGO):
            core.expect(name)
            core.feed(name, "down", "connecting")
        core.listen(self._accounts.listen)
        core.listen(self._sync.listen)
        core.listen(Alarms(core).listen)
        if self.room is not None:
            core.listen(self.room.listen)
        feeds = asyncio.create_task(self._feeds(publish))
        trading = [asyncio.create_task(keep_running(core, "the trading", self.room.run))] if self.room else []
        try:
            await asyncio.wait({feeds})
            feeds.result()
        finally:
            # Orders that are under way need their connections: what trades ends first.
            if isinstance(self._operator, Operator):
                await self._operator.close(PATIENCE_SECONDS)
                await self._dead_man.timers.close(PATIENCE_SECONDS)
            for task in (*trading, feeds):
                task.cancel()
                await asyncio.wait({task})
            await self._public.aclose()
            if self._store is not None:
                await self._store.close()
            self._nonces.close()

    async def _feeds(self, publish: Callable[[FleetSnapshot], None]) -> None:
        core = self.core
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(core.publish_on_a_clock(publish))
            tasks.create_task(keep_running(core, "the watchdog", self._watchdog.run))
            tasks.create_task(keep_running(core, "the accounts", self._accounts.run))
            tasks.create_task(keep_running(core, "the exchange feed", self._feed.run))
            tasks.create_task(keep_running(core, "the database feed", self._documents.run))
            tasks.create_task(keep_running(core, "the sync", self._sync.run))
            tasks.create_task(keep_running(core, "the attendance", self._attendance.run))
            if self.room is not None:
                tasks.create_task(keep_running(core, "the dead-man timers", self._dead_man.timers.run))
                tasks.create_task(self._tell_known())
            if self.room is None:
                tasks.create_task(keep_running(core, "the metrics", self._figures.run))
                tasks.create_task(keep_running(core, "the controls", self._controls.run))

    def submit(self, command: Command) -> None:
        """Take a command; called on the engine's loop."""
        if isinstance(command, SyncAgents):
            self._sync.ask(command.agent_ids)
        elif isinstance(command, Request):
            self._operator.ask(command)
        elif isinstance(command, CancelRequest):
            self._operator.cancel(command.request_id)
        else:
            self._attendance.tell(command)

    @property
    def emergency(self) -> bool:
        """Whether a close-all runs. Cheap, from any thread."""
        return isinstance(self._operator, Operator) and self._operator.emergency

    def _make_operator(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        store: TradingStore | None,
        room: TradeRoom,
        who: Identity,
    ) -> Operator:
        def checker(on_check: Callable[[Check], None]) -> Checker:
            limits = limits_of(settings)
            return Checker(settings, environment, store, limits, nonces=self._nonces, on_check=on_check)

        orders = OrderTasks(
            self.core,
            room.desk,
            room.ledger,
            room.executor,
            self._accounts.trader,
            room.recovery,
            settings.protective_price,
        )
        modes = ModeTasks(self.core, store, room.controls, self._sync, orders, checker, who)
        flattening = CloseAllTask(
            self.core,
            settings,
            environment,
            self._venue,
            room.journal,
            room.controls,
            who,
            self._accounts.client,
        )
        self._tell_known = flattening.tell_known
        handlers: dict[type[Any], Handler] = {
            PlaceOrder: orders.place,
            CancelOrders: orders.cancel,
            ModifyOrder: orders.modify,
            ReducePosition: orders.reduce,
            SetLeverage: orders.leverage,
            Preflight: modes.preflight,
            SetMode: modes.set_mode,
            SetTrading: modes.set_trading,
            SyncAgents: modes.sync,
            CloseAll: flattening.close_all,
            SetDeadMan: self._dead_man.set,
            HoldDrill: DrillTask(settings.state_folder).hold,
        }
        chain = AuditFile(settings.state_folder, who.host)
        return Operator(self.core, room.journal, chain, who, handlers, armed=self._armed)

    def _armed(self) -> bool:
        return self._attendance.armed

    def _sync_blocked(self) -> str:
        return "this console is locked to read-only" if self.core.state.desk.locked else self._blocked

    def _weight(self, used: int) -> None:
        self._feed.weight(used)


def _store(settings: Settings) -> MongoReader | None:
    if settings.mongodb_uri is None:
        return None
    uri = settings.mongodb_uri.get_secret_value()
    if settings.watching:
        return connect(uri, settings.mongodb_database, writable=False)
    return trading_store(uri, settings.mongodb_database)


def _blocked(settings: Settings) -> str:
    if settings.no_keys:
        return "this process loaded no keys (--no-keys)"
    if settings.read_only:
        return "this process was started read-only"
    if settings.mongodb_uri is None:
        return "no database is configured (MONGODB_URI)"
    return ""

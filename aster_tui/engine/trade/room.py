"""All that trades, put together: the journal and what follows it, the executor, the paper books, the
worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aster_tui.aster.trader import Trader
from aster_tui.config import Settings
from aster_tui.domain.events import ErrorRaised, Event
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.safeguards import Limits
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.halts import Controls
from aster_tui.engine.notifier import Notifier, apprise_sender
from aster_tui.engine.supervise import keep_running
from aster_tui.engine.trade.adoption import Adoption
from aster_tui.engine.trade.desk import OrderDesk
from aster_tui.engine.trade.executor import Executor, Rules
from aster_tui.engine.trade.funding import Funding
from aster_tui.engine.trade.guardian import Guardian
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.outbox import Outbox
from aster_tui.engine.trade.paper import PaperDesk
from aster_tui.engine.trade.permissions import Permissions
from aster_tui.engine.trade.protection import Protection
from aster_tui.engine.trade.recovery import Recovery
from aster_tui.engine.trade.turns import Turns
from aster_tui.engine.trade.worker import Worker, WorkerRules
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from aster_tui.store.trading import TradingStore

METRICS_SECONDS, AGAIN_SECONDS = 2.0, 2.0


class TradeRoom:
    """What of an engine can send orders. Built only where something may be changed.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
        working: whether queued decisions are taken here; otherwise it only keeps the journal and tells of it.
        agents: the names of the agents to serve, empty for all.
    """

    def __init__(
        self,
        core: Core,
        settings: Settings,
        store: TradingStore | None,
        client_of: Callable[[str], Trader | None],
        *,
        working: bool,
        agents: frozenset[str] = frozenset(),
    ) -> None:
        self._core = core
        self.journal = Journal(settings.state_folder)
        costs = paper_costs(settings)
        self.ledger = Ledger(self.journal, costs)
        self.desk = OrderDesk(self.journal)
        self._store = store
        limits = limits_of(settings)
        rules = Rules(
            limits,
            close_unprotected=settings.close_unprotected,
            fall_back=settings.fall_back_to_paper,
            working_type=settings.protective_price,
        )
        self.controls = Controls(core, store, settings.state_folder)
        halted = self.controls.halted
        self.recovery = Recovery(core, self.journal, self.desk, client_of)
        self.permissions = Permissions(core, client_of)
        protection = Protection(core, self.desk, self.ledger)
        self._turns = Turns(
            core, self.journal, store, client_of, without_database=settings.trade_without_database
        )
        self.executor = Executor(
            core, self.desk, self.ledger, client_of, halted, rules, self.permissions, protection, self._turns
        )
        self.funding = Funding(core, self.journal, self.ledger, client_of)
        self.outbox = Outbox(core, self.journal, store, costs) if store is not None else None
        self.worker: Worker | None = None
        self.adoption = Adoption(store, self.journal, self.ledger) if store is not None else None
        if working and store is not None and self.adoption is not None:
            self.worker = Worker(
                core,
                store,
                self.journal,
                self.desk,
                self.ledger,
                self.executor,
                self.recovery,
                PaperDesk(core, self.journal, store, costs, settings.initial_balance),
                client_of,
                self.controls,
                limits,
                WorkerRules(
                    agents,
                    settings.decision_max_age_seconds,
                    settings.trade_without_database,
                    settings.nonce_window_s,
                ),
                self.adoption,
            )
        self.guardian = Guardian(
            core, self.desk, self.ledger, self.executor, protection, client_of, self._serves
        )
        self.notifier: Notifier | None = None
        if settings.notify is not None and (urls := settings.notify.get_secret_value().split()):
            sender = apprise_sender(urls)
            self.notifier = Notifier(core, sender, self.journal, network=settings.network)
        self._errors: asyncio.Queue[ErrorRaised] = asyncio.Queue()

    def _serves(self, agent_id: str) -> bool:
        return self.worker is not None and agent_id in self.worker.held

    def listen(self, event: Event) -> None:
        """Take an event of the engine."""
        self.guardian.listen(event)
        self.executor.listen(event)
        self._turns.listen(event)
        self.funding.listen(event)
        if self.worker is not None:
            self.worker.paper.listen(event)
        if self.notifier is not None:
            self.notifier.listen(event)
        # What the exchange refused or broke is a figure; what came from the database is in it already.
        if not isinstance(event, ErrorRaised) or event.recorded_at:
            return
        if event.source in ("exchange", "stream", "naked", "worker", "dead-man", "sync", "drift"):
            self._errors.put_nowait(event)

    async def run(self) -> None:
        """Until cancelled; what is under way is finished first."""
        core = self._core
        await self._opened()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(keep_running(core, "the guardian", self.guardian.run))
                tasks.create_task(keep_running(core, "the recovery", self.recovery.run))
                tasks.create_task(keep_running(core, "the errors", self._keep_errors))
                tasks.create_task(keep_running(core, "the permissions", self.permissions.run))
                tasks.create_task(keep_running(core, "the funding", self.funding.run))
                tasks.create_task(keep_running(core, "the controls", self.controls.run))
                if self.outbox is not None:
                    tasks.create_task(keep_running(core, "the outbox", self.outbox.run))
                if self.notifier is not None:
                    tasks.create_task(keep_running(core, "the notifier", self.notifier.run))
                tasks.create_task(keep_running(core, "the metrics", self._measure))
                if self.worker is not None:
                    tasks.create_task(keep_running(core, "the worker", self.worker.run))
        finally:
            await self.desk.close(1.0)
            await self._turns.close(1.0)
            await self.journal.close()

    async def _opened(self) -> None:
        """The journal, as soon as the disk takes it; without it nothing is sent."""
        told = ""
        while True:
            try:
                await self.journal.open()
                return
            except StoreError as error:
                if str(error) != told:
                    told = str(error)
                    self._core.problem("journal", told, remedy=error.remedy)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _measure(self) -> None:
        """Tell the figures of the journal's orders every few seconds, when there are new ones."""
        while True:
            await self.ledger.refresh()
            self._core.emit(self.ledger.measured(now_ms()))
            await asyncio.sleep(METRICS_SECONDS)

    async def _keep_errors(self) -> None:
        while True:
            error = await self._errors.get()
            try:
                await self.journal.error(error)
            except StoreError as problem:
                # Said without a source that would be kept: that would go round for ever.
                self._core.problem("journal", str(problem), remedy=problem.remedy)


def limits_of(settings: Settings) -> Limits:
    """The safeguards' limits in force."""
    return Limits(
        order_percent=settings.max_order_percent,
        max_positions=settings.max_positions,
        exposure_percent=settings.max_exposure_percent,
        max_leverage=settings.max_leverage,
        collar_percent=settings.price_collar_percent,
        stale_price_s=settings.stale_price_seconds,
        stale_balance_s=settings.stale_balance_seconds,
        daily_loss_percent=settings.daily_loss_percent,
        orders_per_minute=settings.orders_per_minute,
        duplicate_s=settings.duplicate_seconds,
        allow=settings.symbols("allow_symbols"),
        deny=settings.symbols("deny_symbols"),
    )


def paper_costs(settings: Settings) -> PaperCosts:
    """What paper orders pay."""
    return PaperCosts(settings.paper_slippage_bp, settings.paper_fee_percent / 100)

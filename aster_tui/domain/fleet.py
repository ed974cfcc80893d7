"""The fleet state: a reducer over typed events, the same for live, demo, tests and replay.

``FleetState.apply`` takes one event; ``FleetState.snapshot`` says what the fleet looks like. No I/O
and no clock: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from aster_tui.domain import events as ev
from aster_tui.domain.accounts import AccountState
from aster_tui.domain.desk_state import DeskState
from aster_tui.domain.documents import AgentDocument, PositionDocument
from aster_tui.domain.metrics import Metrics
from aster_tui.domain.shares import Share
from aster_tui.domain.symbols import SymbolRules, plain, symbol_of
from aster_tui.domain.trading import ZERO, Order, account_key
from aster_tui.domain.views import ErrorView, FeedView, Mode, OrderStep, OrderView, SyncView

#: How many lines the order log and the errors pane keep.
ORDER_LINES = 1000
ERROR_LINES = 500
#: How many moments of one order's life are kept.
STEPS = 40
#: How far server time must be back, measured against itself, to count as set.
SET_BACK_MS = 2_000


@dataclass(slots=True)
class OrderLine:
    """One line of the order log while it is being learned, from the venue and from ``orders``."""

    key: str
    at: int
    account: str | None
    agent: str
    mode: Mode
    order: Order
    mark_price: Decimal | None = None
    latency_ms: int | None = None
    recorded_status: str = ""
    recorded: ev.OrderRecorded | None = None
    #: What the exchange told of it, oldest first.
    told: tuple[OrderStep, ...] = ()
    #: What it looks like, kept until it changes: a tick must not rebuild a thousand lines.
    view: OrderView | None = None


class FleetState:
    """All that is known of the fleet."""

    def __init__(self, *, network: str, read_only: bool, initial_balance: Decimal) -> None:
        self.network = network
        self.read_only = read_only
        self.initial_balance = initial_balance
        self.version = 0
        self.agents: dict[str, AgentDocument] = {}
        self.accounts: dict[str, AccountState] = {}
        self.rules: Mapping[str, SymbolRules] = {}
        self.marks: dict[str, Decimal] = {}
        self.marks_at: dict[str, int] = {}
        self._marks_copy: Mapping[str, Decimal] | None = None
        self.paper: dict[str, dict[str, PositionDocument]] = {}
        self.exit_pnl: dict[str, Decimal] = {}
        self.paper_known = False
        self.shadows: dict[str, dict[str, PositionDocument]] = {}
        self.metrics: Mapping[tuple[str, str], Metrics] = {}
        self.shares: tuple[Share, ...] = ()
        self.lines: dict[str, OrderLine] = {}
        self.order_views: tuple[OrderView, ...] | None = None
        self.error_views: tuple[ErrorView, ...] | None = None
        self.errors: dict[str, ErrorView] = {}
        self._raised_at: dict[str, int] = {}
        self.last_error: dict[str, str] = {}
        self.feeds: dict[str, FeedView] = {}
        self.syncs: dict[str, SyncView] = {}
        self.clock_offset_ms: int | None = None
        self.round_trip_ms: int | None = None
        self._server_at = 0
        self.weight_used: int | None = None
        self.weight_limit = 2400
        self.held_until, self.banned = 0, False
        self.desk = DeskState()
        self._handlers: dict[type[Any], Callable[[Any], bool]] = {
            **self.desk.handlers(),
            ev.MarkPrices: self._mark_prices,
            ev.OrderUpdate: self._order_update,
            ev.AccountUpdate: lambda e: self._account(e.account).apply_update(e),
            ev.LeverageChanged: lambda e: self._account(e.account).apply_leverage(e),
            ev.StreamOpened: lambda e: self._account(e.account).apply_stream(e),
            ev.StreamMissed: lambda e: self._account(e.account).apply_missed(e),
            ev.MarginCall: lambda e: True,  # what it tells is an alarm, nothing that is kept
            ev.AccountSnapshot: self._account_snapshot,
            ev.SymbolsLoaded: self._symbols_loaded,
            ev.AgentsLoaded: self._agents_loaded,
            ev.AgentChanged: self._agent_changed,
            ev.AgentRemoved: self._agent_removed,
            ev.PaperLoaded: self._paper_loaded,
            ev.PaperPosition: self._paper_position,
            ev.TradeSeen: self._trade_seen,
            ev.ExitPnl: self._exit_pnl,
            ev.OrderRecorded: self._order_recorded,
            ev.FeedChanged: self._feed_changed,
            ev.FeedHeard: self._feed_heard,
            ev.ErrorRaised: self._error_raised,
            ev.ClockMeasured: self._clock_measured,
            ev.WeightUsed: self._weight_used,
            ev.RequestsHeld: self._requests_held,
            ev.MetricsMeasured: self._metrics_measured,
            ev.ShadowsLoaded: self._shadows_loaded,
            ev.ShadowPosition: lambda e: self._take_shadow(e.position),
            ev.SyncStarted: self._sync_started,
            ev.SyncFinished: self._sync_finished,
        }

    def apply(self, event: ev.Event) -> bool:
        """Take one event. Returns whether anything changed."""
        changed = self._handlers[type(event)](event)
        self.version += changed
        return changed

    # Exchange

    def agents_of(self, account: str) -> list[AgentDocument]:
        """The agents whose positions are an account's: real ones, and those that left positions there, by
        name."""
        key = account_key(account)
        found = [a for a in self.agents.values() if a.on_account and _account_of(a) == key]
        return sorted(found, key=lambda a: a.name)

    def marks_shown(self) -> Mapping[str, Decimal]:
        """The mark prices as they are now: a copy, made once per change."""
        if self._marks_copy is None:
            self._marks_copy = dict(self.marks)
        return self._marks_copy

    def _account(self, account: str) -> AccountState:
        return self.accounts.setdefault(account_key(account), AccountState())

    def _mark_prices(self, event: ev.MarkPrices) -> bool:
        changed = False
        for symbol, price in event.prices.items():
            if event.at >= self.marks_at.get(symbol, 0):
                self.marks_at[symbol] = event.at
                changed |= self.marks.get(symbol) != price
                self.marks[symbol] = price
        if changed:
            self._marks_copy = None
        return changed

    def _order_update(self, event: ev.OrderUpdate) -> bool:
        if not self._account(event.account).apply_order(event):
            return False
        self._log_order(event.account, event.at, event.order)
        return True

    def _account_snapshot(self, event: ev.AccountSnapshot) -> bool:
        if not self._account(event.account).apply_snapshot(event):
            return False
        for order in sorted(event.open_orders or (), key=lambda o: o.updated_at):
            if _line_key(order) not in self.lines:
                self._log_order(event.account, order.updated_at or event.at, order)
        return True

    def _symbols_loaded(self, event: ev.SymbolsLoaded) -> bool:
        self.rules = dict(event.rules)
        for line in self.lines.values():  # decimals are shown as the symbol's filters have them
            self._touch(line)
        return True

    # The order log

    def _log_order(self, account: str, at: int, order: Order) -> None:
        key = _line_key(order)
        line = self.lines.get(key)
        if line is None:
            agents = self.agents_of(account)
            name = "+".join(a.name for a in agents) or f"{account[:6]}…{account[-4:]}"
            mark = self.marks.get(order.symbol)
            line = OrderLine(key, at, account_key(account), name, "real", order, mark)
            line.told = (_told(at, order),)
            self._add_line(line)
            return
        if line.account is None or _stand(order) != _stand(line.order):
            line.told = (*line.told, _told(at, order))[-STEPS:]
        if (order.status, order.executed) != (line.order.status, line.order.executed):
            line.at = max(line.at, at)  # a stop that triggers after hours is news, and stands on top
        line.order = order
        line.account = account_key(account)
        self._touch(line)

    def _order_recorded(self, event: ev.OrderRecorded) -> bool:
        agent = next((a for a in self.agents.values() if a.name == event.agent), None)
        mode: Mode = "paper" if agent is None or agent.paper else "real"
        key = event.client_order_id
        line = self.lines.get(key)
        if line is None:
            line = OrderLine(key, event.at, None, event.agent, mode, _recorded_order(event))
            self._add_line(line)
        elif line.account is None:
            line.order = _recorded_order(event)
        # What the sender knows (whose order it was, the mark it decided at) outranks what was seen.
        line.agent = event.agent or line.agent
        line.mark_price = event.mark_price or line.mark_price
        line.latency_ms = event.latency_ms if event.latency_ms is not None else line.latency_ms
        line.recorded_status = event.status
        line.recorded = event
        self._touch(line)
        return True

    def _add_line(self, line: OrderLine) -> None:
        self.lines[line.key] = line
        self.order_views = None
        if len(self.lines) > ORDER_LINES:
            del self.lines[min(self.lines, key=lambda key: self.lines[key].at)]

    def _touch(self, line: OrderLine) -> None:
        line.view = None
        self.order_views = None

    # The database

    def _agents_loaded(self, event: ev.AgentsLoaded) -> bool:
        self.agents = {}
        for agent in event.agents:
            self._take_agent(event.at, agent)
        return True

    def _agent_changed(self, event: ev.AgentChanged) -> bool:
        if self.agents.get(event.agent.agent_id) == event.agent:
            return False
        self._take_agent(event.at, event.agent)
        return True

    def _take_agent(self, at: int, agent: AgentDocument) -> None:
        self.agents[agent.agent_id] = agent
        for warning in agent.warnings:
            self._warn(at, agent.name, warning)
        if not agent.paper and not agent.user_address:
            self._warn(at, agent.name, f"agent {agent.name} is real but has no asterUserAddress")

    def _warn(self, at: int, agent: str | None, warning: str) -> None:
        """Raise a document's warning once, not at every write of the document."""
        remedy = "correct the document in MongoDB; the default is used meanwhile"
        raised = ev.ErrorRaised(at, "document", warning, agent, remedy=remedy)
        if _error_key(raised) not in self.errors:
            self._error_raised(raised)

    def _agent_removed(self, event: ev.AgentRemoved) -> bool:
        return self.agents.pop(event.agent_id, None) is not None

    def _paper_loaded(self, event: ev.PaperLoaded) -> bool:
        self.paper = {}
        for position in event.positions:
            self._take_paper(event.at, position)
        self.exit_pnl = dict(event.exit_pnl)
        self.paper_known = True
        return True

    def _paper_position(self, event: ev.PaperPosition) -> bool:
        return self._take_paper(event.at, event.position)

    def _take_paper(self, at: int, position: PositionDocument) -> bool:
        for warning in position.warnings:
            self._warn(at, position.agent_name or None, warning)
        of_agent = self.paper.setdefault(position.agent_id, {})
        if position.status == "open":
            changed = of_agent.get(position.position_id) != position
            of_agent[position.position_id] = position
            return changed
        return of_agent.pop(position.position_id, None) is not None

    def _trade_seen(self, event: ev.TradeSeen) -> bool:
        trade = event.trade
        for warning in trade.warnings:
            self._warn(event.at, trade.agent_name or None, warning)
        agent = self.agents.get(trade.agent_id)
        if agent is None or not agent.paper or trade.trade_id in self.lines:
            return False
        opens = trade.trade_type == "entry"
        buys = (trade.side == "long") == opens
        order = Order(
            symbol=symbol_of(trade.pair),
            order_id=0,
            client_order_id=trade.trade_id,
            side="BUY" if buys else "SELL",
            order_type="MARKET",
            status="FILLED",
            quantity=trade.amount,
            executed=trade.amount,
            average_price=trade.price,
            reduce_only=not opens,
            updated_at=trade.timestamp,
        )
        self._add_line(OrderLine(trade.trade_id, trade.timestamp, None, agent.name, "paper", order))
        return True

    def _exit_pnl(self, event: ev.ExitPnl) -> bool:
        changed = self.exit_pnl.get(event.agent_id, ZERO) != event.total
        self.exit_pnl[event.agent_id] = event.total
        return changed

    # Feeds, errors, syncs

    def _feed_changed(self, event: ev.FeedChanged) -> bool:
        known = self.feeds.get(event.name)
        heard = event.at if event.state == "live" else (known.heard_at if known else None)
        self.feeds[event.name] = FeedView(event.name, event.state, heard, event.detail)
        return self.feeds[event.name] != known

    def _feed_heard(self, event: ev.FeedHeard) -> bool:
        known = self.feeds.get(event.name)
        if known is None:
            self.feeds[event.name] = FeedView(event.name, "live", event.at)
        else:
            self.feeds[event.name] = replace(known, heard_at=event.at)
        return True

    def _error_raised(self, event: ev.ErrorRaised) -> bool:
        key = _error_key(event)
        if event.recorded_at and self._raised_at.get(key) == event.recorded_at:
            return False  # our own, back from the database
        self._raised_at[key] = event.at
        self.error_views = None
        known = self.errors.pop(key, None)
        self.errors[key] = ErrorView(
            key=key,
            at=event.at,
            source=event.source,
            agent=event.agent,
            code=event.code,
            message=event.message,
            remedy=event.remedy,
            count=(known.count if known else 0) + 1,
            raw=event.raw,
        )
        if event.agent:
            self.last_error[event.agent] = event.message
        while len(self.errors) > ERROR_LINES:
            oldest = next(iter(self.errors))
            del self.errors[oldest]
            self._raised_at.pop(oldest, None)
        return True

    def _clock_measured(self, event: ev.ClockMeasured) -> bool:
        self.clock_offset_ms, self.round_trip_ms = event.offset_ms, event.round_trip_ms
        server_now = event.at + event.offset_ms
        if server_now < self._server_at - SET_BACK_MS:
            # The exchange's clock was set back: what it tells from now on is newer all the same.
            for account in self.accounts.values():
                account.set_back(server_now)
            self.marks_at = {symbol: min(at, server_now) for symbol, at in self.marks_at.items()}
        self._server_at = server_now
        return True

    def _requests_held(self, event: ev.RequestsHeld) -> bool:
        changed = (event.until, event.banned) != (self.held_until, self.banned)
        self.held_until, self.banned = event.until, event.banned
        return changed

    def _weight_used(self, event: ev.WeightUsed) -> bool:
        changed = (event.used, event.limit) != (self.weight_used, self.weight_limit)
        self.weight_used, self.weight_limit = event.used, event.limit
        return changed

    def _metrics_measured(self, event: ev.MetricsMeasured) -> bool:
        changed = (self.metrics, self.shares) != (event.figures, event.shares)
        self.metrics, self.shares = event.figures, event.shares
        return changed

    def _shadows_loaded(self, event: ev.ShadowsLoaded) -> bool:
        self.shadows = {}
        for position in event.positions:
            self._take_shadow(position)
        return True

    def _take_shadow(self, position: PositionDocument) -> bool:
        of_agent = self.shadows.setdefault(position.agent_id, {})
        changed = of_agent.get(position.position_id) != position
        of_agent[position.position_id] = position
        return changed

    def _sync_started(self, event: ev.SyncStarted) -> bool:
        known = self.syncs.get(event.agent_id, SyncView("never", None))
        self.syncs[event.agent_id] = replace(known, running=True)
        return True

    def _sync_finished(self, event: ev.SyncFinished) -> bool:
        known = self.syncs.get(event.agent_id, SyncView("never", None))
        if event.error:
            state = known.state if known.state == "never" else "stale"
            self.syncs[event.agent_id] = replace(known, state=state, running=False, error=event.error)
        else:
            self.syncs[event.agent_id] = SyncView(
                "drift" if event.drift else "in-sync",
                event.at,
                event.drift,
                drifted_at=(known.drifted_at or event.at) if event.drift else None,
            )
        return True


def _account_of(agent: AgentDocument) -> str | None:
    return account_key(agent.user_address) if agent.user_address else None


def _stand(order: Order) -> tuple[object, ...]:
    return order.status, order.executed, order.price, order.stop_price, order.quantity


def _told(at: int, order: Order) -> OrderStep:
    """What the exchange said of an order just now."""
    words = f"{order.status} {plain(order.executed)} of {plain(order.quantity)}"
    if order.average_price:
        words += f" at {plain(order.average_price)}"
    elif order.price or order.stop_price:
        words += f", {'limit' if order.price else 'stop'} {plain(order.price or order.stop_price)}"
    return OrderStep(order.updated_at or at, "exchange", words)


def _line_key(order: Order) -> str:
    return order.client_order_id or str(order.order_id)


def _error_key(event: ev.ErrorRaised) -> str:
    return "|".join((event.source, event.agent or "", event.code, event.message))


def _recorded_order(event: ev.OrderRecorded) -> Order:
    return Order(
        symbol=event.symbol,
        order_id=0,
        client_order_id=event.client_order_id,
        side=event.side,
        order_type=event.order_type,
        status=event.status,
        quantity=event.quantity,
        executed=event.executed,
        price=event.price,
        average_price=event.average_price,
        reduce_only=event.reduce_only,
        updated_at=event.at,
    )

"""From the fleet state to what is shown: pure functions, called once per tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from aster_tui.domain.accounts import AccountState, PositionKey
from aster_tui.domain.controls import FLEET
from aster_tui.domain.documents import AgentDocument, PositionDocument, paper_balance, paper_unrealized
from aster_tui.domain.events import Control
from aster_tui.domain.fleet import FleetState, OrderLine
from aster_tui.domain.reality import Reality, compare
from aster_tui.domain.symbols import decimal_places, symbol_of
from aster_tui.domain.trading import ZERO, Order, Position, account_key
from aster_tui.domain.views import (
    AgentView,
    ErrorView,
    FleetSnapshot,
    OrderStep,
    OrderView,
    PositionView,
    SyncState,
    SyncView,
)

HUNDRED = Decimal(100)
BASIS_POINTS = Decimal(10_000)


def snapshot(state: FleetState, now: int, *, sync_stale_ms: int = 120_000) -> FleetSnapshot:
    """The fleet as it stands at ``now`` (Unix ms)."""
    positions = tuple(_positions(state))
    pnl: dict[str, Decimal | None] = {}
    count: dict[str, int] = {}
    for view in positions:
        for agent_id in view.agent_id.split("+"):
            count[agent_id] = count.get(agent_id, 0) + 1
            known, more = pnl.get(agent_id, ZERO), view.unrealized_pnl
            pnl[agent_id] = None if known is None or more is None else known + more
    agents = sorted(state.agents.values(), key=lambda a: (a.paper, a.name))
    fleet_control = state.desk.controls.get(FLEET, Control("ACTIVE"))
    return FleetSnapshot(
        version=state.version,
        at=now,
        network=state.network,
        read_only=state.read_only,
        agents=tuple(
            _agent(state, a, count.get(a.agent_id, 0), pnl.get(a.agent_id, ZERO), now, sync_stale_ms)
            for a in agents
        ),
        positions=positions,
        orders=_orders(state),
        errors=_errors(state),
        feeds=tuple(state.feeds.values()),
        clock_offset_ms=state.clock_offset_ms,
        round_trip_ms=state.round_trip_ms,
        weight_used=state.weight_used,
        weight_limit=state.weight_limit,
        held_until=state.held_until,
        banned=state.banned,
        metrics=state.metrics,
        locked=state.desk.locked,
        known_here=state.desk.known_here,
        untold=state.desk.untold,
        trading=fleet_control.state,
        halt_reason=fleet_control.reason,
        requests=state.desk.requests_shown(),
        audit=state.desk.audit_shown(),
        consoles=state.desk.consoles,
        rules=state.rules,
        marks=state.marks_shown(),
        marks_at=dict(state.marks_at),
        limits=state.desk.limits,
        dead_man=state.desk.timers,
        dead_man_ending=state.desk.timers_ending,
        dead_man_lost=state.desk.timers_lost,
        initial_balance=state.initial_balance,
    )


def _orders(state: FleetState) -> tuple[OrderView, ...]:
    if state.order_views is None:
        for line in state.lines.values():
            if line.view is None:
                line.view = _order(state, line)
        newest_first = sorted(state.lines.values(), key=lambda line: line.at, reverse=True)
        state.order_views = tuple(line.view for line in newest_first if line.view is not None)
    return state.order_views


def _errors(state: FleetState) -> tuple[ErrorView, ...]:
    if state.error_views is None:
        state.error_views = tuple(reversed(state.errors.values()))
    return state.error_views


def user_feed(account: str) -> str:
    """The name of an account's user-stream feed: ``user:0x63dd…7c4e``."""
    key = account_key(account)
    return f"user:{key[:6]}…{key[-4:]}"


def _live(state: FleetState, feed: str) -> bool:
    view = state.feeds.get(feed)
    return view is not None and view.state == "live"


def _agent(
    state: FleetState,
    agent: AgentDocument,
    positions: int,
    unrealized: Decimal | None,
    now: int,
    sync_stale: int,
) -> AgentView:
    if agent.paper:
        return _paper_agent(state, agent, positions, unrealized)
    return _real_agent(state, agent, positions, now, sync_stale)


def _paper_agent(
    state: FleetState, agent: AgentDocument, positions: int, unrealized: Decimal | None
) -> AgentView:
    initial = state.initial_balance
    # Where a position has no mark the balance cannot be computed: the database's stands, and is not live.
    if state.paper_known and unrealized is not None:
        balance = paper_balance(initial, [state.exit_pnl.get(agent.agent_id, ZERO)], unrealized)
    else:
        balance = agent.balance
    absolute = balance - initial
    view = _common(state, agent)
    return replace(
        view,
        balance=balance,
        pnl_absolute=absolute,
        pnl_percent=absolute / initial * HUNDRED,
        paper_balance=balance,
        positions=positions,
        stale=not _live(state, "mongo") or unrealized is None,
    )


def _real_agent(
    state: FleetState, agent: AgentDocument, positions: int, now: int, sync_stale: int
) -> AgentView:
    view = _common(state, agent)
    if not agent.user_address:
        return replace(view, stale=True)
    account = state.accounts.get(account_key(agent.user_address))
    if account is None or account.wallet is None:
        return replace(view, stale=True)
    # The exchange's balance, never a computed one; the last known good one stays when it is silent.
    absolute = account.wallet - state.initial_balance
    paper = _shadow_balance(state, agent)
    return replace(
        view,
        balance=account.wallet,
        pnl_absolute=absolute,
        pnl_percent=absolute / state.initial_balance * HUNDRED,
        paper_balance=paper,
        reality=_reality(state, agent, paper) if paper is not None else None,
        positions=positions,
        open_orders=len(account.orders),
        available=account.available,
        wallet_at=max(account.told_at, account.wallet_at),
        sync=_sync(state, agent, now, sync_stale),
        stale=not _live(state, user_feed(agent.user_address)),
    )


def _shadow_balance(state: FleetState, agent: AgentDocument) -> Decimal | None:
    """What a real agent's decisions would have made of the initial balance on paper; None before the
    first."""
    shadows = state.shadows.get(agent.agent_id)
    if not shadows:
        return None
    closed = [p.pnl_absolute for p in shadows.values() if p.status == "closed"]
    unrealized = sum(
        (
            paper_unrealized(p, state.marks.get(symbol_of(p.coin), p.entry_price))
            for p in shadows.values()
            if p.status == "open"
        ),
        ZERO,
    )
    return paper_balance(state.initial_balance, closed, unrealized)


def _reality(state: FleetState, agent: AgentDocument, paper: Decimal) -> Reality | None:
    figures = state.metrics.get((agent.name, "all"))
    if figures is None:
        return None
    mine = (share for share in state.shares if share.agent_id == agent.agent_id)
    return compare(figures, mine, state.marks, paper - state.initial_balance)


def _common(state: FleetState, agent: AgentDocument) -> AgentView:
    others = state.agents_of(agent.user_address) if agent.user_address and agent.on_account else []
    control = state.desk.trading(agent.agent_id)
    return AgentView(
        key=agent.agent_id,
        name=agent.name,
        strategy=agent.strategy,
        mode="paper" if agent.paper else "real",
        account=agent.user_address,
        balance=agent.balance,
        pnl_absolute=agent.pnl_absolute,
        pnl_percent=agent.pnl,
        paper_balance=None,
        positions=0,
        open_orders=0,
        sync=state.syncs.get(agent.agent_id, SyncView("never", None)),
        last_error=state.last_error.get(agent.name),
        shared_with=tuple(a.name for a in others if a.agent_id != agent.agent_id),
        status=agent.status,
        warnings=agent.warnings,
        trading=control.state,
        halt_reason=control.reason,
        watched=agent.paper and agent.keeps_positions,
        thought=agent.last_thought,
        win_rate=agent.win_rate,
        total_trades=agent.total_trades,
    )


def _sync(state: FleetState, agent: AgentDocument, now: int, stale_after: int) -> SyncView:
    sync = state.syncs.get(agent.agent_id, SyncView("never", None))
    if sync.at is not None and now - sync.at > stale_after:
        stale: SyncState = "stale"
        return replace(sync, state=stale)
    return sync


def _positions(state: FleetState) -> Iterator[PositionView]:
    seen: set[str] = set()
    for agent in sorted(state.agents.values(), key=lambda a: (a.paper, a.name)):
        if agent.paper:
            for document in state.paper.get(agent.agent_id, {}).values():
                yield _paper_position(state, agent, document)
        if agent.on_account and agent.user_address and account_key(agent.user_address) not in seen:
            seen.add(account_key(agent.user_address))
            yield from _account_positions(state, agent.user_address)


def _account_positions(state: FleetState, address: str) -> Iterator[PositionView]:
    account = state.accounts.get(account_key(address))
    if account is None:
        return
    agents = state.agents_of(address)
    names = "+".join(a.name for a in agents)
    ids = "+".join(a.agent_id for a in agents)
    stale = not (_live(state, user_feed(address)) and _live(state, "marks"))
    for key, position in account.positions.items():
        yield _real_position(state, address, names, ids, key, account, position, stale)


def _real_position(
    state: FleetState,
    address: str,
    names: str,
    ids: str,
    key: PositionKey,
    account: AccountState,
    position: Position,
    stale: bool,
) -> PositionView:
    mark = state.marks.get(position.symbol) or position.mark_price or None
    stop, target = _protection(account, position)
    places = _places(state, position.symbol)
    return PositionView(
        key=f"{account_key(address)}:{key[0]}:{key[1]}",
        agent_id=ids,
        agent=names,
        mode="real",
        symbol=position.symbol,
        side=position.side,
        quantity=abs(position.quantity),
        entry_price=position.entry_price,
        mark_price=mark,
        unrealized_pnl=position.unrealized(mark) if mark else None,
        notional=position.notional(mark) if mark else None,
        leverage=position.leverage,
        stop_loss=stop,
        take_profit=target,
        liquidation_price=position.liquidation_price or None,
        opened_at=account.opened_at.get(key, 0),
        stale=stale,
        price_places=places[0],
        quantity_places=places[1],
    )


def _protection(account: AccountState, position: Position) -> tuple[Decimal | None, Decimal | None]:
    """The stop and the target nearest to the price among the account's protective orders."""
    closing = "SELL" if position.quantity > 0 else "BUY"
    mine = [o for o in account.orders.values() if o.symbol == position.symbol and o.side == closing]
    stops = [o.stop_price for o in mine if o.order_type in ("STOP", "STOP_MARKET")]
    targets = [o.stop_price for o in mine if o.order_type in ("TAKE_PROFIT", "TAKE_PROFIT_MARKET")]
    if position.quantity > 0:
        return max(stops, default=None), min(targets, default=None)
    return min(stops, default=None), max(targets, default=None)


def _paper_position(state: FleetState, agent: AgentDocument, document: PositionDocument) -> PositionView:
    symbol = symbol_of(document.coin)
    mark = state.marks.get(symbol)
    places = _places(state, symbol)
    entry = document.entry_price
    quantity = document.size_usd / entry if entry > 0 else ZERO
    unrealized = None
    if mark is not None and entry > 0:
        change = (mark - entry) if document.signal == "long" else (entry - mark)
        unrealized = change / entry * document.size_usd
    return PositionView(
        key=document.position_id,
        agent_id=agent.agent_id,
        agent=agent.name,
        mode="paper",
        symbol=symbol,
        side="short" if document.signal == "short" else "long",
        quantity=quantity,
        entry_price=entry,
        mark_price=mark,
        unrealized_pnl=unrealized,
        notional=quantity * mark if mark is not None else None,
        leverage=int(document.leverage),
        stop_loss=document.stop_loss or None,
        take_profit=document.profit_target or None,
        liquidation_price=None,
        opened_at=document.opened_at,
        stale=not _live(state, "marks"),
        price_places=places[0],
        quantity_places=places[1],
    )


def _places(state: FleetState, symbol: str) -> tuple[int, int]:
    rules = state.rules.get(symbol)
    if rules is not None:
        return rules.price_places, rules.quantity_places
    mark = state.marks.get(symbol)
    return (min(6, decimal_places(mark)) if mark else 2, 3)


def _order(state: FleetState, line: OrderLine) -> OrderView:
    order = line.order
    price = order.average_price or order.stop_price or order.price or None
    places = _places(state, order.symbol)
    return OrderView(
        key=line.key,
        at=line.at,
        agent=line.agent,
        mode=line.mode,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        status=order.status if line.account else (line.recorded_status or order.status),
        quantity=order.quantity,
        executed=order.executed,
        price=price,
        slippage_bp=_slippage(order, line.mark_price),
        latency_ms=line.latency_ms,
        cost=line.recorded.cost if line.recorded is not None else None,
        reduce_only=order.reduces,
        forced=order.forced,
        account=line.account,
        order_id=order.order_id,
        stop_price=order.stop_price or None,
        limit_price=order.price or None,
        mark_price=line.mark_price,
        purpose=line.recorded.purpose if line.recorded else "",
        decision_id=line.recorded.decision_id if line.recorded else "",
        open=line.account is not None and not order.final,
        price_places=places[0],
        quantity_places=places[1],
        history=_life(line),
    )


def _life(line: OrderLine) -> tuple[OrderStep, ...]:
    """What its sender wrote down and what the exchange told, in their order."""
    written = line.recorded.history if line.recorded is not None else ()
    return tuple(sorted((*written, *line.told), key=lambda step: step.at))


def _slippage(order: Order, mark: Decimal | None) -> Decimal | None:
    """Basis points against the mark at decision time; above zero is a cost."""
    if not mark or not order.average_price or order.order_type != "MARKET":
        return None
    difference = (order.average_price - mark) / mark * BASIS_POINTS
    return difference if order.side == "BUY" else -difference

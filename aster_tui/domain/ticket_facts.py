"""What a ticket is judged by, as far as a snapshot shows it. Pure.

The console shows with it what the engine will say; the engine judges again by what it knows itself: the
leverage as the exchange has it, the day's loss, the journal's orders.
"""

from __future__ import annotations

from decimal import Decimal

from aster_tui.domain.client_ids import parse_client_id
from aster_tui.domain.safeguards import Situation
from aster_tui.domain.ticket import Facts
from aster_tui.domain.trading import ZERO
from aster_tui.domain.views import AgentView, FleetSnapshot, OrderView

#: How far back orders count for the pace and for duplicates, ms.
RECENT_MS = 600_000
#: Orders that came to nothing count for neither.
_NOTHING = frozenset({"REJECTED"})


def facts_of(snapshot: FleetSnapshot, agent_key: str, symbol: str, now: int) -> Facts:
    """What an order of an agent in a symbol is judged by at ``now`` (Unix ms, this machine's clock)."""
    agent = next((a for a in snapshot.agents if a.key == agent_key), None)
    offset = snapshot.clock_offset_ms or 0
    on_account = agent is not None and agent.mode == "real"
    situation = Situation(
        now=now + offset,
        balance=agent.balance if agent is not None and on_account and agent.wallet_at else None,
        balance_at=agent.wallet_at if agent is not None else 0,
        available=agent.available if agent is not None else None,
        mark=snapshot.marks.get(symbol),
        mark_at=snapshot.marks_at.get(symbol, 0),
        held=_held(snapshot, agent_key),
        recent=_recent(snapshot, agent, now + offset),
        halted=_halted(snapshot, agent),
        reducing=agent is None or agent.trading == "REDUCING",
        forbidden="" if on_account else _off_account(agent),
    )
    leverage = leverage_of(snapshot, agent_key, symbol)
    return Facts(snapshot.rules.get(symbol), situation, snapshot.limits, leverage or 1)


def leverage_of(snapshot: FleetSnapshot, agent_key: str, symbol: str) -> int | None:
    """The leverage of an agent's position in a symbol; None where there is none that would tell."""
    for position in snapshot.positions:
        mine = position.mode == "real" and agent_key in position.agent_id.split("+")
        if mine and position.symbol == symbol and position.leverage:
            return position.leverage
    return None


def _held(snapshot: FleetSnapshot, agent_key: str) -> dict[str, Decimal]:
    """The value of the positions on the agent's account by symbol, USDT; on a shared one all of it."""
    held: dict[str, Decimal] = {}
    for position in snapshot.positions:
        if position.mode == "real" and agent_key in position.agent_id.split("+"):
            value = position.notional or position.quantity * position.entry_price
            held[position.symbol] = held.get(position.symbol, ZERO) + value
    return held


def _recent(snapshot: FleetSnapshot, agent: AgentView | None, now: int) -> tuple[tuple[int, str, str], ...]:
    if agent is None:
        return ()
    return tuple(
        (order.at, order.symbol, order.side)
        for order in snapshot.orders
        if agent.name in order.agent.split("+") and _adds_risk(order) and order.at > now - RECENT_MS
    )


def _adds_risk(order: OrderView) -> bool:
    ours = parse_client_id(order.key)
    return (
        order.mode == "real" and not order.reduce_only and ours is not None and order.status not in _NOTHING
    )


def _halted(snapshot: FleetSnapshot, agent: AgentView | None) -> str:
    if agent is None or not agent.halted:
        return ""
    fleet = snapshot.trading == agent.trading and snapshot.halt_reason == agent.halt_reason
    who = "the fleet" if fleet else agent.name
    return f"{who} is {agent.trading}{': ' + agent.halt_reason if agent.halt_reason else ''}"


def _off_account(agent: AgentView | None) -> str:
    if agent is None:
        return "choose an agent"
    return f"{agent.name} trades on paper: flip it to real first"

"""The ``status`` document: the fleet as one JSON object. Decimals are strings, times Unix milliseconds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aster_tui.domain.symbols import plain
from aster_tui.domain.views import AgentView, FleetSnapshot, PositionView


def status_document(snapshot: FleetSnapshot) -> dict[str, Any]:
    """The document ``aster-tui status --json`` prints."""
    return {
        "network": snapshot.network,
        "read_only": snapshot.read_only,
        "halted": snapshot.halted,
        "at": snapshot.at,
        "agents": [_agent(agent, snapshot.positions) for agent in snapshot.agents],
        "feeds": [
            {
                "name": feed.name,
                "state": feed.state,
                "age_ms": max(0, snapshot.at - feed.heard_at) if feed.heard_at is not None else None,
                "detail": feed.detail,
            }
            for feed in snapshot.feeds
        ],
        "metrics": {
            "clock_offset_ms": snapshot.clock_offset_ms,
            "round_trip_ms": snapshot.round_trip_ms,
            "weight_used": snapshot.weight_used,
            "weight_limit": snapshot.weight_limit,
            "orders_seen": len(snapshot.orders),
            "errors_seen": sum(error.count for error in snapshot.errors),
        },
    }


def _agent(agent: AgentView, positions: tuple[PositionView, ...]) -> dict[str, Any]:
    return {
        "name": agent.name,
        "mode": agent.mode,
        "account": agent.account,
        "balance": _plain(agent.balance),
        "pnl_absolute": _plain(agent.pnl_absolute),
        "pnl_percent": _plain(agent.pnl_percent),
        "paper_balance": _decimal(agent.paper_balance),
        "positions": [_position(p) for p in positions if agent.key in p.agent_id.split("+")],
        "open_orders": agent.open_orders,
        "sync": {"state": agent.sync.state, "at": agent.sync.at, "drift": list(agent.sync.drift)},
        "last_error": agent.last_error,
        "halted": agent.halted,
        "stale": agent.stale,
        "shared_with": list(agent.shared_with),
        "warnings": list(agent.warnings),
    }


def _position(position: PositionView) -> dict[str, Any]:
    return {
        "symbol": position.symbol,
        "side": position.side,
        "quantity": _plain(position.quantity),
        "entry_price": _plain(position.entry_price),
        "mark_price": _decimal(position.mark_price),
        "unrealized_pnl": _decimal(position.unrealized_pnl),
    }


def _decimal(value: Decimal | None) -> str | None:
    return None if value is None else _plain(value)


def _plain(value: Decimal) -> str:
    """Eight decimals, as the venue has: what is computed from doubles has no more worth showing."""
    return plain(value.quantize(Decimal("1e-8"))) if abs(value) < 10**15 else plain(value)

"""The ``status`` document: the fleet as one JSON object. Decimals are strings, times Unix milliseconds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aster_tui.domain.metrics import Metrics
from aster_tui.domain.reality import Reality
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
            "requests_held_until": snapshot.held_until or None,
            "banned": snapshot.banned,
            "orders_seen": len(snapshot.orders),
            "errors_seen": sum(error.count for error in snapshot.errors),
            "orders": {
                name or "fleet": {
                    window: _metrics(snapshot.metrics[name, window])
                    for n, window in snapshot.metrics
                    if n == name
                }
                for name in dict.fromkeys(name for name, _ in snapshot.metrics)
            },
        },
    }


def _agent(agent: AgentView, positions: tuple[PositionView, ...]) -> dict[str, Any]:
    return {
        "name": agent.name,
        "mode": agent.mode,
        "account": agent.account,
        # Nobody may read a balance that nobody has said yet as one of nothing.
        "balance": _plain(agent.balance) if agent.told else None,
        "pnl_absolute": _plain(agent.pnl_absolute) if agent.told else None,
        "pnl_percent": _plain(agent.pnl_percent) if agent.told else None,
        "paper_balance": _decimal(agent.paper_balance),
        "positions": [_position(p) for p in positions if agent.key in p.agent_id.split("+")],
        "open_orders": agent.open_orders,
        "sync": {
            "state": agent.sync.state,
            "at": agent.sync.at,
            "drift": list(agent.sync.drift),
            "drift_since": agent.sync.drifted_at,
        },
        "reality": _reality(agent.reality),
        "last_error": agent.last_error,
        "halted": agent.halted,
        "stale": agent.stale,
        "shared_with": list(agent.shared_with),
        "warnings": list(agent.warnings),
    }


def _metrics(found: Metrics) -> dict[str, Any]:
    return {
        "orders": found.orders,
        "placed": found.placed,
        "doubted": found.doubted,
        "success": _decimal(found.success),
        "slippage_bp": _decimal(found.slippage_average),
        "slippage_p95_bp": _decimal(found.slippage_p95),
        "latency_p50_ms": found.latency_p50,
        "latency_p95_ms": found.latency_p95,
        "latency_p99_ms": found.latency_p99,
        "commission": _plain(found.commission),
        "realized": _plain(found.realized),
        "error_rate": _decimal(found.error_rate),
        "errors": dict(found.errors),
        "error_rates": {kind: _plain(rate) for kind, rate in found.error_rates.items()},
        "orders_cost": _plain(found.orders_cost),
        "funding": _plain(found.funding),
    }


def _reality(found: Reality | None) -> dict[str, Any] | None:
    """The real account beside the paper one, USDT; costs are above zero."""
    if found is None:
        return None
    return {
        "real_pnl": _plain(found.real_pnl),
        "paper_pnl": _plain(found.paper_pnl),
        "cost": _plain(found.cost),
        "orders_cost": _plain(found.orders_cost),
        "fees": _plain(found.fees),
        "funding": _plain(found.funding),
        "slippage_bp": _decimal(found.slippage_bp),
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

"""How well orders go through, from the journal: success, slippage, latency, errors. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from aster_tui.domain.lifecycle import NEVER_THERE, OrderRecord
from aster_tui.domain.trading import ZERO

HOUR_MS = 3_600_000
T = TypeVar("T")
#: Name → length in ms; None is everything there is.
WINDOWS: Mapping[str, int | None] = {"1h": HOUR_MS, "24h": 24 * HOUR_MS, "all": None}


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of one agent, or of the fleet, over one window.

    ``success`` is the part of orders that the exchange took (None without any), slippage in basis points of
    the mark at decision time, latencies in ms from intent to answer, money in USDT. ``error_rate`` is
    errors per order sent; ``errors`` counts them by kind.
    """

    orders: int = 0
    placed: int = 0
    doubted: int = 0
    success: Decimal | None = None
    slippage_average: Decimal | None = None
    slippage_p95: Decimal | None = None
    latency_p50: int | None = None
    latency_p95: int | None = None
    latency_p99: int | None = None
    commission: Decimal = ZERO
    realized: Decimal = ZERO
    error_rate: Decimal | None = None
    errors: Mapping[str, int] = field(default_factory=dict)


def measure(
    records: Iterable[OrderRecord],
    errors: Iterable[tuple[int, str, str]],
    now: int,
    *,
    window_ms: int | None = None,
    agent: str | None = None,
) -> Metrics:
    """The figures of a window.

    Args:
        errors: the venue's errors as (time, agent, kind).
        agent: only this agent's, by name.
    """
    since = now - window_ms if window_ms is not None else 0
    mine = [r for r in records if r.intent_at >= since and agent in (None, r.agent)]
    ended = [r for r in mine if not r.unresolved]
    placed = [r for r in ended if r.state not in NEVER_THERE]
    slips = sorted(s for r in placed if r.order_type == "MARKET" and (s := r.slippage_bp) is not None)
    delays = sorted(d for r in ended if (d := r.latency_ms) is not None)
    kinds = Counter(kind for at, name, kind in errors if at >= since and agent in (None, name))
    return Metrics(
        orders=len(mine),
        placed=len(placed),
        doubted=sum(r.doubted for r in mine),
        success=Decimal(len(placed)) / len(ended) if ended else None,
        slippage_average=sum(slips, ZERO) / len(slips) if slips else None,
        slippage_p95=quantile(slips, 95),
        latency_p50=quantile(delays, 50),
        latency_p95=quantile(delays, 95),
        latency_p99=quantile(delays, 99),
        commission=sum((r.commission for r in mine), ZERO),
        realized=sum((r.realized for r in mine), ZERO),
        error_rate=Decimal(kinds.total()) / len(mine) if mine else None,
        errors=dict(kinds),
    )


def quantile(ordered: Sequence[T], percent: int) -> T | None:
    """The value that ``percent`` of a sorted sequence do not exceed; None of nothing."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, rank - 1)]

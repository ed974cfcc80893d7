"""How well orders go through, from the journal: success, slippage, latency, errors. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from aster_tui.domain.flattened_costs import Correction, summed
from aster_tui.domain.lifecycle import NEVER_THERE, OrderRecord
from aster_tui.domain.order_costs import order_cost
from aster_tui.domain.paper import PaperCosts
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
    errors per order sent; ``errors`` counts them by kind. ``orders_cost`` is what slippage and fees cost more
    than on paper, ``funding`` what was received of it (below zero it was paid).
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
    orders_cost: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def error_rates(self) -> Mapping[str, Decimal]:
        """Errors per order sent, by kind."""
        return {kind: Decimal(count) / self.orders for kind, count in self.errors.items() if self.orders}


@dataclass(slots=True)
class Tally:
    """Orders added up one by one, so that years of them are gone through once. Whoever adds an order that has
    changed removes it as it was."""

    costs: PaperCosts = field(default_factory=PaperCosts)
    orders: int = 0
    ended: int = 0
    placed: int = 0
    doubted: int = 0
    commission: Decimal = ZERO
    realized: Decimal = ZERO
    orders_cost: Decimal = ZERO
    _slips: list[Decimal] = field(default_factory=list)
    _delays: list[int] = field(default_factory=list)

    def add(self, record: OrderRecord) -> None:
        """One more order."""
        slip, delay = self._count(record, 1)
        if slip is not None:
            insort(self._slips, slip)
        if delay is not None:
            insort(self._delays, delay)

    def add_all(self, records: Iterable[OrderRecord]) -> None:
        """Many more."""
        for record in records:
            slip, delay = self._count(record, 1)
            if slip is not None:
                self._slips.append(slip)
            if delay is not None:
                self._delays.append(delay)
        self._slips.sort()
        self._delays.sort()

    def remove(self, record: OrderRecord) -> None:
        """An order that was added, as it was then."""
        slip, delay = self._count(record, -1)
        if slip is not None:
            del self._slips[bisect_left(self._slips, slip)]
        if delay is not None:
            del self._delays[bisect_left(self._delays, delay)]

    def figures(
        self, errors: Counter[str], funding: Decimal = ZERO, corrected: Iterable[Correction] = ()
    ) -> Metrics:
        """What they come to; ``errors`` (by kind), ``funding`` and the corrections are those of the same
        time."""
        slips, delays = self._slips, self._delays
        commission, realized, cost = summed(corrected)
        return Metrics(
            orders=self.orders,
            placed=self.placed,
            doubted=self.doubted,
            success=Decimal(self.placed) / self.ended if self.ended else None,
            slippage_average=sum(slips, ZERO) / len(slips) if slips else None,
            slippage_p95=quantile(slips, 95),
            latency_p50=quantile(delays, 50),
            latency_p95=quantile(delays, 95),
            latency_p99=quantile(delays, 99),
            commission=self.commission + commission,
            realized=self.realized + realized,
            error_rate=Decimal(errors.total()) / self.orders if self.orders else None,
            errors=dict(errors),
            orders_cost=self.orders_cost + cost,
            funding=funding,
        )

    def _count(self, record: OrderRecord, times: int) -> tuple[Decimal | None, int | None]:
        self.orders += times
        self.doubted += times * record.doubted
        self.commission += times * record.commission
        self.realized += times * record.realized
        if (cost := order_cost(record, self.costs)) is not None:
            self.orders_cost += times * cost.total
        if record.unresolved:
            return None, None
        self.ended += times
        if record.state in NEVER_THERE:
            return None, record.latency_ms
        self.placed += times
        return record.slippage_bp if record.order_type == "MARKET" else None, record.latency_ms


def measure(
    records: Iterable[OrderRecord],
    errors: Iterable[tuple[int, str, str]],
    now: int,
    *,
    window_ms: int | None = None,
    agent: str | None = None,
    costs: PaperCosts | None = None,
    funding: Iterable[tuple[int, str, Decimal]] = (),
    corrected: Iterable[Correction] = (),
) -> Metrics:
    """The figures of a window.

    Args:
        errors: the venue's errors as (time, agent, kind).
        agent: only this agent's, by name.
        costs: what paper orders pay.
        funding: what was received of it, as (time, agent, USDT).
        corrected: what close-alls of shared accounts add to each agent, or take from it.
    """
    since = now - window_ms if window_ms is not None else 0
    tally = Tally(costs or PaperCosts())
    tally.add_all(r for r in records if r.intent_at >= since and agent in (None, r.agent))
    return tally.figures(
        Counter(kind for at, name, kind in errors if at >= since and agent in (None, name)),
        sum((amount for at, name, amount in funding if at >= since and agent in (None, name)), ZERO),
        (c for c in corrected if c.intent_at >= since and agent in (None, c.agent)),
    )


def quantile(ordered: Sequence[T], percent: int) -> T | None:
    """The value that ``percent`` of a sorted sequence do not exceed; None of nothing."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, rank - 1)]

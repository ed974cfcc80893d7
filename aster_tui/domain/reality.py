"""What reality costs in all: an agent's real orders against the paper account that decides the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.domain.metrics import Metrics
from aster_tui.domain.shares import Share
from aster_tui.domain.trading import ZERO


@dataclass(frozen=True, slots=True)
class Reality:
    """An agent's real account beside its paper one, over all its orders.

    ``real_pnl`` is what its orders made: realized, less fees, with funding (above zero it was received) and
    what is open at the marks. ``orders_cost`` is the part of ``cost`` that slippage and fees beyond the paper
    ones make; the rest is funding, what failed, and stops that were hit at other times.
    """

    real_pnl: Decimal
    paper_pnl: Decimal
    orders_cost: Decimal
    fees: Decimal
    funding: Decimal
    slippage_bp: Decimal | None = None

    @property
    def cost(self) -> Decimal:
        """What reality cost in all."""
        return self.paper_pnl - self.real_pnl


def compare(
    figures: Metrics, shares: Iterable[Share], marks: Mapping[str, Decimal], paper_pnl: Decimal
) -> Reality:
    """An agent's comparison, from its figures over all time and its open shares."""
    unrealized = sum(
        (s.quantity * (marks.get(s.symbol, s.entry_price) - s.entry_price) for s in shares), ZERO
    )
    return Reality(
        real_pnl=figures.realized - figures.commission + figures.funding + unrealized,
        paper_pnl=paper_pnl,
        orders_cost=figures.orders_cost,
        fees=figures.commission,
        funding=figures.funding,
        slippage_bp=figures.slippage_average,
    )

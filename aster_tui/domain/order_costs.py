"""What one real order cost more than its paper twin. Pure.

A paper order pays a slippage and a fee that are set (:class:`~aster_tui.domain.paper.PaperCosts`); a real one
pays what it paid. Money in USDT; above zero it cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.paper import PaperCosts


@dataclass(frozen=True, slots=True)
class OrderCost:
    """One executed order of a decision: what it paid, and what its paper twin pays."""

    slippage: Decimal
    fee: Decimal
    paper_slippage: Decimal
    paper_fee: Decimal

    @property
    def total(self) -> Decimal:
        """What it cost more than on paper."""
        return self.slippage + self.fee - self.paper_slippage - self.paper_fee


def order_cost(record: OrderRecord, costs: PaperCosts) -> OrderCost | None:
    """The cost of an order; None of what did not execute, or that no decision asked for."""
    reference = record.reference
    if not record.executed or not record.average_price or not reference or not record.decision_id:
        return None
    worth = record.executed * reference
    worse = record.average_price - reference
    return OrderCost(
        slippage=record.executed * (worse if record.side == "BUY" else -worse),
        fee=record.commission,
        paper_slippage=worth * costs.slippage_bp / 10_000,
        paper_fee=worth * costs.fee,
    )

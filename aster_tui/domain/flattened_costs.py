"""Whose figures a close-all of a shared account goes into: each agent's whose share it closed. Pure.

The order itself stands under the account's first agent, and is counted there; what it realized and cost is
divided by what was taken from each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.order_costs import order_cost
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.shares import Taken, divided
from aster_tui.domain.trading import ZERO


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to be added to an agent's figures, USDT: the agent the order stands under loses what others
    get, so that all corrections of an order come to zero. Times in Unix ms."""

    agent_id: str
    agent: str
    intent_at: int
    executed_at: int
    commission: Decimal
    realized: Decimal
    orders_cost: Decimal


def corrections(
    record: OrderRecord, taken: Taken, names: Mapping[str, str], costs: PaperCosts
) -> list[Correction]:
    """The corrections of one order, none for all that is no close-all of several.

    Args:
        taken: what close-alls took from whom.
        names: agents' names by id.
    """
    weights = taken.get(record.client_order_id, {})
    if not {*weights} - {record.agent_id}:
        return []
    cost = order_cost(record, costs)
    whole = (record.commission, record.realized, cost.total if cost is not None else ZERO)
    parts = [divided(amount, weights) for amount in whole]
    found = []
    for agent_id in {record.agent_id: None, **dict.fromkeys(weights)}:
        own = agent_id == record.agent_id
        commission, realized, orders_cost = (
            part.get(agent_id, ZERO) - (amount if own else ZERO)
            for part, amount in zip(parts, whole, strict=True)
        )
        found.append(
            Correction(
                agent_id,
                record.agent if own else names[agent_id],
                record.intent_at,
                record.executed_at,
                commission,
                realized,
                orders_cost,
            )
        )
    return found


def summed(found: Iterable[Correction]) -> tuple[Decimal, Decimal, Decimal]:
    """What corrections come to: commission, realized, orders' cost."""
    rows = [*found]
    return (
        sum((c.commission for c in rows), ZERO),
        sum((c.realized for c in rows), ZERO),
        sum((c.orders_cost for c in rows), ZERO),
    )

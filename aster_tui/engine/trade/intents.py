"""What an order is before it leaves: whose it is, and the record its life begins with."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aster_tui.aster.trader import PreparedOrder
from aster_tui.domain.client_ids import Purpose
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.engine.clock import now_ms


@dataclass(frozen=True, slots=True)
class OrderFor:
    """Whose order it is and why: ``account`` is the user's address, ``epoch`` the sender's lease."""

    account: str
    agent_id: str
    agent: str
    purpose: Purpose
    decision_id: str = ""
    epoch: int = 0
    mark_price: Decimal | None = None


def intended(prepared: PreparedOrder, whose: OrderFor) -> OrderRecord:
    """The record with which an order's life begins."""
    request = prepared.request
    return OrderRecord(
        client_order_id=request.client_order_id,
        account=whose.account,
        agent_id=whose.agent_id,
        agent=whose.agent,
        purpose=whose.purpose,
        symbol=request.symbol,
        side=request.side,
        order_type=request.order_type,
        nonce=prepared.nonce,
        intent_at=now_ms(),
        quantity=request.quantity,
        price=request.price,
        stop_price=request.stop_price,
        position_side=request.position_side,
        reduce_only=request.reduces,
        decision_id=whose.decision_id,
        epoch=whose.epoch,
        mark_price=whose.mark_price,
        updated_at=now_ms(),
    )

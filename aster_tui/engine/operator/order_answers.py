"""What an operator is told of orders: of one that was judged, sent, changed, or not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aster_tui.aster.errors import AsterError, OutcomeUnknown, Unreachable
from aster_tui.domain.commands import ReducePosition
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.symbols import plain
from aster_tui.domain.ticket import Examined
from aster_tui.domain.trading import ZERO, Order
from aster_tui.domain.views import RequestState
from aster_tui.engine.operator.operator import Answer, answer
from aster_tui.engine.trade.desk import Forbidden, Sent

_STATES: dict[str, RequestState] = {
    "placed": "done",
    "refused": "failed",
    "unsent": "unreachable",
    "never-placed": "failed",
}


def no_part(name: str, asked: ReducePosition, share: Decimal) -> str:
    """Why nothing of a share can be closed."""
    if not share:
        return f"{name} has nothing in {asked.symbol} to close"
    part = f"{plain(asked.part * 100)} % of {plain(abs(share))} {asked.symbol}"
    return f"{name}: {part} is less than the smallest order: close all of it instead"


def state_of(sent: Sent) -> RequestState:
    """The state of a request whose order was not placed, or was."""
    return "refused" if isinstance(sent.error, Forbidden) else _STATES[sent.word]


def placed_or_not(sent: Sent, shown: dict[str, Any]) -> Answer:
    """What became of an order that was sent."""
    record = sent.record
    received = record_row(record)
    if not sent.placed:
        words = f"not placed: {sent.error or sent.word}"
        code = sent.error.code if sent.error else ""
        remedy = sent.error.remedy if sent.error else ""
        return answer(state_of(sent), words, error_code=code, remedy=remedy, received=received, **shown)
    if record.state == "done" and not record.executed:
        return answer("failed", f"nothing of it was executed ({record.status})", received=received, **shown)
    price = f" at {plain(record.average_price)}" if record.executed else ""
    words = f"{record.status}: {plain(record.executed or record.quantity or ZERO)} {record.symbol}{price}"
    return answer("done", words, received=received, **shown)


def failed(error: AsterError, **shown: Any) -> Answer:
    """The answer to what the exchange refused, or nobody knows the end of."""
    state: RequestState = "failed"
    if isinstance(error, OutcomeUnknown):
        state = "unknown"
    elif isinstance(error, Unreachable):
        state = "unreachable"
    return answer(state, str(error), error_code=error.code, remedy=error.remedy, raw=error.raw, **shown)


def judged(examined: Examined, leverage: int) -> dict[str, Any]:
    """An order as it is about to be sent, with what every safeguard said."""
    ticket = examined.ticket
    return {
        "sent": {
            "symbol": ticket.symbol,
            "side": ticket.side.lower(),
            "type": ticket.order_type,
            "quantity": plain(examined.quantity),
            "price": plain(ticket.price) if ticket.price is not None else None,
            "stop_price": plain(ticket.stop_price) if ticket.stop_price is not None else None,
            "reduce_only": ticket.reduce_only,
        },
        "notional": f"{examined.notional:.8f}".rstrip("0").rstrip("."),
        "leverage": leverage,
        "safeguards": [{"name": v.name, "ok": v.ok, "message": v.message} for v in examined.verdicts],
    }


def record_row(record: OrderRecord) -> dict[str, Any]:
    """What the journal knows of an order."""
    return {
        "client_order_id": record.client_order_id,
        "order_id": record.order_id,
        "symbol": record.symbol,
        "side": record.side.lower(),
        "quantity": plain(record.quantity or ZERO),
        "status": record.status or record.state,
        "executed": plain(record.executed),
        "average_price": plain(record.average_price),
        "slippage_bp": plain(record.slippage_bp) if record.slippage_bp is not None else None,
        "latency_ms": record.latency_ms,
    }


def order_row(order: Order) -> dict[str, Any]:
    """What the exchange said of an order."""
    return {
        "client_order_id": order.client_order_id,
        "order_id": order.order_id,
        "status": order.status,
        "quantity": plain(order.quantity),
        "price": plain(order.price),
        "executed": plain(order.executed),
    }

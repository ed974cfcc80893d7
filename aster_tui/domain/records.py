"""The documents this project adds, ``orders`` and ``errors``, as the events they are shown as.

Exact decimals stand in them as Decimal128 or text, never as doubles. Reading one never fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from aster_tui.domain.audit import AuditLine, from_data
from aster_tui.domain.documents import Fields, as_decimal
from aster_tui.domain.events import ErrorRaised, OrderRecorded
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.order_costs import order_cost
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import ZERO, Side
from aster_tui.domain.views import OrderStep


def parse_order_record(raw: Mapping[str, Any]) -> OrderRecorded:
    """One document of ``orders``: what the sender knows of an order beyond what the venue tells."""
    fields = Fields(raw, "order")
    latency = as_decimal(raw.get("latencyMs"))
    return OrderRecorded(
        at=fields.whole("timestamp", optional=True),
        agent=fields.text("agentName", optional=True),
        client_order_id=fields.text("clientOrderId") or str(raw.get("_id", "")),
        symbol=fields.text("symbol", "?"),
        side=cast(Side, fields.choice("side", ("BUY", "SELL"), "BUY")),
        order_type=fields.text("type", "?"),
        status=fields.text("status", "UNKNOWN"),
        quantity=fields.number("quantity"),
        executed=fields.number("executed", ZERO, optional=True),
        average_price=fields.number("averagePrice", ZERO, optional=True),
        price=fields.number("price", ZERO, optional=True),
        mark_price=as_decimal(raw.get("markPrice")),
        latency_ms=int(latency) if latency is not None else None,
        reduce_only=raw.get("reduceOnly") is True,
        purpose=fields.text("purpose", optional=True),
        decision_id=fields.text("decisionId", optional=True),
        cost=as_decimal(raw.get("costOfReality")),
        history=_history(raw.get("history")),
    )


def _history(raw: object) -> tuple[OrderStep, ...]:
    """What the sender wrote down of an order, oldest first; what is no entry is left out."""
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        return ()
    steps = []
    for entry in raw:
        at = as_decimal(entry.get("at")) if isinstance(entry, Mapping) else None
        if at is None or not isinstance(entry, Mapping):
            continue
        told = {name: str(value) for name, value in entry.items() if name not in _PLACE}
        kind = str(entry.get("kind", "?"))
        steps.append(OrderStep(int(at), kind, _step_words(told), json.dumps(told) if told else ""))
    return tuple(sorted(steps, key=lambda step: step.at))


#: Where an entry of a history stands, not what it says.
_PLACE = frozenset({"at", "kind", "journal", "seq"})


def _step_words(told: Mapping[str, str]) -> str:
    """An entry for people."""
    words = [told[name] for name in ("word", "status", "code", "message") if told.get(name)]
    for name, said in (
        ("executed", "executed"),
        ("average_price", "at"),
        ("commission", "fee"),
        ("realized", "realized"),
    ):
        value = as_decimal(told.get(name))
        if value:
            words.append(f"{said} {plain(value)}")
    return " ".join(words)


def parse_error_record(raw: Mapping[str, Any]) -> ErrorRaised:
    """One document of ``errors``."""
    fields = Fields(raw, "error")
    at = fields.whole("timestamp", optional=True)
    return ErrorRaised(
        at=at,
        recorded_at=at or 1,
        source=fields.text("source", "agent", optional=True),
        message=fields.text("message", "(no text)"),
        agent=fields.text("agentName", optional=True) or None,
        code=fields.text("code", optional=True),
        remedy=fields.text("remedy", optional=True),
        raw=fields.text("raw", optional=True),
    )


def error_record(error: ErrorRaised) -> dict[str, Any]:
    """The document of ``errors`` that :func:`parse_error_record` reads back."""
    return {
        "timestamp": error.at,
        "source": error.source,
        "message": error.message,
        "agentName": error.agent,
        "code": error.code,
        "remedy": error.remedy,
        "raw": error.raw,
    }


def parse_audit(raw: Mapping[str, Any]) -> AuditLine | None:
    """One document of ``audit``; None of what is none."""
    try:
        line = from_data(raw)
        return line if line.hash and isinstance(line.at, int) else None
    except ValueError:
        return None


def order_document(record: OrderRecord, costs: PaperCosts) -> dict[str, Any]:
    """The document of ``orders``. Exact decimals; times are Unix ms. ``costOfReality`` is what slippage and
    fees cost more than they cost the paper account, USDT."""
    cost = order_cost(record, costs)
    return {
        "clientOrderId": record.client_order_id,
        "orderId": record.order_id,
        "agentId": record.agent_id,
        "agentName": record.agent,
        "account": record.account,
        "symbol": record.symbol,
        "side": record.side,
        "positionSide": record.position_side,
        "type": record.order_type,
        "purpose": record.purpose,
        "quantity": record.quantity,
        "price": record.price or record.stop_price,
        "limitPrice": record.price,
        "stopPrice": record.stop_price,
        "reduceOnly": record.reduce_only,
        "state": record.state,
        "status": record.status or _STATUS.get(record.state, "UNKNOWN"),
        "executed": record.executed,
        "averagePrice": record.average_price,
        "markPrice": record.mark_price,
        "slippageBp": record.slippage_bp,
        "costOfReality": cost.total if cost is not None else None,
        "commission": record.commission,
        "realized": record.realized,
        "tradeIds": list(record.trade_ids),
        "traded": record.traded,
        "nonce": record.nonce,
        "decisionId": record.decision_id,
        "epoch": record.epoch,
        "latencyMs": record.latency_ms,
        "doubted": record.doubted,
        "errorCode": record.error_code,
        "error": record.error,
        "timestamp": record.intent_at,
        "answeredAt": record.answered_at,
        "executedAt": record.executed_at,
    }


_STATUS = {
    "intent": "INTENT",
    "refused": "REJECTED",
    "unsent": "UNSENT",
    "never-placed": "NEVER_PLACED",
    "unknown": "UNKNOWN",
}


def order_record(raw: Mapping[str, Any]) -> OrderRecord | None:
    """The record that :func:`order_document` wrote; None of a document that is not whole."""
    try:
        return OrderRecord(
            client_order_id=str(raw["clientOrderId"]),
            account=str(raw["account"]),
            agent_id=str(raw["agentId"]),
            agent=str(raw["agentName"]),
            purpose=raw["purpose"],
            symbol=str(raw["symbol"]),
            side=raw["side"],
            order_type=str(raw["type"]),
            nonce=int(raw["nonce"]),
            intent_at=int(raw["timestamp"]),
            quantity=as_decimal(raw.get("quantity")),
            price=as_decimal(raw.get("limitPrice")),
            stop_price=as_decimal(raw.get("stopPrice")),
            position_side=raw.get("positionSide") or "BOTH",
            reduce_only=raw.get("reduceOnly") is True,
            decision_id=str(raw.get("decisionId") or ""),
            epoch=int(raw.get("epoch") or 0),
            mark_price=as_decimal(raw.get("markPrice")),
            state=raw["state"],
            order_id=int(raw.get("orderId") or 0),
            status="" if raw.get("status") in _STATUS.values() else str(raw.get("status") or ""),
            executed=as_decimal(raw.get("executed")) or ZERO,
            average_price=as_decimal(raw.get("averagePrice")) or ZERO,
            commission=as_decimal(raw.get("commission")) or ZERO,
            realized=as_decimal(raw.get("realized")) or ZERO,
            trade_ids=tuple(int(t) for t in raw.get("tradeIds") or ()),
            traded=as_decimal(raw.get("traded")) or ZERO,
            answered_at=int(raw.get("answeredAt") or 0),
            executed_at=int(raw.get("executedAt") or 0),
            doubted=raw.get("doubted") is True,
            error_code=str(raw.get("errorCode") or ""),
            error=str(raw.get("error") or ""),
            updated_at=int(raw["timestamp"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def decision_document(
    decision_id: str, agent_id: str, agent_name: str, arguments: Mapping[str, Any], at: int
) -> dict[str, Any]:
    """The document of ``decisions`` that queues a decision, made at ``at`` (Unix ms)."""
    return {
        "_id": decision_id,
        "agentId": agent_id,
        "agentName": agent_name,
        "decision": {"trade_signal_args": dict(arguments)},
        "state": "queued",
        "timestamp": at,
    }

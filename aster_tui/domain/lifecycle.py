"""The life of an order, as its sender's journal knows it: a reducer over entries. Pure.

intent → placed (open … done) | refused | unsent | unknown; unknown → placed | never-placed. No path leads
from ``unknown`` to sending again. An entry that comes late or twice changes nothing that is further along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from sys import intern
from typing import Any, Literal, cast

from aster_tui.domain.client_ids import Purpose
from aster_tui.domain.trading import FINAL_STATUSES, TRIGGERED_TYPES, ZERO, Order, PositionSide, Side

#: ``intent``: written down, perhaps sent; ``unknown``: sent, and nobody knows; ``open`` and ``done``: the
#: venue has it; ``refused``: the venue said no; ``unsent`` and ``never-placed``: it never was there.
State = Literal["intent", "unknown", "open", "done", "refused", "unsent", "never-placed"]
Kind = Literal["intent", "answered", "refused", "unsent", "unknown", "resolved", "update", "fill"]

#: States in which the exchange must be asked before anything new is sent.
UNRESOLVED: frozenset[State] = frozenset({"intent", "unknown"})
#: States in which it is certain that the order never was in the book.
NEVER_THERE: frozenset[State] = frozenset({"refused", "unsent", "never-placed"})


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order from intent to end. Quantities in the base asset, prices and fees in USDT, times in Unix ms.

    ``mark_price`` is the mark at decision time. ``commission``, ``realized`` and ``traded`` (the quantity)
    add up the fills in ``trade_ids``; ``answered_at`` minus ``intent_at`` is the latency; ``executed_at`` is
    when it first filled.
    """

    client_order_id: str
    account: str
    agent_id: str
    agent: str
    purpose: Purpose
    symbol: str
    side: Side
    order_type: str
    nonce: int
    intent_at: int
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    position_side: PositionSide = "BOTH"
    reduce_only: bool = False
    decision_id: str = ""
    epoch: int = 0
    owner: str = ""
    mark_price: Decimal | None = None
    state: State = "intent"
    order_id: int = 0
    status: str = ""
    executed: Decimal = ZERO
    average_price: Decimal = ZERO
    commission: Decimal = ZERO
    realized: Decimal = ZERO
    trade_ids: tuple[int, ...] = ()
    traded: Decimal = ZERO
    answered_at: int = 0
    executed_at: int = 0
    doubted: bool = False
    error_code: str = ""
    error: str = ""
    updated_at: int = 0

    @property
    def unresolved(self) -> bool:
        """Whether nobody knows yet if the venue has it."""
        return self.state in UNRESOLVED

    @property
    def live(self) -> bool:
        """Whether it may still execute."""
        return self.state in ("intent", "unknown", "open")

    @property
    def latency_ms(self) -> int | None:
        """From intent to the venue's answer; None without one, or when it was found out later."""
        return self.answered_at - self.intent_at if self.answered_at and not self.doubted else None

    @property
    def signed(self) -> Decimal:
        """What it moved its agent's position by."""
        return self.executed if self.side == "BUY" else -self.executed

    @property
    def slippage_bp(self) -> Decimal | None:
        """Average price against :attr:`reference`, basis points; above zero it cost money."""
        reference = self.reference
        if not self.executed or not self.average_price or not reference:
            return None
        worse = self.average_price - reference
        return (worse if self.side == "BUY" else -worse) / reference * 10_000

    @property
    def reference(self) -> Decimal | None:
        """The price it was meant to have: the mark at decision time, of a stop or target its trigger."""
        return self.stop_price if self.order_type in TRIGGERED_TYPES and self.stop_price else self.mark_price


def applied(record: OrderRecord, kind: Kind, at: int, data: Mapping[str, Any]) -> OrderRecord:
    """The record after one more entry."""
    if kind in ("answered", "resolved", "update"):
        if data.get("word") == "never-placed":
            # Only doubt can end so; what the venue was seen to have stays.
            gone = replace(record, state="never-placed", doubted=True, updated_at=at)
            return gone if record.unresolved else record
        return _placed(record, kind, at, data)
    if kind == "fill":
        return _filled(record, at, data)
    if not record.unresolved:
        return record
    if kind == "unknown":
        return replace(
            record, state="unknown", doubted=True, updated_at=at, error_code=_text(data, "code"),
            error=_text(data, "message"),
        )  # fmt: skip
    if kind in ("refused", "unsent"):
        return replace(
            record,
            state=cast(State, kind),
            updated_at=at,
            answered_at=at if kind == "refused" else 0,
            error_code=_text(data, "code"),
            error=_text(data, "message"),
        )
    return record


def _placed(record: OrderRecord, kind: Kind, at: int, data: Mapping[str, Any]) -> OrderRecord:
    executed = Decimal(str(data.get("executed", 0)))
    status = _text(data, "status")
    if record.state == "done" or executed < record.executed:
        return record  # late news of an order that is further along
    final = status in FINAL_STATUSES
    return replace(
        record,
        state="done" if final else "open",
        status=status,
        order_id=int(data.get("order_id", 0)) or record.order_id,
        executed=executed,
        average_price=Decimal(str(data.get("average_price", 0))) or record.average_price,
        answered_at=record.answered_at or at,
        executed_at=at if executed > record.executed and not record.executed_at else record.executed_at,
        doubted=record.doubted or (kind == "resolved"),
        updated_at=at,
    )


def _filled(record: OrderRecord, at: int, data: Mapping[str, Any]) -> OrderRecord:
    trade = int(data.get("trade_id", 0))
    if not trade or trade in record.trade_ids:
        return record
    return replace(
        record,
        commission=record.commission + Decimal(str(data.get("commission", 0))),
        realized=record.realized + Decimal(str(data.get("realized", 0))),
        trade_ids=(*record.trade_ids, trade),
        traded=record.traded + Decimal(str(data.get("quantity", 0))),
        updated_at=max(at, record.updated_at),
    )


def told_of(order: Order) -> dict[str, Any]:
    """What an entry keeps of the venue's word on an order."""
    return {
        "status": order.status,
        "order_id": order.order_id,
        "executed": str(order.executed),
        "average_price": str(order.average_price),
    }


_NAMES = {f.name: None for f in fields(OrderRecord)}
_DECIMALS = (
    "quantity",
    "price",
    "stop_price",
    "mark_price",
    "executed",
    "average_price",
    "commission",
    "realized",
    "traded",
)
#: What very many orders have in common, and should have in memory once.
_COMMON = ("account", "agent_id", "agent", "symbol", "order_type", "owner", "status", "decision_id")


def as_data(record: OrderRecord) -> dict[str, Any]:
    """The record as JSON has it: decimals are text."""
    values = {name: getattr(record, name) for name in _NAMES}
    for name in _DECIMALS:
        if values[name] is not None:
            values[name] = str(values[name])
    return values


def from_data(data: Mapping[str, Any]) -> OrderRecord:
    """The record that :func:`as_data` wrote; fields this version does not know are left out."""
    known = data.keys() <= _NAMES.keys()
    values = dict(data) if known else {name: v for name, v in data.items() if name in _NAMES}
    for name in _DECIMALS:
        if (value := values.get(name)) is not None:
            values[name] = ZERO if value == "0" else Decimal(value)
    for name in _COMMON:
        if name in values:
            values[name] = intern(values[name])
    if "trade_ids" in values:
        values["trade_ids"] = tuple(values["trade_ids"])
    return OrderRecord(**values)


def _text(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name, ""))

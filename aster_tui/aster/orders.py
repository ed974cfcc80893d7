"""An order as it is asked for, and the parameters it becomes on the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.aster.errors import InvalidOrder
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import PositionSide, Side

#: ``newClientOrderId`` as the venue documents it.
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_SYMBOL = re.compile(r"[A-Z0-9]{2,30}")
TYPES = frozenset(
    {"MARKET", "LIMIT", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
)
_PRICED = frozenset({"LIMIT", "STOP", "TAKE_PROFIT"})
_STOPPED = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"})
#: Percent, as the venue documents them.
_LEAST_CALLBACK, _MOST_CALLBACK = Decimal("0.1"), Decimal(5)
#: No amount or price of a perpetual has more digits; beyond it a typing error is certain.
_LARGEST = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order. ``quantity`` is in the base asset, prices are in USDT, ``callback_rate`` in percent."""

    symbol: str
    side: Side
    order_type: str
    client_order_id: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: str | None = None
    reduce_only: bool = False
    close_position: bool = False
    position_side: PositionSide = "BOTH"
    working_type: str | None = None
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        closing = {"LONG": "SELL", "SHORT": "BUY"}.get(self.position_side)
        return self.reduce_only or self.close_position or self.side == closing

    def parameters(self) -> list[tuple[str, str]]:
        """The wire's parameters, in order.

        Raises:
            InvalidOrder: something no exchange would take (NaN, zero, a bad id, a missing price).
        """
        self._check()
        found = [("symbol", self.symbol), ("side", self.side), ("type", self.order_type)]
        if self.position_side != "BOTH":
            found.append(("positionSide", self.position_side))
        force = self.time_in_force or ("GTC" if self.order_type in _PRICED else None)
        if force:
            found.append(("timeInForce", force))
        numbers = (
            ("quantity", self.quantity),
            ("price", self.price),
            ("stopPrice", self.stop_price),
            ("callbackRate", self.callback_rate),
            ("activationPrice", self.activation_price),
        )
        found += [(name, plain(value)) for name, value in numbers if value is not None]
        if self.working_type:
            found.append(("workingType", self.working_type))
        if self.reduce_only:
            found.append(("reduceOnly", "true"))
        if self.close_position:
            found.append(("closePosition", "true"))
        # ACK says NEW and nothing executed; RESULT says what happened.
        found += [("newClientOrderId", self.client_order_id), ("newOrderRespType", "RESULT")]
        return found

    def _check(self) -> None:
        if self.side not in ("BUY", "SELL") or self.order_type not in TYPES:
            raise InvalidOrder(f"no such order: {self.side} {self.order_type}")
        if not _SYMBOL.fullmatch(self.symbol):
            raise InvalidOrder(f"not a symbol: {self.symbol[:40]!r}")
        if not _CLIENT_ID.fullmatch(self.client_order_id):
            raise InvalidOrder("a client order id has 1 to 36 letters, digits or . : / _ -")
        for name in ("quantity", "price", "stop_price", "callback_rate", "activation_price"):
            value: Decimal | None = getattr(self, name)
            if value is not None and not (value.is_finite() and 0 < value < _LARGEST):
                raise InvalidOrder(f"{name.replace('_', ' ')} must be a number above zero, not {value!s:.40}")
        if self.close_position and (self.quantity is not None or self.reduce_only):
            raise InvalidOrder("an order that closes the position takes neither a quantity nor reduce-only")
        if self.quantity is None and not self.close_position:
            raise InvalidOrder("a quantity is missing")
        if (self.price is None) == (self.order_type in _PRICED):
            raise InvalidOrder(f"{self.order_type} {'needs' if self.price is None else 'takes no'} price")
        if self.callback_rate is None and self.order_type == "TRAILING_STOP_MARKET":
            raise InvalidOrder("a trailing stop needs a callback rate")
        if self.callback_rate is not None and not _LEAST_CALLBACK <= self.callback_rate <= _MOST_CALLBACK:
            raise InvalidOrder(f"a callback rate is from {_LEAST_CALLBACK} to {_MOST_CALLBACK} percent")
        if self.stop_price is None and self.order_type in _STOPPED:
            raise InvalidOrder(f"{self.order_type} needs a stop price")

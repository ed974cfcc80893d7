"""An order as it is asked for, and the parameters it becomes on the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.aster.errors import InvalidOrder
from aster_tui.domain.symbols import plain, round_nearest
from aster_tui.domain.trading import PositionSide, Side

#: ``newClientOrderId`` as the venue documents it.
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_SYMBOL = re.compile(r"[A-Z0-9]{2,30}")
_KIND = re.compile(r"[A-Z_]{4,40}")
_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
TRAILING = "TRAILING_STOP_MARKET"
TYPES = frozenset({"MARKET", "LIMIT", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", TRAILING})
_PRICED = frozenset({"LIMIT", "STOP", "TAKE_PROFIT"})
_STOPPED = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"})
_CLOSING = frozenset({"STOP_MARKET", "TAKE_PROFIT_MARKET"})
_FORCES = frozenset({"GTC", "IOC", "FOK", "GTX", "HIDDEN"})
_WORKING = frozenset({"CONTRACT_PRICE", "MARK_PRICE"})
#: Percent, as the venue documents them.
_LEAST_CALLBACK, _MOST_CALLBACK = Decimal("0.1"), Decimal(5)
#: No amount or price of a perpetual has more digits; beyond it a typing error is certain.
_LARGEST = Decimal(10) ** 12
#: Letters of a number on the wire; no tick or step is finer.
_LONGEST = 32


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
    price_protect: bool = False

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        closing = {"LONG": "SELL", "SHORT": "BUY"}.get(self.position_side)
        return self.reduce_only or self.close_position or self.side == closing

    def parameters(self, *, known_symbol: bool = False) -> list[tuple[str, str]]:
        """The wire's parameters, in order. A ``known_symbol`` was named by the venue itself.

        Raises:
            InvalidOrder: something no exchange would take (NaN, zero, a bad id, a missing price).
        """
        if not known_symbol:
            checked_symbol(self.symbol)
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
        flags = (
            ("reduceOnly", self.reduce_only),
            ("closePosition", self.close_position),
            ("priceProtect", self.price_protect),
        )
        found += [(name, "true") for name, is_set in flags if is_set]
        # ACK says NEW and nothing executed; RESULT says what happened.
        found += [("newClientOrderId", self.client_order_id), ("newOrderRespType", "RESULT")]
        return found

    def _check(self) -> None:
        if self.side not in ("BUY", "SELL") or self.order_type not in TYPES:
            raise InvalidOrder(f"no such order: {_shown(self.side)} {_shown(self.order_type)}")
        checked_client_id(self.client_order_id)
        self._check_words()
        for name in ("quantity", "price", "stop_price", "callback_rate", "activation_price"):
            value: Decimal | None = getattr(self, name)
            if value is not None and not (value.is_finite() and 0 < value < _LARGEST):
                raise InvalidOrder(f"{name.replace('_', ' ')} must be a number above zero, not {value!s:.40}")
            if value is not None and len(plain(value)) > _LONGEST:
                raise InvalidOrder(f"{name.replace('_', ' ')} has too many digits: {value!s:.40}")
        if self.close_position and (self.quantity is not None or self.reduce_only):
            raise InvalidOrder("an order that closes the position takes neither a quantity nor reduce-only")
        if self.close_position and self.order_type not in _CLOSING:
            raise InvalidOrder("only STOP_MARKET and TAKE_PROFIT_MARKET close the position")
        if self.quantity is None and not self.close_position:
            raise InvalidOrder("a quantity is missing")
        for what, value, wanted in (
            ("a price", self.price, self.order_type in _PRICED),
            ("a stop price", self.stop_price, self.order_type in _STOPPED),
            ("a callback rate", self.callback_rate, self.order_type == TRAILING),
        ):
            if (value is not None) != wanted:
                raise InvalidOrder(f"{self.order_type} {'needs' if wanted else 'does not take'} {what}")
        if self.activation_price is not None and self.order_type != TRAILING:
            raise InvalidOrder(f"{self.order_type} does not take an activation price")
        if self.callback_rate is not None and not _LEAST_CALLBACK <= self.callback_rate <= _MOST_CALLBACK:
            raise InvalidOrder(f"a callback rate is from {_LEAST_CALLBACK} to {_MOST_CALLBACK} percent")
        if self.callback_rate is not None and self.callback_rate % _LEAST_CALLBACK:
            nearest = plain(round_nearest(self.callback_rate, _LEAST_CALLBACK))
            raise InvalidOrder(
                f"a callback rate moves in steps of {_LEAST_CALLBACK} percent; nearest is {nearest}"
            )

    def _check_words(self) -> None:
        if self.position_side not in ("BOTH", "LONG", "SHORT"):
            raise InvalidOrder(f"no such position side: {_shown(self.position_side)}")
        if self.position_side != "BOTH" and self.reduce_only:
            raise InvalidOrder("with a position side the opposite side reduces; reduce-only is refused")
        if self.time_in_force is not None and self.time_in_force not in _FORCES:
            raise InvalidOrder(f"no such time in force: {_shown(self.time_in_force)}")
        if self.time_in_force is not None and self.order_type == "MARKET":
            raise InvalidOrder("MARKET does not take a time in force")
        if self.working_type is not None and self.working_type not in _WORKING:
            raise InvalidOrder(f"no such working type: {_shown(self.working_type)}")


def checked_symbol(symbol: str) -> str:
    """The symbol, if it can be one.

    Raises:
        InvalidOrder: no exchange has a symbol of this form.
    """
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        raise InvalidOrder(f"not a symbol: {_shown(symbol)}")
    return symbol


def checked_client_id(name: str) -> str:
    """The client order id, if the venue would take it.

    Raises:
        InvalidOrder: it has other letters, or too many.
    """
    if not isinstance(name, str) or not _CLIENT_ID.fullmatch(name):
        raise InvalidOrder("a client order id has 1 to 36 letters, digits or . : / _ -")
    return name


def checked_whole(what: str, value: int, least: int, most: int) -> str:
    """A whole number from ``least`` to ``most``, as the wire wants it.

    Raises:
        InvalidOrder: it is none, or out of that range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidOrder(f"{what} must be a whole number from {least} to {most}, not {_shown(value)}")
    return str(value)


def checked_interval(interval: str) -> str:
    """The length of a candle, as the venue names it.

    Raises:
        InvalidOrder: there are no candles of that length.
    """
    if interval not in _INTERVALS:
        raise InvalidOrder(f"no candles of {_shown(interval)}; there are {', '.join(_INTERVALS)}")
    return interval


def checked_kind(kind: str) -> str:
    """A kind of income, as the venue names it.

    Raises:
        InvalidOrder: it has letters that none of them has.
    """
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InvalidOrder(f"not a kind of income: {_shown(kind)}")
    return kind


def _shown(value: object) -> str:
    return repr(str(value)[:40])

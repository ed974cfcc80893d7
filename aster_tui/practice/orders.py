"""From an order's parameters to an order, or to the venue's refusal. No I/O.

The checks and their codes are the venue's published ones; what depends on the account (margin, position,
open orders) is checked by :mod:`aster_tui.practice.exchange`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from aster_tui.practice.errors import refuse
from aster_tui.practice.ledger import ZERO
from aster_tui.practice.listings import LISTINGS, ORDER_TYPES, TIMES_IN_FORCE, Listing
from aster_tui.practice.market import Quote

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20}")
#: Types that wait for a stop price, and the one that follows the price.
STOPPED = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET")
TRAILING = "TRAILING_STOP_MARKET"
WAITING = (*STOPPED, TRAILING)
#: Types that name a price; the stopped ones become a LIMIT when they trigger.
PRICED = ("LIMIT", "STOP", "TAKE_PROFIT")
CLOSING = ("STOP_MARKET", "TAKE_PROFIT_MARKET")
LEAST_CALLBACK, MOST_CALLBACK = Decimal("0.1"), Decimal(5)
#: How far last and mark price may be apart for an order with price protection to trigger.
PROTECTED_WITHIN = Decimal("0.15")
_CLOSING_SIDE = {"LONG": "SELL", "SHORT": "BUY"}
FINAL = ("FILLED", "CANCELED", "EXPIRED")


@dataclass(slots=True)
class Order:
    """An order in the book of an account. ``kind`` is what it is now, ``original`` what it was sent as: a
    triggered STOP_MARKET is a MARKET. Quantities in base, prices and ``quote`` (what was paid) in USDT.

    A trailing stop has a ``callback`` (percent); from ``activation`` on (0: at once) it remembers the best
    price in ``extreme`` and triggers when the price comes back from there by the callback.
    """

    order_id: int
    client_id: str
    symbol: str
    side: str
    kind: str
    original: str
    force: str
    quantity: Decimal
    price: Decimal
    stop: Decimal
    working: str
    reduce_only: bool
    close_position: bool
    protect: bool
    created_ms: int
    updated_ms: int
    position_side: str = "BOTH"
    activation: Decimal = ZERO
    callback: Decimal = ZERO
    extreme: Decimal = ZERO
    status: str = "NEW"
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    #: Whether it can only take off a position. In hedge mode the opposite side does.
    reduces: bool = field(init=False)

    def __post_init__(self) -> None:
        closing = _CLOSING_SIDE.get(self.position_side)
        self.reduces = self.reduce_only or self.close_position or self.side == closing

    @property
    def remaining(self) -> Decimal:
        """What is not executed yet."""
        return self.quantity - self.executed

    @property
    def average(self) -> Decimal:
        """Average fill price, 0 before the first fill."""
        return self.quote / self.executed if self.executed else ZERO

    @property
    def open(self) -> bool:
        """Whether it can still execute."""
        return self.status not in FINAL

    @property
    def waiting(self) -> bool:
        """Whether it waits for its trigger."""
        return self.kind in WAITING

    def triggers(self, quote: Quote) -> bool:
        """Whether the prices of now set it off; a trailing stop follows the price by being asked."""
        price = quote.mark if self.working == "MARK_PRICE" else quote.last
        if self.protect and abs(quote.last - quote.mark) > quote.mark * PROTECTED_WITHIN:
            return False
        if self.kind == TRAILING:
            return self._trails(price)
        above = self.original.startswith("STOP") == (self.side == "BUY")
        return price >= self.stop if above else price <= self.stop

    def _trails(self, price: Decimal) -> bool:
        buying = self.side == "BUY"
        if not self.extreme:
            reached = price <= self.activation if buying else price >= self.activation
            if self.activation and not reached:
                return False
            self.extreme = price
        self.extreme = min(self.extreme, price) if buying else max(self.extreme, price)
        back = self.callback / 100
        if buying:
            return price >= self.extreme * (1 + back)
        return price <= self.extreme * (1 - back)


def listing_of(params: Mapping[str, str]) -> Listing:
    """The symbol a request names; -1102 without one, -1121 for an unknown one."""
    symbol = params.get("symbol", "")
    if not symbol:
        raise refuse(-1102, "symbol")
    if symbol not in LISTINGS:
        raise refuse(-1121)
    return LISTINGS[symbol]


def whole(params: Mapping[str, str], name: str) -> int:
    """A whole number of the request."""
    text = params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise refuse(-1102, name)
    return int(text)


def parse(params: Mapping[str, str], quote_of: Any, now_ms: int, order_id: int, *, hedge: bool) -> Order:
    """An order from a request's parameters; raises the venue's refusal.

    Args:
        quote_of: gives the present :class:`Quote` of a symbol.
        hedge: whether the account is in hedge mode.
    """
    listing = listing_of(params)
    side, kind = params.get("side", ""), params.get("type", "")
    _words(params, side, kind)
    closes, reduces = _flag(params, "closePosition"), _flag(params, "reduceOnly")
    _sides(params, side, hedge=hedge, reduces=reduces)
    if closes and kind not in CLOSING:
        raise refuse(-4020, kind, "true")
    if closes and (params.get("quantity") or reduces):
        raise refuse(-4137) if params.get("quantity") else refuse(-1106, "reduceonly")
    order = Order(
        order_id=order_id,
        client_id=_client_id(params, order_id),
        symbol=listing.symbol,
        side=side,
        kind=kind,
        original=kind,
        force=params.get("timeInForce", "GTC"),
        quantity=ZERO if closes else _number(params, "quantity"),
        price=_number(params, "price") if kind in PRICED else ZERO,
        stop=_number(params, "stopPrice") if kind in STOPPED else ZERO,
        working=params.get("workingType", "CONTRACT_PRICE"),
        reduce_only=reduces,
        close_position=closes,
        protect=_flag(params, "priceProtect"),
        created_ms=now_ms,
        updated_ms=now_ms,
        position_side=params.get("positionSide", "BOTH"),
    )
    _unwanted(params, kind)
    quote: Quote = quote_of(listing.symbol)
    if not closes:
        _quantity(order, listing)
    if kind in PRICED:
        _price(order.price, listing, ("price", -4001, -4013, -4002))
    if kind == "LIMIT":
        _band(order, listing, quote)
    if kind in STOPPED:
        _price(order.stop, listing, ("stopPrice", -4006, -4013, -4007))
        if order.triggers(quote):
            raise refuse(-2021)
        if kind in PRICED:
            _stop_band(order, listing)
    if kind == TRAILING:
        _trailing(params, order, listing, quote)
    if not order.reduces:
        _notional(order, listing, quote)
    return order


def _words(params: Mapping[str, str], side: str, kind: str) -> None:
    if not side:
        raise refuse(-1102, "side")
    if side not in ("BUY", "SELL"):
        raise refuse(-1117)
    if not kind:
        raise refuse(-1102, "type")
    if kind not in ORDER_TYPES:
        raise refuse(-1116)
    if params.get("positionSide", "BOTH") not in ("BOTH", "LONG", "SHORT"):
        raise refuse(-4060)
    if kind == "LIMIT" and not params.get("timeInForce"):
        raise refuse(-1102, "timeinforce")
    if params.get("timeInForce", "GTC") not in TIMES_IN_FORCE:
        raise refuse(-1115)
    if params.get("newOrderRespType", "ACK") not in ("ACK", "RESULT"):
        raise refuse(-1136)
    if params.get("workingType", "CONTRACT_PRICE") not in ("CONTRACT_PRICE", "MARK_PRICE"):
        raise refuse(-4031, params["workingType"])


def _sides(params: Mapping[str, str], side: str, *, hedge: bool, reduces: bool) -> None:
    """The position side must be of the account's mode; with one, the side says whether it reduces."""
    position_side = params.get("positionSide", "BOTH")
    if hedge != (position_side != "BOTH"):
        raise refuse(-4061)
    if hedge and params.get("reduceOnly"):
        raise refuse(-4062)
    if hedge and _flag(params, "closePosition") and (side == "SELL") != (position_side == "LONG"):
        raise refuse(-4061)


def _unwanted(params: Mapping[str, str], kind: str) -> None:
    if kind not in PRICED and params.get("price"):
        raise refuse(-1106, "price")
    if kind not in STOPPED and params.get("stopPrice"):
        raise refuse(-1106, "stopprice")
    if kind == "MARKET" and params.get("timeInForce"):
        raise refuse(-1106, "timeinforce")
    for name in ("callbackRate", "activationPrice"):
        if kind != TRAILING and params.get(name):
            raise refuse(-1106, name.lower())


def _trailing(params: Mapping[str, str], order: Order, listing: Listing, quote: Quote) -> None:
    order.callback = _number(params, "callbackRate")
    if not LEAST_CALLBACK <= order.callback <= MOST_CALLBACK or order.callback % LEAST_CALLBACK:
        raise refuse(-1130, "callbackrate")
    if params.get("activationPrice"):
        order.activation = _number(params, "activationPrice")
        _price(order.activation, listing, ("activationPrice", -4135, -4135, -4135))
        price = quote.mark if order.working == "MARK_PRICE" else quote.last
        if (order.activation >= price) if order.side == "BUY" else (order.activation <= price):
            raise refuse(-2021)
    order.triggers(quote)  # begins to follow


def _client_id(params: Mapping[str, str], order_id: int) -> str:
    given = params.get("newClientOrderId")
    if given is None:
        return f"practice-{order_id}"
    if not given:
        raise refuse(-1118)
    if not _CLIENT_ID.fullmatch(given):
        raise refuse(-4015)
    return given


def _flag(params: Mapping[str, str], name: str) -> bool:
    text = params.get(name, "false")
    if text.lower() not in ("true", "false"):
        raise refuse(-1130, name)
    return text.lower() == "true"


def _number(params: Mapping[str, str], name: str) -> Decimal:
    text = params.get(name, "")
    if not text:
        raise refuse(-1102, name.lower())
    if text.startswith("-"):
        codes = {"quantity": -4003, "price": -4001, "stopPrice": -4006, "activationPrice": -4135}
        raise refuse(codes[name]) if name in codes else refuse(-1130, name.lower())
    if not _NUMBER.fullmatch(text):
        raise refuse(-1102, name.lower())
    try:
        return Decimal(text)
    except InvalidOperation:
        raise refuse(-1102, name.lower()) from None


def _quantity(order: Order, listing: Listing) -> None:
    most = listing.max_qty if order.kind in PRICED else listing.market_max_qty
    if order.quantity <= 0:
        raise refuse(-4003)
    if order.quantity < listing.min_qty:
        raise refuse(-4004)
    if order.quantity > most:
        raise refuse(-4005)
    if order.quantity % listing.step:
        # More decimals than the asset has is one refusal, a wrong multiple another.
        raise refuse(-1111) if _finer(order.quantity, listing.step) else refuse(-4023)


def _price(price: Decimal, listing: Listing, codes: tuple[str, int, int, int]) -> None:
    _, negative, least, most = codes
    if price <= 0:
        raise refuse(negative)
    if price < listing.min_price:
        raise refuse(least)
    if price > listing.max_price:
        raise refuse(most)
    if price % listing.tick:
        raise refuse(-1111) if _finer(price, listing.tick) else refuse(-4014)


def _finer(value: Decimal, step: Decimal) -> bool:
    """Whether ``value`` has more decimals than the venue keeps for the asset (two beyond the step)."""
    decimals, kept = value.normalize().as_tuple().exponent, step.normalize().as_tuple().exponent
    return isinstance(decimals, int) and isinstance(kept, int) and decimals < kept - 2


def _band(order: Order, listing: Listing, quote: Quote) -> None:
    if order.side == "BUY" and order.price > quote.mark * listing.percent_up:
        raise refuse(-4016)
    if order.side == "SELL" and order.price < quote.mark * listing.percent_down:
        raise refuse(-4024)


def _stop_band(order: Order, listing: Listing) -> None:
    """The limit that a trigger places is banded about its stop price."""
    if order.side == "BUY" and order.price > order.stop * listing.percent_up:
        raise refuse(-4183)
    if order.side == "SELL" and order.price < order.stop * listing.percent_down:
        raise refuse(-4184)


def _notional(order: Order, listing: Listing, quote: Quote) -> None:
    price = order.price or order.stop or order.activation or quote.mark
    if order.quantity * price < listing.min_notional:
        raise refuse(-4164, f"{listing.min_notional:f}")

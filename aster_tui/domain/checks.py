"""What a symbol's filters would reject, found before anything is signed: the reason and the nearest value
that would do. Pure; filter meanings are the venue's (``GET /fapi/v3/exchangeInfo``)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aster_tui.domain.symbols import SymbolRules, plain, round_down, round_nearest, round_up
from aster_tui.domain.trading import TRIGGERED_TYPES, ZERO, Side

#: No amount or price of a perpetual has more digits; beyond it a typing error is certain.
LARGEST = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """How many orders of a symbol are open on an account, and how many of them wait for their trigger."""

    all: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order would be rejected. ``field`` names what is wrong, ``nearest`` the value that would do,
    None where no value of that field alone does."""

    field: str
    reason: str
    nearest: Decimal | None = None

    def __str__(self) -> str:
        return self.reason if self.nearest is None else f"{self.reason}; nearest is {plain(self.nearest)}"


def check_order(
    rules: SymbolRules,
    *,
    side: Side,
    order_type: str,
    quantity: Decimal | None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
    activation_price: Decimal | None = None,
    reduces: bool = False,
    mark: Decimal | None = None,
    open_orders: OpenOrders | None = None,
) -> tuple[Refusal, ...]:
    """All that the filters would reject, empty when they would take it.

    Args:
        quantity: in the base asset; None for an order that closes the whole position.
        reduces: reduce-only or close-position: the smallest notional does not apply.
        mark: the mark price, for the price band and the notional; unknown prices are not judged.
        open_orders: how many of the symbol's orders are open already, where that is known.
    """
    found: list[Refusal] = []
    if not rules.trading and not reduces:  # what closes is for the venue to refuse
        found.append(Refusal("symbol", f"{rules.symbol} is not trading ({rules.status})"))
    if open_orders is not None:
        found += _counts(rules, order_type, open_orders)
    if quantity is not None:
        found += _quantity(rules, quantity, limit=order_type in ("LIMIT", "STOP", "TAKE_PROFIT"))
    if price is not None:
        found += _price(rules, "price", price)
        # A limit that a trigger places is banded about its stop price.
        middle = mark if stop_price is None else stop_price
        if middle is not None and not found_field(found, "price"):
            found += _band(rules, side, price, middle)
    if stop_price is not None:
        found += _price(rules, "stop price", stop_price)
        if mark is not None and not found_field(found, "stop price"):
            found += _trigger(side, order_type, stop_price, mark)
    if activation_price is not None:
        found += _price(rules, "activation price", activation_price)
        if mark is not None and not found_field(found, "activation price"):
            found += _activation(side, activation_price, mark)
    if quantity is not None and not reduces and not found:
        found += _notional(rules, quantity, price or stop_price or activation_price or mark)
    return tuple(found)


def found_field(refusals: list[Refusal], field: str) -> bool:
    """Whether a field was refused already."""
    return any(r.field == field for r in refusals)


def _sound(field: str, value: Decimal) -> list[Refusal]:
    if not value.is_finite():
        return [Refusal(field, f"the {field} is not a number")]
    if value <= 0:
        return [Refusal(field, f"the {field} must be above zero")]
    if value >= LARGEST:
        return [Refusal(field, f"the {field} is beyond all measure")]
    return []


def _quantity(rules: SymbolRules, quantity: Decimal, *, limit: bool) -> list[Refusal]:
    wrong = _sound("quantity", quantity)
    if wrong:
        return wrong
    step = rules.step_size if limit else rules.market_step_size
    least = rules.min_quantity if limit else rules.market_min_quantity
    most = rules.max_quantity if limit else rules.market_max_quantity
    if quantity < least:
        return [Refusal("quantity", f"the smallest quantity is {plain(least)}", round_up(least, step))]
    if quantity > most:
        return [Refusal("quantity", f"the largest quantity is {plain(most)}", round_down(most, step))]
    if step and quantity % step:
        # Rounded down: nobody is given more than he asked for.
        nearest = max(round_down(quantity, step), round_up(least, step))
        return [Refusal("quantity", f"the quantity moves in steps of {plain(step)}", nearest)]
    return []


def _price(rules: SymbolRules, field: str, price: Decimal) -> list[Refusal]:
    wrong = _sound(field, price)
    if wrong:
        return wrong
    least, most, tick = rules.min_price, rules.max_price, rules.tick_size
    if price < least:
        return [Refusal(field, f"the lowest {field} is {plain(least)}", round_up(least, tick))]
    if most and price > most:
        return [Refusal(field, f"the highest {field} is {plain(most)}", round_down(most, tick))]
    if tick and price % tick:
        nearest = max(round_nearest(price, tick), round_up(least, tick))
        return [Refusal(field, f"the {field} moves in ticks of {plain(tick)}", nearest)]
    return []


def _band(rules: SymbolRules, side: Side, price: Decimal, mark: Decimal) -> list[Refusal]:
    if side == "BUY" and rules.percent_up is not None and price > mark * rules.percent_up:
        nearest = round_down(mark * rules.percent_up, rules.tick_size)
        return [Refusal("price", f"a buy may be at most {plain(nearest)} now", nearest)]
    if side == "SELL" and rules.percent_down is not None and price < mark * rules.percent_down:
        nearest = round_up(mark * rules.percent_down, rules.tick_size)
        return [Refusal("price", f"a sale must be at least {plain(nearest)} now", nearest)]
    return []


def _trigger(side: Side, order_type: str, stop: Decimal, mark: Decimal) -> list[Refusal]:
    if order_type not in TRIGGERED_TYPES or order_type == "TRAILING_STOP_MARKET":
        return []
    is_stop = order_type.startswith("STOP")
    waits_above = is_stop == (side == "BUY")
    if (mark >= stop) if waits_above else (mark <= stop):
        where = "above" if waits_above else "below"
        return [Refusal("stop price", f"it would trigger at once: it must be {where} {plain(mark)}")]
    return []


def _activation(side: Side, activation: Decimal, mark: Decimal) -> list[Refusal]:
    """A trailing stop begins to follow where the price is better than now."""
    if (activation >= mark) if side == "BUY" else (activation <= mark):
        where = "below" if side == "BUY" else "above"
        return [Refusal("activation price", f"it would be active at once: it must be {where} {plain(mark)}")]
    return []


def _counts(rules: SymbolRules, order_type: str, open_orders: OpenOrders) -> list[Refusal]:
    if open_orders.all >= rules.max_orders:
        return [Refusal("orders", f"{rules.symbol} takes {rules.max_orders} open orders, and has them")]
    if order_type in TRIGGERED_TYPES and open_orders.waiting >= rules.max_algo_orders:
        return [Refusal("orders", f"{rules.symbol} takes {rules.max_algo_orders} stop orders, and has them")]
    return []


def _notional(rules: SymbolRules, quantity: Decimal, price: Decimal | None) -> list[Refusal]:
    if price is None or price <= ZERO or quantity * price >= rules.min_notional:
        return []
    step = rules.step_size
    nearest = round_up(rules.min_notional / price, step)
    return [
        Refusal("quantity", f"the order must be worth at least {plain(rules.min_notional)} USDT", nearest)
    ]

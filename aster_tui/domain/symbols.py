"""Symbols and their filters: rounding and the local refusal of what the venue would reject.

Filter names and meanings are the venue's (``GET /fapi/v3/exchangeInfo``). ``pricePrecision`` and
``quantityPrecision`` are deliberately absent: they are display hints, not tick and step.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Decimal

QUOTE = "USDT"


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """The filters of one symbol. Prices are in USDT, quantities in the base asset."""

    symbol: str
    base_asset: str
    status: str
    tick_size: Decimal
    min_price: Decimal
    max_price: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_step_size: Decimal
    market_min_quantity: Decimal
    market_max_quantity: Decimal
    min_notional: Decimal
    percent_up: Decimal | None = None
    percent_down: Decimal | None = None
    max_orders: int = 200
    max_algo_orders: int = 100

    @property
    def trading(self) -> bool:
        """Whether the venue accepts orders in this symbol now."""
        return self.status == "TRADING"

    @property
    def price_places(self) -> int:
        """Decimals a price of this symbol is shown with."""
        return decimal_places(self.tick_size)

    @property
    def quantity_places(self) -> int:
        """Decimals a quantity of this symbol is shown with."""
        return decimal_places(self.step_size)


def decimal_places(step: Decimal) -> int:
    """Number of decimals needed to write a multiple of ``step`` ("0.010" needs 2, "10" needs 0)."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of ``step`` not above ``value`` (towards zero). A zero step leaves it."""
    return _to_step(value, step, ROUND_DOWN)


def round_up(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of ``step`` not below ``value``. A zero step leaves it."""
    return _to_step(value, step, ROUND_CEILING)


def round_nearest(value: Decimal, step: Decimal) -> Decimal:
    """The multiple of ``step`` nearest to ``value``. A zero step leaves it."""
    return _to_step(value, step, ROUND_HALF_EVEN)


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if step <= 0:
        return value
    return (value / step).to_integral_value(rounding=rounding) * step


def plain(value: Decimal) -> str:
    """``value`` as the wire wants it: no exponent, no needless zeros, no minus before zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def symbol_of(coin: str) -> str:
    """The symbol a coin trades as: ``BTC`` is ``BTCUSDT``; a symbol stays what it is."""
    name = coin.strip().upper()
    return name if name.endswith(QUOTE) and name != QUOTE else name + QUOTE


def symbol_among(name: str, known: Container[str]) -> str:
    """The symbol meant by a name: one of the known ones, or the one the coin trades as."""
    exact = name.strip().upper()
    return exact if exact in known else symbol_of(name)


def coin_of(symbol: str) -> str:
    """The coin of a symbol: ``BTCUSDT`` is ``BTC``."""
    name = symbol.upper()
    return name[: -len(QUOTE)] if name.endswith(QUOTE) and name != QUOTE else name


def split_quantity(quantity: Decimal, rules: SymbolRules) -> tuple[Decimal, ...]:
    """Cut a market quantity into parts the venue takes (MARKET_LOT_SIZE maxQty each).

    The parts add up to ``quantity`` rounded down to the market step; a remainder below the step or
    a quantity of zero gives no part at all.
    """
    step = rules.market_step_size or rules.step_size
    return in_parts(abs(quantity), step, rules.market_max_quantity or rules.max_quantity)


def in_parts(quantity: Decimal, step: Decimal, most: Decimal) -> tuple[Decimal, ...]:
    """Cut a quantity into parts of at most ``most`` each, without a limit where that is 0; all are rounded
    down to the step, and less than a step gives no part at all."""
    whole, largest = round_down(quantity, step), round_down(most, step)
    parts: list[Decimal] = []
    while whole > 0:
        part = min(whole, largest) if largest > 0 else whole
        parts.append(part)
        whole -= part
    return tuple(parts)

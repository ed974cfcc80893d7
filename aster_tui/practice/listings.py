"""The symbols of the practice exchange and their filters, in realistic sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from aster_tui.practice.options import PracticeOptions

ORDER_TYPES = (
    *("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"),
    "TRAILING_STOP_MARKET",
)
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "GTX", "HIDDEN")
#: Position value (USDT) up to which a leverage is allowed, and the maintenance margin of that step.
_STEPS = """
50000       125  0.004
250000      100  0.005
1000000     75   0.0065
5000000     50   0.01
20000000    20   0.025
50000000    10   0.05
100000000   5    0.1
200000000   4    0.125
300000000   3    0.15
500000000   2    0.25
1000000000  1    0.5
"""
ONBOARDED_MS = 1_598_252_400_000
DELIVERY_MS = 4_133_404_800_000


@dataclass(frozen=True, slots=True)
class Bracket:
    """One step of a symbol's leverage: up to ``cap`` USDT of position value at most ``leverage``.

    The maintenance margin of a value in it is value × ``ratio`` − ``deduction``, so that it grows without a
    jump from step to step.
    """

    number: int
    floor: Decimal
    cap: Decimal
    leverage: int
    ratio: Decimal
    deduction: Decimal


@cache
def brackets(max_leverage: int) -> tuple[Bracket, ...]:
    """The steps of a symbol that allows at most ``max_leverage``, smallest values first."""
    found: list[Bracket] = []
    floor = deduction = ratio_before = Decimal(0)
    for line in _STEPS.split("\n")[1:-1]:
        cap, leverage, ratio = (Decimal(word) for word in line.split())
        if leverage <= max_leverage:
            deduction += floor * (ratio - ratio_before) if found else Decimal(0)
            found.append(Bracket(len(found) + 1, floor, cap, int(leverage), ratio, deduction))
            floor, ratio_before = cap, ratio
    return tuple(found)


@cache
def _max_notional(max_leverage: int, leverage: int) -> Decimal:
    return max((b.cap for b in brackets(max_leverage) if b.leverage >= leverage), default=Decimal(0))


@dataclass(frozen=True, slots=True)
class Listing:
    """One symbol: its filters and what its simulated market needs. Prices in USDT, amounts in base."""

    symbol: str
    base: str
    start: Decimal
    tick: Decimal
    step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    max_leverage: int
    spread_ticks: int
    max_price: Decimal
    percent_up: Decimal = Decimal("1.1500")
    percent_down: Decimal = Decimal("0.8500")
    max_orders: int = 200
    max_algo_orders: int = 100

    @property
    def min_price(self) -> Decimal:
        """The lowest price an order may name: one tick."""
        return self.tick

    @property
    def tick_places(self) -> int:
        """Decimals of a price that is a multiple of the tick."""
        return places(self.tick)

    @property
    def step_places(self) -> int:
        """Decimals of a quantity that is a multiple of the step."""
        return places(self.step)

    @property
    def price_precision(self) -> int:
        """The display hint the venue publishes: finer than the tick, so a client must not round by it."""
        return self.tick_places + 1

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """Leverage by position value."""
        return brackets(self.max_leverage)

    def max_notional(self, leverage: int) -> Decimal:
        """The largest position value at a leverage, USDT."""
        return _max_notional(self.max_leverage, leverage)

    def bracket_of(self, value: Decimal) -> Bracket:
        """The step a position of this value (not signed) is in."""
        steps = self.brackets
        for step in steps:
            if value <= step.cap:
                return step
        return steps[-1]

    def maintenance(self, value: Decimal) -> Decimal:
        """The margin a position of this value must keep, USDT."""
        value = abs(value)
        step = self.bracket_of(value)
        return value * step.ratio - step.deduction


def places(step: Decimal) -> int:
    """Decimals needed to write ``step`` without trailing zeros."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


# symbol, start, tick, step = minQty, maxQty, MARKET maxQty, minNotional, leverage, spread in ticks, maxPrice
_ROWS = """
BTC      97250.0   0.1      0.001  1000      120      5   125  2   1000000
ETH      3420.00   0.01     0.001  10000     2000     5   100  2   100000
SOL      188.40    0.01     0.01   100000    8000     5   75   2   10000
BNB      652.30    0.01     0.01   20000     2000     5   75   4   50000
ASTER    1.2340    0.0001   1      10000000  1000000  5   50   2   300
XRP      2.3150    0.0001   0.1    10000000  2000000  5   75   2   300
DOGE     0.36120   0.00001  1      50000000  30000000 5   75   2   30
ADA      0.9120    0.0001   1      10000000  2000000  5   75   2   300
AVAX     38.210    0.001    0.1    200000    50000    5   50   4   5000
LINK     22.470    0.001    0.01   1000000   100000   5   75   4   5000
LTC      104.80    0.01     0.001  50000     20000    5   75   2   10000
SUI      4.1520    0.0001   0.1    2000000   500000   5   50   4   500
HYPE     27.350    0.001    0.01   500000    50000    5   50   4   5000
ARB      0.7430    0.0001   0.1    10000000  2000000  5   50   2   100
1000PEPE 0.0182300 0.0000001 1     500000000 40000000 5   50   20  5
"""


def _row(line: str) -> Listing:
    base, *numbers = line.split()
    start, tick, step, most, market_most, notional, leverage, spread, max_price = numbers
    return Listing(
        symbol=f"{base}USDT",
        base=base,
        start=Decimal(start),
        tick=Decimal(tick),
        step=Decimal(step),
        min_qty=Decimal(step),
        max_qty=Decimal(most),
        market_max_qty=Decimal(market_most),
        min_notional=Decimal(notional),
        max_leverage=int(leverage),
        spread_ticks=int(spread),
        max_price=Decimal(max_price),
    )


LISTINGS: dict[str, Listing] = {row.symbol: row for row in map(_row, _ROWS.split("\n")[1:-1])}


def exchange_info(now_ms: int, statuses: Mapping[str, str], options: PracticeOptions) -> dict[str, Any]:
    """The ``GET /fapi/v3/exchangeInfo`` payload; ``statuses`` names the symbols that do not trade."""
    return {
        "exchangeFilters": [],
        "rateLimits": [
            {"interval": "MINUTE", "intervalNum": 1, "limit": most, "rateLimitType": kind}
            for kind, most in (("REQUEST_WEIGHT", options.weight_limit), ("ORDERS", options.order_limit))
        ],
        "serverTime": now_ms,
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": 0}],
        "symbols": [_symbol_info(symbol, statuses.get(symbol, "TRADING")) for symbol in LISTINGS],
        "timezone": "UTC",
    }


@cache
def _symbol_info(symbol: str, status: str) -> dict[str, Any]:
    listing = LISTINGS[symbol]
    return {
        "symbol": listing.symbol,
        "pair": listing.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": DELIVERY_MS,
        "onboardDate": ONBOARDED_MS,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": listing.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": listing.price_precision,
        "quantityPrecision": listing.step_places,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.15",
        "filters": _filters(listing),
        "OrderType": list(ORDER_TYPES),
        "timeInForce": list(TIMES_IN_FORCE),
        "liquidationFee": "0.010000",
        "marketTakeBound": "0.30",
    }


def _filters(listing: Listing) -> list[dict[str, Any]]:
    lot = {"minQty": f"{listing.min_qty:f}", "stepSize": f"{listing.step:f}"}
    return [
        {
            "filterType": "PRICE_FILTER",
            "maxPrice": f"{listing.max_price:f}",
            "minPrice": f"{listing.min_price:f}",
            "tickSize": f"{listing.tick:f}",
        },
        {"filterType": "LOT_SIZE", "maxQty": f"{listing.max_qty:f}", **lot},
        {"filterType": "MARKET_LOT_SIZE", "maxQty": f"{listing.market_max_qty:f}", **lot},
        {"filterType": "MAX_NUM_ORDERS", "limit": listing.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": listing.max_algo_orders},
        {"filterType": "MIN_NOTIONAL", "notional": f"{listing.min_notional:f}"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": f"{listing.percent_up:f}",
            "multiplierDown": f"{listing.percent_down:f}",
            "multiplierDecimal": 4,
        },
    ]

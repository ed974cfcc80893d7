"""The symbols of the practice exchange and their filters, in realistic sizes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

ORDER_TYPES = ("LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET")
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "GTX")
ONBOARDED_MS = 1_598_252_400_000
DELIVERY_MS = 4_133_404_800_000


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
    maint_ratio: Decimal = Decimal("0.005")
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
    def max_notional(self) -> Decimal:
        """The largest position value at the present leverage, USDT (flat here)."""
        return Decimal(50_000_000)


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


def exchange_info(now_ms: int) -> dict[str, Any]:
    """The ``GET /fapi/v3/exchangeInfo`` payload."""
    return {
        "exchangeFilters": [],
        "rateLimits": [
            {"interval": "MINUTE", "intervalNum": 1, "limit": 2400, "rateLimitType": "REQUEST_WEIGHT"},
            {"interval": "MINUTE", "intervalNum": 1, "limit": 1200, "rateLimitType": "ORDERS"},
        ],
        "serverTime": now_ms,
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": 0}],
        "symbols": [_symbol_info(listing) for listing in LISTINGS.values()],
        "timezone": "UTC",
    }


def _symbol_info(listing: Listing) -> dict[str, Any]:
    return {
        "symbol": listing.symbol,
        "pair": listing.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": DELIVERY_MS,
        "onboardDate": ONBOARDED_MS,
        "status": "TRADING",
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

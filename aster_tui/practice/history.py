"""What the simulated market did: one-minute candles, the last day's figures and the public trades. No I/O.

All of it comes from the one walk of :mod:`aster_tui.practice.market`, so prices, candles and fills agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.practice.ledger import CENT8, ZERO

MINUTE_MS = 60_000
CANDLES_KEPT = 24 * 60
TRADES_KEPT = 1_000
#: Lengths of candles in minutes; a month counts as thirty days.
INTERVALS = {
    **{"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360},
    **{"8h": 480, "12h": 720, "1d": 1_440, "3d": 4_320, "1w": 10_080, "1M": 43_200},
}


@dataclass(slots=True)
class Candle:
    """Prices in USDT, volume in the base asset, times in Unix ms."""

    opened: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote: Decimal = ZERO
    trades: int = 0

    def take(self, price: Decimal) -> None:
        """A price was seen."""
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price

    def average(self, otherwise: Decimal) -> Decimal:
        """The average price weighted by volume, to eight decimals; ``otherwise`` without trades."""
        return (self.quote / self.volume).quantize(CENT8) if self.volume else otherwise


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """One fill as everybody sees it."""

    trade_id: int
    at: int
    price: Decimal
    quantity: Decimal
    buyer_made: bool


@dataclass(frozen=True, slots=True)
class ForcedOrder:
    """A liquidation or auto-deleveraging as everybody sees it: number, time, and the event's order."""

    number: int
    at: int
    order: Mapping[str, str | int]


class SymbolHistory:
    """Candles, trades and liquidations of one symbol."""

    def __init__(self) -> None:
        self.candles: deque[Candle] = deque(maxlen=CANDLES_KEPT)
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_KEPT)
        self.forced: deque[ForcedOrder] = deque(maxlen=TRADES_KEPT)
        self._before_now: Candle | None = None

    def see(self, at: int, price: Decimal) -> Candle:
        """A price at a time; gives the candle it is in."""
        opened = at - at % MINUTE_MS
        if not self.candles or self.candles[-1].opened < opened:
            # The day before this minute does not change while the minute goes on.
            self._before_now = _joined([*self.candles][1 - CANDLES_KEPT :])
            self.candles.append(Candle(opened, price, price, price, price))
        self.candles[-1].take(price)
        return self.candles[-1]

    def fill(self, trade: PublicTrade) -> None:
        """A fill happened."""
        candle = self.see(trade.at, trade.price)
        candle.volume += trade.quantity
        candle.quote += trade.quantity * trade.price
        candle.trades += 1
        self.trades.append(trade)

    def day(self) -> Candle | None:
        """All that is kept as one candle; None before the first price."""
        if not self.candles:
            return None
        return _joined([c for c in (self._before_now, self.candles[-1]) if c is not None])

    def every(self, minutes: int) -> list[Candle]:
        """Candles of a longer interval."""
        groups: dict[int, list[Candle]] = {}
        for candle in self.candles:
            groups.setdefault(candle.opened - candle.opened % (minutes * MINUTE_MS), []).append(candle)
        found = []
        for opened, group in groups.items():
            joined = _joined(group)
            if joined is not None:
                joined.opened = opened
                found.append(joined)
        return found


def _joined(candles: Iterable[Candle]) -> Candle | None:
    rows = list(candles)
    if not rows:
        return None
    return Candle(
        rows[0].opened,
        rows[0].open,
        max(c.high for c in rows),
        min(c.low for c in rows),
        rows[-1].close,
        sum((c.volume for c in rows), ZERO),
        sum((c.quote for c in rows), ZERO),
        sum(c.trades for c in rows),
    )

"""What the simulated market did: one-minute candles, the last day's figures and the public trades. No I/O.

All of it comes from the one walk of :mod:`aster_tui.practice.market`, so prices, candles and fills agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from aster_tui.practice.ledger import CENT8, ZERO

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
DAY_MINUTES = 24 * 60
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


Before = Callable[[int, Decimal], tuple[list[Candle], list[Candle]]]


class SymbolHistory:
    """Candles, trades and liquidations of one symbol.

    Args:
        at: when it was opened, Unix ms, at ``price``.
        before: gives the minutes and the hours before the minute it was opened in, when they are asked for
            first; None where there was nothing before.
    """

    def __init__(self, at: int, price: Decimal, before: Before | None = None) -> None:
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_KEPT)
        self.forced: deque[ForcedOrder] = deque(maxlen=TRADES_KEPT)
        self._before = before
        self._minutes: deque[Candle] = deque(maxlen=2 * DAY_MINUTES)
        #: Hours that are over, once somebody asked.
        self._hours: list[Candle] = []
        self.see(at, price)

    def see(self, at: int, price: Decimal) -> Candle:
        """A price at a time; gives the candle it is in."""
        opened = at - at % MINUTE_MS
        if not self._minutes or self._minutes[-1].opened < opened:
            self._minutes.append(Candle(opened, price, price, price, price))
        self._minutes[-1].take(price)
        return self._minutes[-1]

    def fill(self, trade: PublicTrade) -> None:
        """A fill happened."""
        candle = self.see(trade.at, trade.price)
        candle.volume += trade.quantity
        candle.quote += trade.quantity * trade.price
        candle.trades += 1
        self.trades.append(trade)

    def day(self) -> Candle:
        """The last day as one candle, by whole hours and the minutes of this one."""
        hours = self._whole_hours()
        return _joined([*hours[1 - DAY_MINUTES // 60 :], *self._this_hour()])

    def every(self, minutes: int) -> list[Candle]:
        """Candles of a longer interval, oldest first."""
        hours = self._whole_hours()
        rows = [*hours, *self._this_hour()] if minutes % 60 == 0 else [*self._minutes]
        length = minutes * MINUTE_MS
        groups = groupby(rows, key=lambda candle: candle.opened - candle.opened % length)
        return [_joined([*group], opened) for opened, group in groups]

    def latest(self, minutes: int) -> Candle:
        """The candle of an interval that is not over."""
        hours, opened = self._whole_hours(), self._minutes[-1].opened
        opened -= opened % (minutes * MINUTE_MS)
        rows = [*hours, *self._this_hour()] if minutes % 60 == 0 else self._minutes
        found: list[Candle] = []
        for candle in reversed(rows):
            if candle.opened < opened:
                break
            found.append(candle)
        return _joined(found[::-1], opened)

    def _whole_hours(self) -> list[Candle]:
        """The hours that are over; what was before the opening is made up now, the first time."""
        if self._before is not None:
            first = self._minutes[0]
            minutes, self._hours = self._before(first.opened, first.open)
            self._minutes.extendleft(reversed(minutes))
            self._before = None
        told = self._hours[-1].opened if self._hours else -1
        this = self._hour_of(self._minutes[-1])
        fresh = [c for c in self._minutes if told < self._hour_of(c) < this] if told < this - HOUR_MS else []
        groups = groupby(fresh, key=self._hour_of)
        self._hours += [_joined([*group], opened) for opened, group in groups]
        return self._hours

    def _this_hour(self) -> list[Candle]:
        this = self._hour_of(self._minutes[-1])
        found: list[Candle] = []
        for candle in reversed(self._minutes):
            if candle.opened < this:
                break
            found.append(candle)
        return found[::-1]

    @staticmethod
    def _hour_of(candle: Candle) -> int:
        return candle.opened - candle.opened % HOUR_MS


def _joined(rows: Sequence[Candle], opened: int | None = None) -> Candle:
    return Candle(
        rows[0].opened if opened is None else opened,
        rows[0].open,
        max(c.high for c in rows),
        min(c.low for c in rows),
        rows[-1].close,
        sum((c.volume for c in rows), ZERO),
        sum((c.quote for c in rows), ZERO),
        sum(c.trades for c in rows),
    )

"""What the simulated market did before it was opened: made up from the seed when somebody asks. No I/O.

It ends at the price the market was opened at: a day of minutes, and before it two weeks of hours.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from decimal import Decimal

from aster_tui.practice.history import DAY_MINUTES, HOUR_MS, MINUTE_MS, Candle
from aster_tui.practice.listings import Listing
from aster_tui.practice.market import SIGMA, STEP_MS

#: Before that day of minutes there are so many hours.
HOURS = 14 * 24
#: USDT that change hands in a minute.
TURNOVER = 20_000


class Past:
    """One symbol before it was opened."""

    def __init__(self, listing: Listing, seed: int, volatility: Decimal) -> None:
        self._listing, self._seed = listing, seed
        self._step = float(SIGMA * volatility) * math.sqrt(MINUTE_MS / STEP_MS)

    def before(self, opened: int, price: Decimal) -> tuple[list[Candle], list[Candle]]:
        """Minutes of the day before the minute ``opened``, and hours of the two weeks before those."""
        rng = random.Random(f"{self._seed}/{self._listing.symbol}/past")
        minutes = [*self._back(rng, opened, MINUTE_MS, DAY_MINUTES, price, 1)][::-1]
        first = minutes[0]
        # Minutes begin within an hour, hours do not.
        spare = next(i for i, candle in enumerate(minutes) if candle.opened % HOUR_MS == 0)
        minutes, first = minutes[spare:], minutes[spare]
        hours = [*self._back(rng, first.opened, HOUR_MS, HOURS, first.open, 60)][::-1]
        return minutes, hours

    def _back(
        self, rng: random.Random, opened: int, length_ms: int, count: int, price: Decimal, minutes: int
    ) -> Iterator[Candle]:
        """Candles back from ``opened``, the newest first; in whole ticks, as prices are."""
        tick, spread = self._listing.tick, self._step * math.sqrt(minutes)
        least = self._listing.spread_ticks + 1
        close = int(price / tick)
        for back in range(1, count + 1):
            opens = max(least, round(close * (1 + rng.gauss(0, spread))))
            high = round(max(opens, close) * (1 + abs(rng.gauss(0, spread / 2))))
            low = max(least, round(min(opens, close) * (1 - abs(rng.gauss(0, spread / 2)))))
            trades = rng.randint(5, 40) * minutes
            middle = tick * ((opens + close) // 2)
            turnover = Decimal(round(TURNOVER * minutes * rng.uniform(0.3, 2)))
            volume = (turnover / middle).quantize(self._listing.step)
            yield Candle(
                *(opened - back * length_ms, tick * opens, tick * high, tick * low, tick * close),
                *(volume, volume * middle, trades),
            )
            close = opens

"""The others on the simulated market: without their trades a market that moves would have none. No I/O."""

from __future__ import annotations

import random
from decimal import Decimal

from aster_tui.practice.listings import Listing

#: How often they trade in a symbol, by step of the market, and for how many USDT.
CHANCE, LEAST_USDT, MOST_USDT = 0.15, 20, 3_000


class Crowd:
    """Trades now and then, as the seed has it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/crowd")

    def trade(self, listing: Listing, price: Decimal) -> tuple[Decimal, bool] | None:
        """What changed hands in this step, in the base asset, and whether the buyer had waited for it."""
        if self._random.random() >= CHANCE:
            return None
        quantity = (Decimal(self._random.randint(LEAST_USDT, MOST_USDT)) / price).quantize(listing.step)
        return max(quantity, listing.min_qty), self._random.random() < 0.5

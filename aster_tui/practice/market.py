"""The simulated market: a seeded random walk per symbol, and the book around its price. No I/O.

Prices are a function of the seed, the number of steps taken and the prices an operator set. The book is
synthetic: levels around the last price that are full again for every order, so accounts never trade
with each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from aster_tui.practice.listings import Listing

STEP_MS = 250
LEVELS = 60
INDEX_GAP = Decimal("0.99995")
MARK_QUANTUM = Decimal("1E-8")
# About 60 % a year on 250 ms steps.
SIGMA = Decimal("0.00005")
# The pull back to where the symbol was last set: over days, prices stay in a believable range.
PULL = Decimal("0.0005")
DRAW_SCALE = 1_000_000


@dataclass(frozen=True, slots=True)
class Quote:
    """The prices of one symbol at one step; ``mark_text`` is the mark as it is written, made once."""

    last: Decimal
    mark: Decimal
    index: Decimal
    bid: Decimal
    ask: Decimal
    mark_text: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A price and the quantity that can be had there."""

    price: Decimal
    quantity: Decimal


class SymbolMarket:
    """One symbol's walk."""

    def __init__(self, listing: Listing, seed: int, volatility: Decimal) -> None:
        self.listing = listing
        self._random = random.Random(f"{seed}/{listing.symbol}")
        self._sigma = SIGMA * volatility
        self._pull = PULL if volatility else Decimal(0)
        self._quantum = listing.tick / 1000
        self._fair = listing.start
        self._anchor = listing.start
        self._basis = Decimal(0)
        self.quote = self._quoted()

    @property
    def least(self) -> Decimal:
        """The lowest price: the book needs room below, a symbol never walks to nothing."""
        return self.listing.tick * (self.listing.spread_ticks + 1)

    def step(self) -> None:
        """One step of the walk. The draw is taken even when prices stand still: the sequence is the
        same at any volatility."""
        draw = Decimal(int(self._random.gauss(0, 1) * DRAW_SCALE)) / DRAW_SCALE
        move = draw * self._sigma + (self._anchor - self._fair) / self._anchor * self._pull
        if move:
            fair = (self._fair * (1 + move)).quantize(self._quantum, ROUND_HALF_EVEN)
            self._fair = max(fair, self.least)
            self.quote = self._quoted()

    def set(self, price: Decimal, mark: Decimal | None) -> None:
        """Moves the walk to ``price``; the mark goes along unless ``mark`` says otherwise."""
        self._fair = self._anchor = price
        self._basis = Decimal(0) if mark is None else mark - price
        self.quote = self._quoted()

    def _quoted(self) -> Quote:
        listing = self.listing
        last = self._fair.quantize(listing.tick, ROUND_HALF_EVEN)
        mark = max(self._fair + self._basis, listing.tick).quantize(MARK_QUANTUM, ROUND_HALF_EVEN)
        below = listing.tick * (listing.spread_ticks // 2)
        above = listing.tick * listing.spread_ticks - below
        index = (self._fair * INDEX_GAP).quantize(MARK_QUANTUM, ROUND_HALF_EVEN)
        return Quote(
            last=last,
            mark=mark,
            index=index,
            bid=max(last - below, listing.tick),
            ask=last + above,
            mark_text=format(mark, "f"),
        )


class Market:
    """All symbols, stepped together."""

    def __init__(
        self,
        listings: Iterable[Listing],
        *,
        seed: int,
        volatility: Decimal = Decimal(1),
        depth: Decimal = Decimal(50_000),
    ) -> None:
        self._symbols = {row.symbol: SymbolMarket(row, seed, volatility) for row in listings}
        self._depth = depth
        self.steps = 0

    def step(self) -> None:
        """Advances every symbol by one step (:data:`STEP_MS` of market time)."""
        self.steps += 1
        for symbol in self._symbols.values():
            symbol.step()

    def quote(self, symbol: str) -> Quote:
        """The present prices of ``symbol``."""
        return self._symbols[symbol].quote

    def set_price(self, symbol: str, price: Decimal, mark: Decimal | None = None) -> None:
        """Sets last and mark price (``mark`` apart, when given). ValueError, in words, unless an order could
        name them."""
        market = self._symbols[symbol]
        least, most = market.least, market.listing.max_price
        for value in (price, mark):
            if value is not None and not (value.is_finite() and least <= value <= most):
                raise ValueError(f"a price of {symbol} is from {least:f} to {most:f}")
        market.set(price, mark)

    def level_quantity(self, symbol: str, rank: int = 0) -> Decimal:
        """What rests on the level ``rank`` (0 the best) of either side: deeper levels hold more."""
        market = self._symbols[symbol]
        listing = market.listing
        quantity = self._depth * (1 + rank) / market.quote.last
        return max(quantity.quantize(listing.step, ROUND_DOWN), listing.min_qty)

    def sweep(self, symbol: str, side: str, quantity: Decimal, limit: Decimal | None = None) -> list[Level]:
        """What an order of ``side`` ("BUY" takes asks) finds on the book, best first, up to ``quantity``
        and no worse than ``limit``. May sum to less than asked."""
        market = self._symbols[symbol]
        listing, quote = market.listing, market.quote
        buying = side == "BUY"
        gap = listing.tick * listing.spread_ticks * (1 if buying else -1)
        price = quote.ask if buying else quote.bid
        found: list[Level] = []
        for rank in range(LEVELS):
            beyond = limit is not None and (price > limit if buying else price < limit)
            if beyond or quantity <= 0 or price <= 0:
                break
            taken = min(quantity, self.level_quantity(symbol, rank))
            found.append(Level(price, taken))
            quantity -= taken
            price += gap
        return found

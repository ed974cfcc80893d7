"""The parts a close-all is made of: legs and readings, and what to send for a leg. Pure.

Times are whole milliseconds of one clock that never goes back; ``tick`` counts events, so that a reading
that was begun before something changed is never taken for news of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from aster_tui.domain.flatten.steps import Close, Failure, LegKey
from aster_tui.domain.symbols import SymbolRules, in_parts, round_down, round_up, split_quantity
from aster_tui.domain.trading import TRIGGERED_TYPES, ZERO, Order, PositionSide, Side

#: The market is out of bounds: a limit inside them may still fill.
PRICE_BOUNDS = frozenset({-4131, -4016, -4024})
#: Nobody is on the other side just now.
NOBODY = frozenset({-1112, -2020})
#: The symbol does not trade: asking again soon changes nothing.
NOT_TRADING = frozenset({-4141, -2016, -1121, -1016, -4140})
TOO_LARGE = -4005
#: Reduce-only was refused: for want of a position, or because open orders take up its room.
NO_ROOM = frozenset({-2022, -4118})
#: After how many refusals that make no progress a leg is left for a person.
MOST_REFUSALS, MOST_CLOSED = 10, 2
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 100, 2_000
#: How far inside the allowed band a limit is put, as a share of the band: the mark moves meanwhile.
INSIDE = Decimal("0.02")
#: Band assumed where the symbol publishes none.
ASSUMED_BAND = Decimal("0.05")
#: At most this many parts of one leg are under way; more follow with fresh quantities.
MOST_PARTS = 10
#: A reading that takes longer is begun a second time beside it.
PATIENCE_MS = 700
MOST_READINGS = 3


def pause_ms(tries: int) -> int:
    """How long to wait after ``tries`` failures: not at all after the first."""
    return 0 if tries <= 1 else min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(tries - 2, 10))


@dataclass(slots=True)
class Leg:
    """One side of one symbol. ``quantity`` is signed, as the exchange last told; ``expected`` is what is left
    of it by the answers to our orders; ``changed`` is the tick of the last event that touched it."""

    symbol: str
    position_side: PositionSide
    quantity: Decimal = ZERO
    expected: Decimal = ZERO
    mark: Decimal = ZERO
    changed: int = 0
    hinted: bool = False
    in_flight: set[int] = field(default_factory=set)
    rounds: int = 0
    tries: int = 0
    refusals: int = 0
    closed: int = 0
    not_before: int = 0
    limit: bool = False
    narrower: int = 0
    most: Decimal | None = None
    clears_reducers: bool = False
    trouble: str = ""
    given_up: bool = False

    @property
    def key(self) -> LegKey:
        """What it is known by."""
        return self.symbol, self.position_side

    @property
    def side(self) -> Side:
        """The side that closes it."""
        if self.position_side != "BOTH":
            return "SELL" if self.position_side == "LONG" else "BUY"
        return "SELL" if self.quantity > 0 else "BUY"

    @property
    def notional(self) -> Decimal:
        """Its size in USDT, by the mark of the last reading."""
        return abs(self.quantity * self.mark)

    def told(self, quantity: Decimal, mark: Decimal) -> None:
        """The exchange told what is open."""
        if abs(quantity) < abs(self.quantity):
            self.tries = self.refusals = self.closed = 0  # it gets smaller: that is progress
        self.quantity = self.expected = quantity
        self.mark = mark or self.mark
        self.hinted = False
        if not quantity:
            self.given_up = False

    def filled(self, executed: Decimal) -> None:
        """An order of ours took this much off it."""
        left = max(ZERO, abs(self.expected) - executed)
        self.expected = left if self.expected >= 0 else -left

    def wait(self, now: int, words: str) -> None:
        """Something came to nothing; try again a little later each time."""
        self.tries += 1
        self.trouble = words
        self.not_before = now + pause_ms(self.tries)

    def unfilled(self, now: int) -> None:
        """An order was taken and found nobody: a market order is followed by a limit, and the other way
        round, for as long as there is time."""
        self.limit = not self.limit
        self.wait(now, "nobody is on the other side")

    def refused(self, close: Close, failure: Failure, now: int) -> None:
        """The exchange refused an order of it."""
        self.wait(now, failure.words)
        if failure.code in PRICE_BOUNDS:
            self.narrower += 1 if self.limit else 0
            self.limit = True
        elif failure.code in NOBODY:
            self.limit = not self.limit
        elif failure.code == TOO_LARGE:
            # Its own digits say what steps it may move in, where the filters are not known.
            half = (close.quantity / 2).quantize(close.quantity, ROUND_DOWN)
            self.most = half or close.quantity
        elif failure.code in NOT_TRADING:
            self.closed += 1
            self.not_before = now + FIRST_PAUSE_MS
            self.given_up = self.closed >= MOST_CLOSED
        else:
            self.clears_reducers |= failure.code in NO_ROOM
            self.limit = False
            self.refusals += 1
            self.given_up = self.refusals >= MOST_REFUSALS


@dataclass(slots=True)
class Reading:
    """One kind of reading: which are under way, and how new what was told is."""

    under_way: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: The tick at which the reading that told the newest state was begun.
    told: int = -1
    failures: int = 0
    retry_at: int = 0

    def wanted(self, since: int, now: int) -> bool:
        """Whether to begin one, to have news from ``since`` (a tick) or later."""
        if self.told >= since or now < self.retry_at or len(self.under_way) >= MOST_READINGS:
            return False
        newest = max((at for tick, at in self.under_way.values() if tick >= since), default=None)
        return newest is None or now - newest >= PATIENCE_MS

    def wakes(self) -> Iterable[int]:
        """Times at which something becomes due."""
        yield self.retry_at
        for _, at in self.under_way.values():
            yield at + PATIENCE_MS

    def begin(self, number: int, tick: int, now: int) -> None:
        """One is begun."""
        self.under_way[number] = tick, now

    def answered(self, number: int) -> bool:
        """One was answered; whether it is newer than what was told."""
        begun, _ = self.under_way.pop(number, (-1, 0))
        self.failures = 0
        if begun <= self.told:
            return False
        self.told = begun
        return True

    def failed(self, number: int, now: int, retry_ms: int = 0) -> None:
        """One came to nothing; another is begun after ``retry_ms`` at the soonest."""
        self.under_way.pop(number, None)
        self.failures += 1
        self.retry_at = now + max(retry_ms, pause_ms(self.failures))


def adds_risk(order: Order) -> bool:
    """Whether an open order can make a position or make one larger. In hedge mode the side opposite to its
    position only reduces."""
    closing = {"LONG": "SELL", "SHORT": "BUY"}.get(order.position_side)
    return not (order.reduces or order.side == closing)


def protects(order: Order) -> bool:
    """Whether an open order waits for its trigger and can only close."""
    return order.order_type in TRIGGERED_TYPES and not adds_risk(order)


def parts_of(leg: Leg, rules: Mapping[str, SymbolRules] | None) -> Iterable[tuple[Decimal, Decimal | None]]:
    """What to send for a leg: quantities with the price of a limit, or None for a market order.

    Without the symbol's filters the whole goes as one order, and the exchange decides.
    """
    known = (rules or {}).get(leg.symbol)
    quantity = abs(leg.quantity)
    if known is None:
        for part in in_parts(quantity, ZERO, leg.most or quantity) or (quantity,):
            yield part, None
        return
    price = band_price(leg, known)
    if leg.limit and price is not None:
        for part in in_parts(quantity, known.step_size, leg.most or known.max_quantity) or (quantity,):
            yield part, price
        return
    market = split_quantity(quantity, known)
    if leg.most:
        market = in_parts(quantity, known.market_step_size or known.step_size, leg.most) or (quantity,)
    if market:
        for part in market:
            yield part, None
        return
    # Less than one step of a market order: a limit may move in finer steps. What is below those too goes as
    # it is, and the exchange says what it thinks of it.
    fine = round_down(quantity, known.step_size)
    yield (fine, price) if fine and price is not None else (quantity, None)


def band_price(leg: Leg, rules: SymbolRules) -> Decimal | None:
    """The price of a limit that closes a leg: well inside the allowed band, at its far end, so that it takes
    all there is. None without a mark price."""
    if not leg.mark:
        return None
    inside = min(Decimal(1), INSIDE * (1 + leg.narrower))
    if leg.side == "SELL":
        down = rules.percent_down if rules.percent_down is not None else 1 - ASSUMED_BAND
        price = round_up(leg.mark * (down + (1 - down) * inside), rules.tick_size)
        return max(price, rules.min_price)
    up = rules.percent_up if rules.percent_up is not None else 1 + ASSUMED_BAND
    price = round_down(leg.mark * (up - (up - 1) * inside), rules.tick_size)
    price = max(price, rules.min_price)
    return min(price, rules.max_price) if rules.max_price else price

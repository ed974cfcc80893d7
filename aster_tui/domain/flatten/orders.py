"""The open orders of an account during a close-all: which are there, and which are to go when. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aster_tui.domain.flatten.parts import FIRST_PAUSE_MS, Reading, adds_risk, pause_ms, protects
from aster_tui.domain.flatten.steps import Failure
from aster_tui.domain.trading import Order

MOST_CANCELLED = 10
#: After how many refusals an order is left for a person.
MOST_TRIES = 6


@dataclass(slots=True)
class OpenOrders:
    """What is open, as the exchange last told and as our cancels changed it since.

    ``since`` is the tick from which on they must be read again; ``cancelled`` counts what the exchange said
    it cancelled for us; ``apart_refused`` is whether it refused to tell of single symbols.
    """

    reading: Reading = field(default_factory=Reading)
    open: dict[int, Order] = field(default_factory=dict)
    since: int = 0
    cancelled: int = 0
    touched: set[str] = field(default_factory=set)
    trouble: str = ""
    apart_refused: bool = False
    _gone: set[int] = field(default_factory=set)
    _cancelling: set[int] = field(default_factory=set)
    _tries: dict[int, int] = field(default_factory=dict)
    _not_before: dict[int, int] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether the exchange told of them at all."""
        return self.reading.told >= 0

    @property
    def cancelling(self) -> bool:
        """Whether a cancel is under way."""
        return bool(self._cancelling)

    def wakes(self) -> Iterable[int]:
        """Times at which something becomes due."""
        return self._not_before.values()

    def left_alone(self, order: Order) -> bool:
        """Whether it refuses to be cancelled."""
        return self._tries.get(order.order_id, 0) >= MOST_TRIES

    def unwanted(
        self, symbol_flat: Callable[[str], bool], in_the_way: Callable[[str], bool]
    ) -> Iterable[Order]:
        """The orders that are to go now: those that can add risk, all of a flat symbol, and resting limits of
        a symbol where they keep a close from its room."""
        for order in self.open.values():
            if not self.left_alone(order) and (
                adds_risk(order)
                or symbol_flat(order.symbol)
                or (in_the_way(order.symbol) and not protects(order))
            ):
                yield order

    def to_cancel(self, orders: Iterable[Order], now: int) -> list[tuple[str, tuple[int, ...]]]:
        """Of these, what to cancel now, by symbol and at most ten at once; each is given once until it is
        answered."""
        by_symbol: dict[str, list[int]] = {}
        for order in orders:
            number = order.order_id
            if number not in self._cancelling and now >= self._not_before.get(number, 0):
                by_symbol.setdefault(order.symbol, []).append(number)
                self._cancelling.add(number)
        return [
            (symbol, tuple(ids[at : at + MOST_CANCELLED]))
            for symbol, ids in by_symbol.items()
            for at in range(0, len(ids), MOST_CANCELLED)
        ]

    def told(self, orders: Iterable[Order], symbols: tuple[str, ...]) -> None:
        """The exchange told what is open: all there is, or all of these symbols."""
        rows = {o.order_id: o for o in orders if not o.final and o.order_id not in self._gone}
        kept = {n: o for n, o in self.open.items() if symbols and o.symbol not in symbols}
        self.open = {**kept, **rows}
        self.touched.update(o.symbol for o in rows.values())

    def answered(self, order_id: int, answer: Order | Failure, tick: int, now: int) -> bool:
        """A cancel was answered; whether a position may have changed by it."""
        self._cancelling.discard(order_id)
        if isinstance(answer, Order):
            if answer.final:
                self._gone.add(order_id)
                self.open.pop(order_id, None)
                self.cancelled += answer.status == "CANCELED"
            return bool(answer.executed)
        tries = self._tries[order_id] = self._tries.get(order_id, 0) + (answer.kind in ("refused", "key"))
        self._not_before[order_id] = now + max(FIRST_PAUSE_MS, pause_ms(tries))
        self.trouble = answer.words
        if answer.kind == "refused":
            # Filled or cancelled already, most likely: the next reading tells.
            self.open.pop(order_id, None)
        if answer.kind in ("refused", "unknown"):
            self.since = tick
        return answer.kind in ("refused", "unknown")

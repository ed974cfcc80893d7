"""All legs of an account during a close-all, and how new what is known of them is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aster_tui.domain.flatten.parts import Leg, Reading
from aster_tui.domain.flatten.steps import LegKey
from aster_tui.domain.trading import ZERO, Position


class Legs:
    """The legs that were ever seen, by symbol and position side."""

    def __init__(self) -> None:
        self.reading = Reading()
        self._legs: dict[LegKey, Leg] = {}

    def __iter__(self) -> Iterator[Leg]:
        return iter(self._legs.values())

    def __getitem__(self, key: LegKey) -> Leg:
        if key not in self._legs:
            self._legs[key] = Leg(*key)
        return self._legs[key]

    @property
    def known(self) -> bool:
        """Whether the exchange told of positions at all."""
        return self.reading.told >= 0

    @property
    def in_flight(self) -> bool:
        """Whether a closing order is under way."""
        return any(leg.in_flight for leg in self)

    def told(self, rows: Mapping[LegKey, Position]) -> None:
        """The exchange told what is open: these, and nothing else."""
        for key in self._legs.keys() | rows.keys():
            leg, row = self[key], rows.get(key)
            leg.told(ZERO, leg.mark) if row is None else leg.told(row.quantity, row.mark_price)

    def fresh(self, leg: Leg) -> bool:
        """Whether it was read after the last thing that touched it."""
        return self.reading.told >= leg.changed

    def flat(self, leg: Leg) -> bool:
        """Whether the exchange said that nothing of it is left."""
        return not leg.quantity and not leg.in_flight and self.fresh(leg)

    def all_flat(self) -> bool:
        """Whether it said so of every leg."""
        return self.known and all(self.flat(leg) for leg in self)

    def symbol_flat(self, symbol: str) -> bool:
        """Whether it said so of a symbol."""
        return self.known and all(self.flat(leg) for leg in self.of(symbol))

    def in_the_way(self, symbol: str) -> bool:
        """Whether resting limits of a symbol keep a close from its room."""
        return any(leg.clears_reducers for leg in self.of(symbol))

    def of(self, symbol: str) -> list[Leg]:
        """The legs of a symbol."""
        return [leg for leg in self if leg.symbol == symbol]

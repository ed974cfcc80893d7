"""The dead-man timer: the venue cancels a symbol's orders unless it hears from us again in time. Pure.

Times are whole ms of one clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aster_tui.domain.flatten.parts import protects
from aster_tui.domain.trading import Order

#: Shorter ones would run down by a slow network alone; longer ones protect nobody.
LEAST_SECONDS, MOST_SECONDS = 10, 3_600
#: How many times it is set again before it would run down.
BEATS = 3
#: A beat that was not taken is tried again after this long.
RETRY_MS = 1_000
#: A word to the venue that was not answered may still be taken this much later, at the most.
LATE_MS = 30_000
#: Request weight of setting it once.
WEIGHT = 10


@dataclass(frozen=True, slots=True)
class Timer:
    """One symbol's timer of one account. ``taken_at`` is when the venue last took it, ``words`` why it did
    not take the last one; ``ending`` while it is being stopped; ``sent_at`` is when it was last sent to be
    held, taken or not."""

    account: str
    symbol: str
    seconds: int
    taken_at: int
    tried_at: int
    words: str = ""
    ending: bool = False
    sent_at: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by."""
        return self.account, self.symbol

    @property
    def next_at(self) -> int:
        """When to set it again, or to try that once more."""
        return self.tried_at + (RETRY_MS if self.words else self.seconds * 1000 // BEATS)

    @property
    def runs_down_at(self) -> int:
        """When the venue cancels the symbol's orders unless it is set again."""
        return self.taken_at + self.seconds * 1000

    @property
    def over_at(self) -> int:
        """From when on the venue cannot have it any more, unless it is sent again."""
        latest = self.taken_at if self.sent_at <= self.taken_at else self.sent_at + LATE_MS
        return latest + self.seconds * 1000

    def sent(self, at: int) -> Timer:
        """It is on its way to be held again."""
        return replace(self, sent_at=at)

    def taken(self, at: int) -> Timer:
        """The venue took it; ``at`` is from before it was sent: from then on it runs at the latest."""
        return replace(self, taken_at=at, tried_at=at, words="")

    def failed(self, at: int, words: str) -> Timer:
        """The venue did not take it."""
        return replace(self, tried_at=at, words=words)


def weight_a_minute(seconds: int, symbols: int) -> int:
    """What holding timers of this length costs of the request weight."""
    return symbols * WEIGHT * BEATS * 60 // max(1, seconds)


def would_cancel(orders: Iterable[Order], symbols: Iterable[str]) -> tuple[list[Order], list[Order]]:
    """The orders that would be cancelled when timers of these symbols run down: those that protect a
    position, and the others."""
    chosen = set(symbols)
    found = [order for order in orders if order.symbol in chosen]
    return [o for o in found if protects(o)], [o for o in found if not protects(o)]

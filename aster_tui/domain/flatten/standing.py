"""What the exchange lets an account do just now, from what it answered. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aster_tui.domain.flatten.parts import FIRST_PAUSE_MS, pause_ms
from aster_tui.domain.flatten.steps import Failure

MOST_BATCHED = 5
TOO_MANY_ORDERS = -1015
MOST_KEY_REFUSALS, MOST_CLOCK_REFUSALS = 2, 6


@dataclass(slots=True)
class Standing:
    """Limits, clock and key of one account, and how long it has.

    Args:
        asked_deadline: when nothing new is sent any more.
        patience_ms: how much later that may be, for as long as the exchange wanted nothing sent.

    Until ``hold_until`` nothing may be sent, until ``orders_from`` no order; ``held_ms`` is how long that was
    and will be, in all. ``batch`` is how many orders go
    at once. ``barred`` says why no order is taken of this account any more. ``heard`` is whether the exchange
    ever answered; ``trouble`` is what kept the last request from its answer.
    """

    asked_deadline: int
    patience_ms: int = 0
    hold_until: int = 0
    orders_from: int = 0
    held_ms: int = 0
    batch: int = MOST_BATCHED
    heard: bool = False
    clock_doubted: bool = False
    clock_at: int = 0
    barred: str = ""
    trouble: str = ""
    _measuring: bool = False
    _clock_refusals: int = 0
    _key_refusals: int = 0

    @property
    def deadline(self) -> int:
        """When nothing new is sent any more."""
        return self.asked_deadline + min(self.patience_ms, self.held_ms)

    def over(self, now: int) -> str:
        """Why nothing new is sent any more; empty while it is."""
        if now >= self.deadline:
            return "the deadline passed"
        if self.hold_until >= self.asked_deadline + self.patience_ms:
            return "the exchange takes nothing from here before the deadline"
        return ""

    def wakes(self) -> Iterable[int]:
        """Times at which something becomes due."""
        return self.hold_until, self.orders_from, self.clock_at

    def answered(self, *, orders: bool = False) -> None:
        """The exchange took a signed request; with ``orders`` it was one that sends them."""
        self.heard, self.trouble, self._clock_refusals = True, "", 0
        if orders:
            self._key_refusals = 0

    def failed(self, failure: Failure, now: int, *, orders: bool = False) -> None:
        """A request came to nothing."""
        self.trouble = failure.words
        self.heard |= failure.kind in ("refused", "limited", "clock", "key")
        if failure.kind == "limited":
            held, until = max(self.hold_until, self.orders_from, now), now + failure.retry_ms
            self.held_ms += max(0, until - held)
            if failure.code == TOO_MANY_ORDERS:
                self.orders_from = max(self.orders_from, until)
            else:
                self.hold_until = max(self.hold_until, until)
            self.batch = max(1, self.batch // 2) if orders else self.batch
        elif failure.kind == "clock" and not self.clock_doubted:
            # What was under way with the same wrong time tells nothing new.
            self.clock_doubted = True
            self._clock_refusals += 1
            self.clock_at = now + pause_ms(self._clock_refusals)
            if self._clock_refusals > MOST_CLOCK_REFUSALS:
                self.barred = failure.words
        elif failure.kind == "key":
            self._key_refusals += 1
            if self._key_refusals >= MOST_KEY_REFUSALS:
                self.barred = failure.words

    def measures(self, now: int) -> bool:
        """Whether to begin to measure the clock now; true once until it is measured."""
        begins = self.clock_doubted and not self._measuring and now >= self.clock_at
        self._measuring |= begins
        return begins

    def measured(self, failure: Failure | None, now: int) -> None:
        """The clock was measured, or not."""
        self._measuring = False
        self.clock_doubted = failure is not None
        if failure is not None:
            self.clock_at = now + FIRST_PAUSE_MS
            self.failed(failure, now)

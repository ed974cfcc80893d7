"""What of a close-all may still be under way: answers that were lost, and orders of other processes. Pure.

A nonce in doubt is fenced with a noop of the same nonce, and each order under it is asked for. Once the
exchange said that the nonce is used up, by the order or by the fence, nothing that carries it can arrive any
more; at the latest that is so when its window has passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aster_tui.domain.flatten.parts import FIRST_PAUSE_MS, pause_ms
from aster_tui.domain.flatten.steps import Close, Failure, LegKey, Stray
from aster_tui.domain.outcomes import FenceAnswer
from aster_tui.domain.trading import Order

#: How long an uncertain order of one-way mode holds its leg back, at most: there reduce-only bounds it.
DOUBT_MS = 300
#: How long after a nonce was seen used an order that is not found was refused, and a stray has shown itself.
SETTLE_MS = 1_500
#: An order that should have ended at once and rests is cancelled after this long.
LINGER_MS = 2_000


@dataclass(slots=True)
class Doubt:
    """One nonce. ``closes`` are its orders whose end is not known, none in a stray of another process;
    ``legs`` are those they may still make smaller. ``spent_at`` is when the nonce was seen used up."""

    nonce: int
    expires_at: int
    began: int
    legs: frozenset[LegKey]
    closes: dict[int, Close] = field(default_factory=dict)
    spent_at: int | None = None
    fencing: bool = False
    fences: int = 0
    fence_at: int = 0
    asking: set[int] = field(default_factory=set)
    asks: int = 0
    ask_at: int = 0
    #: Orders that were placed and have not ended, with when they were first seen so.
    resting: dict[int, int] = field(default_factory=dict)
    stray: bool = False

    def certain(self, now: int) -> bool:
        """Whether nothing under it can happen any more."""
        if now >= self.expires_at:
            return True
        return self.spent_at is not None and now >= self.spent_at + SETTLE_MS


class Doubts:
    """All nonces in doubt of one account."""

    def __init__(self) -> None:
        self._doubts: dict[int, Doubt] = {}

    def __bool__(self) -> bool:
        return bool(self._doubts)

    @property
    def dangerous(self) -> bool:
        """Whether something that may be under way could open a position."""
        return any(not doubt.legs for doubt in self._doubts.values())

    def lost(self, nonce: int, expires_at: int, closes: Iterable[Close], now: int) -> None:
        """The answer to these orders, sent under one nonce, was lost."""
        found = {close.number: close for close in closes}
        legs = frozenset(close.leg for close in found.values())
        self._doubts[nonce] = Doubt(nonce, expires_at, now, legs, found)

    def rests(self, close: Close, order: Order, now: int) -> None:
        """An order was placed and did not end at once, as it should have."""
        # There is nothing to fence: a number of ours stands for its nonce.
        doubt = Doubt(-close.number, 2**62, now, frozenset({close.leg}), {close.number: close}, now)
        doubt.resting[order.order_id] = now
        doubt.ask_at = now + FIRST_PAUSE_MS
        self._doubts[doubt.nonce] = doubt

    def stray(self, stray: Stray, now: int) -> None:
        """An order of another process may be under way."""
        if now < stray.expires_at:
            legs = frozenset({stray.leg} if stray.leg else ())
            self._doubts[stray.nonce] = Doubt(stray.nonce, stray.expires_at, now, legs, stray=True)

    def holds(self, leg: LegKey, now: int) -> bool:
        """Whether a leg must not be closed again yet."""
        for doubt in self._doubts.values():
            if leg in doubt.legs:
                if leg[1] != "BOTH" or doubt.resting:
                    return True  # in hedge mode no flag bounds what comes late
                if doubt.spent_at is None and not doubt.fences and now < doubt.began + DOUBT_MS:
                    return True
        return False

    def wakes(self) -> Iterable[int]:
        """Times at which something becomes due."""
        for doubt in self._doubts.values():
            yield from (doubt.fence_at, doubt.ask_at, doubt.expires_at, doubt.began + DOUBT_MS)
            if doubt.spent_at is not None:
                yield doubt.spent_at + SETTLE_MS
            for seen_at in doubt.resting.values():
                yield seen_at + LINGER_MS

    def to_fence(self, now: int) -> list[int]:
        """The nonces to fence now; each is given once until it is answered."""
        due = [
            d
            for d in self._doubts.values()
            if d.spent_at is None and not d.fencing and d.fence_at <= now < d.expires_at
        ]
        for doubt in due:
            doubt.fencing = True
        return [doubt.nonce for doubt in due]

    def to_ask(self, now: int) -> list[Close]:
        """The closing orders to ask for now; each is given once until it is answered."""
        due: list[Close] = []
        for doubt in self._doubts.values():
            if now >= doubt.ask_at:
                for number, close in doubt.closes.items():
                    if number not in doubt.asking:
                        doubt.asking.add(number)
                        due.append(close)
        return due

    def to_cancel(self, now: int) -> list[tuple[str, int]]:
        """Orders of ours that rest though they should have ended, as (symbol, id); each is given once."""
        due: list[tuple[str, int]] = []
        for doubt in self._doubts.values():
            (symbol, _), *_ = [*doubt.legs, ("", "BOTH")]
            for order_id, seen_at in doubt.resting.items():
                if now >= seen_at + LINGER_MS:
                    doubt.resting[order_id] = now
                    due.append((symbol, order_id))
        return due

    def fenced(self, nonce: int, answer: FenceAnswer | Failure, now: int) -> tuple[list[Close], set[LegKey]]:
        """A fence was answered; the orders that were certainly never placed, and the legs this settles."""
        doubt = self._doubts.get(nonce)
        if doubt is None:
            return [], set()
        doubt.fencing = False
        doubt.fences += 1
        if answer == "burned":
            del self._doubts[nonce]
            return list(doubt.closes.values()), set(doubt.legs)
        if answer == "used":
            # By the order, or by a fence of ours whose answer was lost: either way nothing can come now.
            doubt.spent_at, doubt.ask_at = now, now
            return [], set(doubt.legs)
        doubt.fence_at = now + max(FIRST_PAUSE_MS, pause_ms(doubt.fences))
        return [], set()

    def asked(
        self, close: Close, answer: Order | Failure | None, asked_at: int, now: int
    ) -> Order | bool | None:
        """One order was asked for (None: the exchange does not know it), ``asked_at`` is when.

        Returns the order once it is known, False when it was certainly never placed, None as long as nothing
        can be said.
        """
        doubt = next((d for d in self._doubts.values() if close.number in d.closes), None)
        if doubt is None:
            return None
        doubt.asking.discard(close.number)
        doubt.asks += 1
        doubt.ask_at = now + max(FIRST_PAUSE_MS, pause_ms(doubt.asks))
        if isinstance(answer, Order):
            if answer.final:
                doubt.resting.pop(answer.order_id, None)
                self._resolved(doubt, close)
            else:
                doubt.resting.setdefault(answer.order_id, now)
            return answer
        if answer is None and doubt.certain(asked_at):
            self._resolved(doubt, close)
            return False
        return None

    def settled_strays(self, now: int) -> bool:
        """Let go of strays that can do nothing any more; whether there were any."""
        gone = [nonce for nonce, d in self._doubts.items() if d.stray and d.certain(now)]
        for nonce in gone:
            del self._doubts[nonce]
        return bool(gone)

    def _resolved(self, doubt: Doubt, close: Close) -> None:
        del doubt.closes[close.number]
        if not doubt.closes:
            del self._doubts[doubt.nonce]

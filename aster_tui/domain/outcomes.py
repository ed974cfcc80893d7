"""An order of unknown outcome: fence it, ask for it, and end in one of three words. Pure.

A time-out does not prove rejection, so nothing leads from here to "send again". The order's nonce is
fenced with a ``noop`` of the same nonce (a late order that carries it is then refused), and the order is
asked for by its client order id until the nonce window has passed in server time: only then is an order
that the exchange does not know *never placed*. What the exchange or its stream says of the order ends the
matter at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from aster_tui.domain.trading import Order

#: ``unknown``: may be live; ``placed``: the exchange knows it; ``never-placed``: it cannot come any more.
Word = Literal["unknown", "placed", "never-placed"]

#: How long past the window an answer "no such order" is still mistrusted: time measured is never exact.
GRACE_MS = 1_000
FIRST_ASK_MS, LONGEST_ASK_MS = 200, 2_000
FENCE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Fence:
    """Send a noop with the order's nonce."""

    nonce: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the exchange for the order by its client order id, not before ``at`` (server time, Unix ms)."""

    at: int


@dataclass(frozen=True, slots=True)
class Done:
    """It is resolved; ``order`` is what the exchange knows of it."""

    word: Word
    order: Order | None


Step = Fence | Ask | Done
FenceAnswer = Literal["burned", "used", "lost"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one order whose answer was lost.

    Args:
        nonce: the order's, in µs of server time.
        window_ms: how far from server time the venue takes a nonce.
        sent_at: server time of the sending, Unix ms.
    """

    client_order_id: str
    nonce: int
    window_ms: int
    sent_at: int
    order: Order | None = None
    fence: FenceAnswer | None = None
    fence_tries: int = 0
    asked: int = 0
    asked_at: int = 0
    gone: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def closes_at(self) -> int:
        """Server time from which on the order cannot arrive any more (Unix ms)."""
        return max(self.nonce // 1000, self.sent_at) + self.window_ms + GRACE_MS

    @property
    def word(self) -> Word:
        """What can be said now."""
        if self.order is not None:
            return "placed"
        return "never-placed" if self.gone else "unknown"

    def next(self) -> Step:
        """What to do now. The same state always gives the same step."""
        if self.word != "unknown":
            return Done(self.word, self.order)
        if self.fence in (None, "lost") and self.fence_tries < FENCE_TRIES:
            return Fence(self.nonce)
        wait = min(LONGEST_ASK_MS, FIRST_ASK_MS * 2 ** min(self.asked, 6))
        return Ask(self.asked_at + wait if self.asked else 0)

    def fenced(self, answer: FenceAnswer) -> Outcome:
        """The noop was answered: ``burned`` (taken: a late order is refused), ``used`` (refused: the order's
        nonce had arrived before), ``lost`` (no answer: the noop itself is of unknown outcome)."""
        # A lost noop may have been the one that used the nonce: a later "used" then proves nothing.
        doubtful = self.fence == "lost" and answer == "used"
        note = f"fence {answer}{' (perhaps by the fence itself)' if doubtful else ''}"
        return replace(self, fence=answer, fence_tries=self.fence_tries + 1, notes=(*self.notes, note))

    def found(self, order: Order) -> Outcome:
        """The exchange, or its stream, told of the order. Of two tellings the further one stays."""
        if order.client_order_id != self.client_order_id:
            return self
        if self.order is not None and _further(self.order, order):
            return self
        return replace(self, order=order, gone=False)

    def not_found(self, at: int) -> Outcome:
        """The exchange said "no such order"; ``at`` is the server time before which it was asked."""
        asked = replace(self, asked=self.asked + 1, asked_at=max(self.asked_at, at))
        if self.order is not None:
            return asked  # it was known before: final orders vanish from the venue after days
        # Before the window closed it proves nothing: the order may still be under way.
        return replace(asked, gone=at >= self.closes_at)

    def no_answer(self, at: int) -> Outcome:
        """Asking failed: nothing is learned, and it is asked again later."""
        return replace(self, asked=self.asked + 1, asked_at=max(self.asked_at, at))


def _further(known: Order, told: Order) -> bool:
    """Whether what is known is further than what is told now: late and doubled events undo nothing."""
    if known.final != told.final:
        return known.final
    if known.executed != told.executed:
        return known.executed > told.executed
    return known.updated_at >= told.updated_at

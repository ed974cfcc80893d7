"""Orders of unknown outcome against a model of a venue that loses, delays, doubles and reorders."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from aster_tui.domain.outcomes import GRACE_MS, Ask, Done, Fence, Outcome
from aster_tui.domain.trading import Order

D = Decimal
START = 1_790_000_000_000
WINDOW = 10_000
NONCE = START * 1000


def order(status: str = "NEW", executed: str = "0", at: int = START) -> Order:
    return Order("BTCUSDT", 7, "mine", "BUY", "LIMIT", status, D(2), executed=D(executed), updated_at=at)


def unknown() -> Outcome:
    return Outcome("mine", NONCE, WINDOW, START)


def test_it_fences_first_then_asks_until_the_window_has_passed() -> None:
    outcome = unknown()
    assert outcome.next() == Fence(NONCE)
    outcome = outcome.fenced("burned")
    assert outcome.next() == Ask(0)
    outcome = outcome.not_found(START + 50)
    assert outcome.word == "unknown"
    assert outcome.next() == Ask(START + 50 + 400)
    assert outcome.not_found(START + WINDOW + GRACE_MS - 1).word == "unknown"
    assert outcome.not_found(START + WINDOW + GRACE_MS).next() == Done("never-placed", None)


def test_a_lost_fence_is_tried_again_and_its_own_nonce_is_not_taken_for_the_orders() -> None:
    outcome = unknown().fenced("lost")
    assert outcome.next() == Fence(NONCE)
    outcome = outcome.fenced("used")
    assert "perhaps by the fence itself" in outcome.notes[-1]
    assert isinstance(outcome.next(), Ask)
    assert outcome.word == "unknown"


def test_a_stream_event_ends_it_and_a_late_no_such_order_does_not_undo_it() -> None:
    outcome = unknown().found(order("FILLED", "2"))
    assert outcome.next() == Done("placed", order("FILLED", "2"))
    assert outcome.not_found(START + 10 * WINDOW).word == "placed"
    assert outcome.found(order("NEW", "0", START + 99)).order == order("FILLED", "2")
    other = replace(order(), client_order_id="somebody else's")
    assert unknown().found(other) == unknown()


@dataclass
class Venue:
    """A venue as far as one order is concerned: it arrives at ``arrives`` or never, and fills later."""

    arrives: int | None
    fills_after: int
    rng: random.Random
    loss: float
    now: int = START
    used: set[int] = field(default_factory=set)
    placed_at: int | None = None
    placements: int = 0

    def advance(self, to: int) -> None:
        self.now = max(self.now, to)
        if self.arrives is not None and self.now >= self.arrives:
            in_time = abs(self.arrives * 1000 - NONCE) <= WINDOW * 1000
            if in_time and NONCE not in self.used:
                self.used.add(NONCE)
                self.placements += 1
                self.placed_at = self.arrives
            self.arrives = None

    def lost(self) -> bool:
        return self.rng.random() < self.loss

    def noop(self, nonce: int) -> str:
        late = self.now * 1000 - nonce > WINDOW * 1000
        answer = "used" if nonce in self.used or late else "burned"
        if not late:
            self.used.add(nonce)
        return "lost" if self.lost() else answer

    def truth(self) -> Order | None:
        if self.placed_at is None:
            return None
        filled = self.now - self.placed_at >= self.fills_after
        return order("FILLED" if filled else "NEW", "2" if filled else "0", self.now)


@settings(max_examples=500)
@given(
    arrives=st.none() | st.integers(0, 3 * WINDOW),
    fills_after=st.integers(0, 2 * WINDOW),
    loss=st.sampled_from([0.0, 0.3, 0.8]),
    stream=st.lists(st.sampled_from(["drop", "late", "double"]), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_never_two_orders_never_a_wrong_word_and_always_an_end(
    arrives: int | None, fills_after: int, loss: float, stream: list[str], seed: int
) -> None:
    venue = Venue(None if arrives is None else START + arrives, fills_after, random.Random(seed), loss)
    outcome, fences, events = unknown(), 0, []
    for _ in range(2_000):
        step = outcome.next()
        if isinstance(step, Done):
            break
        if isinstance(step, Fence):
            fences += 1
            venue.advance(venue.now + venue.rng.randint(1, 300))
            outcome = outcome.fenced(venue.noop(step.nonce))  # type: ignore[arg-type]
        else:
            venue.advance(max(step.at, venue.now + venue.rng.randint(1, 300)))
            asked_at, known = venue.now, venue.truth()
            if venue.lost():
                outcome = outcome.no_answer(asked_at)
            else:
                outcome = outcome.found(known) if known else outcome.not_found(asked_at)
        if (told := venue.truth()) is not None:
            events.append(told)
        if (
            stream and events
        ):  # the stream tells what was true once: late, doubled, out of order or not at all
            way = stream.pop()
            for told in () if way == "drop" else (events[0],) if way == "late" else (events[-1],) * 2:
                outcome = outcome.found(told)
    else:
        raise AssertionError("it never ended")
    venue.advance(venue.now + 10 * WINDOW)  # whatever was under way has arrived by now
    assert venue.placements <= 1
    assert fences <= 3
    assert outcome.word == ("placed" if venue.placements else "never-placed")

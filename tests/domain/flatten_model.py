"""A small exchange for the close-all machine to struggle with: late, lost, doubled, partial, growing.

In one-way mode ``reduceOnly`` is obeyed as the venue does. In hedge mode nothing is bounded, which is harsher
than the venue: an order too many would turn a leg over, and the model remembers that it did.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from aster_tui.domain.flatten.machine import Flatten
from aster_tui.domain.flatten.parts import adds_risk
from aster_tui.domain.flatten.steps import (
    AskClose,
    CancelOrders,
    Close,
    Failure,
    FenceNonce,
    LegKey,
    MeasureClock,
    ReadOrders,
    ReadPositions,
    SendCloses,
    Step,
)
from aster_tui.domain.symbols import SymbolRules
from aster_tui.domain.trading import ZERO, Order, Position

D = Decimal
WINDOW_MS, TIMEOUT_MS, GRACE_MS = 4_000, 3_000, 1_000
MARK = D(100)


def rules_of(symbol: str, **more: Any) -> SymbolRules:
    values: dict[str, Any] = {
        "symbol": symbol,
        "base_asset": symbol.removesuffix("USDT"),
        "status": "TRADING",
        "tick_size": D("0.1"),
        "min_price": D("0.1"),
        "max_price": D(10_000),
        "step_size": D(1),
        "min_quantity": D(1),
        "max_quantity": D(1_000),
        "market_step_size": D(1),
        "market_min_quantity": D(1),
        "market_max_quantity": D(30),
        "min_notional": D(5),
        "percent_up": D("1.15"),
        "percent_down": D("0.85"),
    }
    return SymbolRules(**{**values, **more})


@dataclass(frozen=True)
class Faults:
    """Probabilities, and what else goes wrong."""

    unsent: float = 0  # nothing leaves
    refused503: float = 0  # not executed, and not known
    lost_reply: float = 0  # executed, and not known
    late: float = 0  # arrives long after the time-out, and is not known
    doubled: float = 0  # arrives twice
    limited: float = 0
    clock: float = 0
    partial: float = 0
    hung: float = 0  # reads that never answer
    grows: int = 0  # how often a position grows meanwhile
    fills: float = 0  # how readily orders that add risk fill
    closed: frozenset[str] = frozenset()
    bounds: frozenset[str] = frozenset()
    key: bool = False


@dataclass
class Venue:
    """The exchange of one account."""

    rng: random.Random
    faults: Faults
    hedge: bool
    positions: dict[LegKey, Decimal]
    orders: dict[int, Order]
    rules: dict[str, SymbolRules]
    now: int = 0
    used: set[int] = field(default_factory=set)
    placed: dict[int, Order] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    nonce_times: dict[int, int] = field(default_factory=dict)
    grown: int = 0

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def moves(self) -> None:
        """What the market and others do between two requests."""
        if self.grown < self.faults.grows and self.now < 6_000 and self.chance(0.1):
            self.grown += 1
            for leg, quantity in self.positions.items():
                if quantity:
                    self.positions[leg] = quantity + (3 if quantity > 0 else -3)
                    break
        for order in [*self.orders.values()]:
            if self.faults.fills and adds_risk(order) and self.chance(self.faults.fills):
                del self.orders[order.order_id]
                leg = (order.symbol, order.position_side)
                signed = order.quantity if order.side == "BUY" else -order.quantity
                self.positions[leg] = self.positions.get(leg, ZERO) + signed

    def read_positions(self) -> tuple[Position, ...]:
        return tuple(
            Position(symbol, quantity, MARK, side, mark_price=MARK)  # type: ignore[arg-type]
            for (symbol, side), quantity in self.positions.items()
            if quantity
        )

    def take(self, nonce: int) -> Failure | None:
        if nonce in self.used or self.now > self.nonce_times.get(nonce, 0) + WINDOW_MS:
            return Failure("clock", "nonce", -4225)
        self.used.add(nonce)
        return None

    def send(self, nonce: int, closes: tuple[Close, ...]) -> Any:
        if self.faults.key:
            refused = Failure("key", "no permission", -4088)
            return refused if self.chance(0.5) else [refused] * len(closes)
        return self.take(nonce) or [self.place(close) for close in closes]

    def place(self, close: Close) -> Order | Failure:
        rules = self.rules[close.symbol]
        most = rules.market_max_quantity if close.price is None else rules.max_quantity
        there = self.positions.get(close.leg, ZERO)
        if close.reduce_only == self.hedge:
            return Failure("refused", "reduce-only does not fit here", -4062)
        if close.symbol in self.faults.closed:
            return Failure("refused", "the symbol is closed", -4141)
        if close.quantity > most:
            return Failure("refused", "too large", -4005)
        if close.price is None and close.symbol in self.faults.bounds:
            return Failure("refused", "too far from the mark", -4131)
        opposing = there > 0 if close.side == "SELL" else there < 0
        if not self.hedge and not opposing:
            return Failure("refused", "reduce-only", -2022)
        executed = close.quantity if self.hedge else min(close.quantity, abs(there))
        if self.chance(self.faults.partial):
            executed = D(int(executed * self.rng.choice((D(0), D("0.3"), D("0.7")))))
        after = there + (executed if close.side == "BUY" else -executed)
        if (after > 0) != (there > 0) and after:
            self.wrong.append(f"{close.leg} turned from {there} to {after}")
        if abs(after) > abs(there):
            self.wrong.append(f"{close.leg} grew from {there} to {after}")
        self.positions[close.leg] = after
        status = "FILLED" if executed == close.quantity else "EXPIRED"
        order = Order(
            close.symbol,
            10_000 + close.number,
            f"close-{close.number}",
            close.side,
            close.order_type,
            status,
            close.quantity,
            executed=executed,
            average_price=MARK,
        )
        self.placed[close.number] = order
        return order

    def cancel(self, order_ids: tuple[int, ...]) -> list[Order | Failure]:
        answers: list[Order | Failure] = []
        for order_id in order_ids:
            order = self.orders.pop(order_id, None)
            gone = Failure("refused", "no such order", -2011)
            answers.append(replace(order, status="CANCELED") if order else gone)
        return answers

    def noop(self, nonce: int) -> Any:
        if self.now > self.nonce_times.get(nonce, 0) + WINDOW_MS:
            return Failure("clock", "too old", -1021)
        return "used" if self.take(nonce) else "burned"


class Play:
    """Runs a machine against a venue, on simulated time."""

    def __init__(self, machine: Flatten, venue: Venue) -> None:
        self.machine, self.venue = machine, venue
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._nonces = itertools.count(1)
        self.sent: list[SendCloses] = []

    def at(self, when: int, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), call))

    def run(self, most: int = 400_000) -> int:
        """Until it ends; when that was."""
        now = 0
        while now < most:
            for step in self.machine.next(now):
                self.begin(step, now)
            if self.machine.ended:
                return now
            wakes = self.machine.wakes(now)
            assert wakes > now
            now = min(wakes, self._events[0][0]) if self._events else wakes
            self.advance(now)
        raise AssertionError(f"it never ended: {self.machine.report()}")

    def advance(self, now: int) -> None:
        while self._events and self._events[0][0] <= now:
            when, _, call = heapq.heappop(self._events)
            self.venue.now = max(self.venue.now, when)
            self.venue.moves()
            call()
        self.venue.now = max(self.venue.now, now)

    def settle(self) -> None:
        """Let everything that is under way arrive."""
        self.venue.faults = replace(self.venue.faults, grows=0, fills=0)
        self.advance(10**9)

    def begin(self, step: Step, now: int) -> None:
        venue, faults, rng = self.venue, self.venue.faults, self.venue.rng
        nonce = next(self._nonces)
        if isinstance(step, SendCloses):
            self.sent.append(step)
            venue.nonce_times[nonce] = now
        carry, give, changes = self.meaning(step, nonce, now)
        there = now + rng.randint(1, 60)
        back = there + rng.randint(1, 60)
        if venue.chance(faults.unsent):
            self.at(back, lambda: give(Failure("unsent", "cannot be reached"), back))
            return
        if venue.chance(faults.limited):
            self.at(back, lambda: give(Failure("limited", "too many requests", -1003, 1_000), back))
            return
        if changes and venue.chance(faults.clock):
            self.at(back, lambda: give(Failure("clock", "the clock differs", -1021), back))
            return
        if venue.chance(faults.refused503):
            self.at(back, lambda: give(self.unknown(changes), back))
        elif not changes and venue.chance(faults.hung):
            self.at(now + TIMEOUT_MS, lambda: give(Failure("unsent", "no answer"), now + TIMEOUT_MS))
        elif changes and venue.chance(faults.late):
            self.at(now + rng.randint(TIMEOUT_MS, 4 * TIMEOUT_MS), lambda: carry() and None)
            self.at(now + TIMEOUT_MS, lambda: give(self.unknown(True), now + TIMEOUT_MS))
        elif changes and venue.chance(faults.lost_reply):
            self.at(there, lambda: carry() and None)
            self.at(back, lambda: give(self.unknown(True), back))
        else:
            self.at(there, lambda: self.at(back, self.later(give, carry(), back)))
        if changes and venue.chance(faults.doubled):
            self.at(there + rng.randint(1, 2_000), lambda: carry() and None)

    @staticmethod
    def later(give: Callable[[Any, int], None], answer: Any, at: int) -> Callable[[], None]:
        return lambda: give(answer, at)

    @staticmethod
    def unknown(changes: bool) -> Failure:
        return Failure("unknown" if changes else "unsent", "HTTP 503")

    def meaning(
        self, step: Step, nonce: int, now: int
    ) -> tuple[Callable[[], Any], Callable[[Any, int], None], bool]:
        """What a step does at the venue, whom its answer is given to, and whether it changes something."""
        venue, machine = self.venue, self.machine
        if isinstance(step, ReadPositions):
            return venue.read_positions, lambda a, at: machine.positions(step, a, at), False
        if isinstance(step, ReadOrders):
            return (
                lambda: [o for o in venue.orders.values() if not step.symbols or o.symbol in step.symbols],
                lambda a, at: machine.orders(step, a, at),
                False,
            )
        if isinstance(step, SendCloses):
            expires = now + WINDOW_MS + GRACE_MS
            return (
                lambda: venue.send(nonce, step.closes),
                lambda a, at: machine.closed(step, a, at, nonce=nonce, expires_at=expires),
                True,
            )
        if isinstance(step, CancelOrders):
            return lambda: venue.cancel(step.order_ids), lambda a, at: machine.cancelled(step, a, at), True
        if isinstance(step, FenceNonce):
            return lambda: venue.noop(step.nonce), lambda a, at: machine.fenced(step, a, at), True
        if isinstance(step, AskClose):
            return (
                lambda: venue.placed.get(step.close.number),
                lambda a, at: machine.asked(step, a, at),
                False,
            )
        assert isinstance(step, MeasureClock)
        return (
            lambda: None,
            lambda a, at: machine.clock(step, a if isinstance(a, Failure) else None, at),
            False,
        )

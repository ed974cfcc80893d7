"""Close-all of one account, as a machine: what to do next, and what each answer changes. Pure.

At once and together: orders that can add risk are cancelled, and what the exchange says is open is closed by
reduce-only market orders. Then it is read again and closed again, with fresh quantities, until nothing is
left. Stops and targets of a symbol stay until the symbol is flat, so that a close that fails leaves no naked
position. "Flat" is said after two readings of positions and open orders, one begun after the other ended,
that both showed nothing and were begun after the last change.

Nothing is sent twice for the same amount: a leg is closed again only after a reading that was begun after its
last order was answered. Where an answer was lost the nonce is fenced and the order asked for; in one-way mode
``reduceOnly`` bounds what a late order can still do, in hedge mode nothing is sent until it is certain.

Times are whole ms of one clock that never goes back; the caller gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from aster_tui.domain.flatten.blotter import Blotter
from aster_tui.domain.flatten.doubts import Doubts
from aster_tui.domain.flatten.legs import Legs
from aster_tui.domain.flatten.orders import OpenOrders
from aster_tui.domain.flatten.parts import MOST_PARTS, Leg, parts_of
from aster_tui.domain.flatten.proof import Proof
from aster_tui.domain.flatten.standing import Standing
from aster_tui.domain.flatten.steps import (
    AccountFlat,
    AskClose,
    CancelOrders,
    Close,
    CloseAnswer,
    Failure,
    FenceNonce,
    LegKey,
    MeasureClock,
    Phase,
    ReadOrders,
    ReadPositions,
    Remaining,
    SendCloses,
    Step,
    Stray,
)
from aster_tui.domain.outcomes import FenceAnswer
from aster_tui.domain.symbols import SymbolRules
from aster_tui.domain.trading import Order, Position

#: How long the first closes wait for the symbols' filters.
RULES_WAIT_MS = 500
#: How long after the deadline the last readings may take.
FINAL_MS = 4_000
#: An exchange that never answered is given up after this long.
UNREACHABLE_MS = 30_000
#: More symbols than this are not read one by one.
MOST_APART = 30


class Flatten:
    """One account on its way to flat.

    :meth:`next` gives the steps to begin now, each once; every step is to be answered by the method of its
    kind. :meth:`wakes` says when to ask again though nothing was answered.

    Args:
        now: the time.
        deadline: when nothing new is sent any more.
        symbols: the only symbols to close; empty for all.
        rules: the symbols' filters, None while they are not known (see :meth:`learned`).
        thorough: read all open orders in both verifications; otherwise, in the first one, only those of the
            symbols that were touched (35 of request weight less).
        hints: what a live stream knows to be open: closed at once, before the exchange is asked.
        strays_within_ms: how long "flat" waits to be told of :meth:`strays`.
        patience_ms: how much later than the deadline it may end, for as long as the exchange wanted nothing
            sent.
    """

    def __init__(
        self,
        now: int,
        *,
        deadline: int,
        symbols: frozenset[str] = frozenset(),
        rules: Mapping[str, SymbolRules] | None = None,
        thorough: bool = True,
        hints: Iterable[Position] = (),
        strays_within_ms: int = 0,
        patience_ms: int = 0,
    ) -> None:
        self._symbols, self._rules, self._thorough = symbols, rules, thorough
        self._began = now
        self._numbers = 0
        self._legs, self._blotter, self._proof = Legs(), Blotter(), Proof()
        self._begun: dict[int, int] = {}
        self._doubts, self._orders = Doubts(), OpenOrders()
        self._before: set[LegKey] = set()
        self._standing = Standing(deadline, patience_ms)
        self._why = ""
        self._final_at: int | None = None
        self._final_since = 0
        self._end: Phase | None = None
        for position in hints:
            if position.quantity and self._in_scope(position.symbol):
                leg = self._legs[position.symbol, position.position_side]
                leg.told(position.quantity, position.mark_price)
                leg.hinted = True
                self._before.add(leg.key)
        self._strays_until = now + strays_within_ms

    # What to do

    def next(self, now: int) -> tuple[Step, ...]:
        """The steps to begin now; each is given once."""
        if self._end is None:
            self._pass_time(now)
            self._look_for_the_end(now)
        if self._end is not None or now < self._standing.hold_until:
            return ()
        if self._standing.clock_doubted:
            return (MeasureClock(self._number(now)),) if self._standing.measures(now) else ()
        steps = self._sending(now) if self._final_at is None else []
        steps += [FenceNonce(self._number(now), nonce) for nonce in self._doubts.to_fence(now)]
        steps += [AskClose(self._number(now), close) for close in self._doubts.to_ask(now)]
        return (*steps, *self._readings(now))

    def wakes(self, now: int) -> int:
        """When to ask for steps again at the latest."""
        times = [self._standing.deadline, *self._standing.wakes(), self._strays_until, now + 2_000]
        times += [self._began + UNREACHABLE_MS, self._began + RULES_WAIT_MS]
        times += [self._final_at + FINAL_MS] if self._final_at is not None else []
        times += [leg.not_before for leg in self._legs]
        times += [*self._doubts.wakes(), *self._orders.wakes()]
        times += [*self._legs.reading.wakes(), *self._orders.reading.wakes()]
        return min(at for at in times if at > now)

    def stop(self, now: int, why: str) -> None:
        """Send nothing new from now on; read once more what is left, and end."""
        self._finish(now, why)

    def _pass_time(self, now: int) -> None:
        if self._doubts.settled_strays(now):
            self._proof.mutated()
        if self._final_at is None and (over := self._standing.over(now)):
            self._finish(now, over)
        if self._final_at is None and not self._standing.heard and now >= self._began + UNREACHABLE_MS:
            self._finish(now, "the exchange never answered")
        if self._stuck(now):
            self._finish(now, "")

    def _sending(self, now: int) -> list[Step]:
        steps: list[Step] = [] if self._standing.barred else self._closes(now)
        unwanted = self._orders.unwanted(self._legs.symbol_flat, self._legs.in_the_way)
        for symbol, ids in self._orders.to_cancel(unwanted, now):
            steps.append(CancelOrders(self._number(now), symbol, ids))
        for symbol, order_id in self._doubts.to_cancel(now):
            steps.append(CancelOrders(self._number(now), symbol, (order_id,)))
        return steps

    def _closes(self, now: int) -> list[Step]:
        if now < self._standing.orders_from or (self._rules is None and now < self._began + RULES_WAIT_MS):
            return []
        ready = [leg for leg in self._legs if self._ready(leg, now)]
        closes: list[Close] = []
        for leg in sorted(ready, key=lambda leg: leg.notional, reverse=True):
            leg.rounds += 1
            leg.hinted = False
            for quantity, price in islice(parts_of(leg, self._rules), MOST_PARTS):
                close = Close(self._number(now), *leg.key, leg.side, quantity, price, leg.mark)
                closes.append(close)
                leg.in_flight.add(close.number)
                self._blotter.add(close)
        most = self._standing.batch
        batches = [closes[at : at + most] for at in range(0, len(closes), most)]
        return [SendCloses(self._number(now), tuple(batch)) for batch in batches]

    def _ready(self, leg: Leg, now: int) -> bool:
        if not leg.quantity or leg.given_up or leg.in_flight or now < leg.not_before:
            return False
        return (leg.hinted or self._legs.fresh(leg)) and not self._doubts.holds(leg.key, now)

    def _readings(self, now: int) -> list[Step]:
        positions, orders = 0, self._orders.since
        for leg in self._legs:
            if not leg.in_flight:
                positions = max(positions, leg.changed)
        if self._final_at is not None and not self._in_flight:
            since = max(self._final_since, self._proof.changed)
            positions, orders = max(positions, since), max(orders, since)
        apart: tuple[str, ...] = ()
        if self._expects_flat(now):
            since = self._proof.since
            positions, orders = max(positions, since), max(orders, since)
            apart = self._apart() if self._final_at is None else ()
        steps: list[Step] = []
        if self._legs.reading.wanted(positions, now):
            steps.append(ReadPositions(self._number(now)))
            self._legs.reading.begin(steps[-1].number, self._proof.ticked(), now)
        if self._orders.reading.wanted(orders, now):
            symbols = apart or tuple(sorted(self._symbols) if len(self._symbols) <= MOST_APART else ())
            symbols = () if self._orders.apart_refused else symbols
            steps.append(ReadOrders(self._number(now), symbols))
            self._orders.reading.begin(steps[-1].number, self._proof.ticked(), now)
        return steps

    def _apart(self) -> tuple[str, ...]:
        """The symbols whose orders are enough for a first verification; empty for all. Those that had orders,
        or else positions: the second one reads all."""
        if self._thorough or self._proof.clean or self._symbols or not self._orders.known:
            return ()
        touched = self._orders.touched or {leg.symbol for leg in self._legs}
        return tuple(sorted(touched)) if len(touched) <= MOST_APART else ()

    # What came back

    def learned(self, rules: Mapping[str, SymbolRules]) -> None:
        """The symbols' filters are known."""
        self._rules = rules

    def strays(self, strays: Iterable[Stray], now: int) -> None:
        """What other processes of this machine may have under way: fenced before "flat" is said."""
        self._strays_until = now
        for stray in strays:
            self._doubts.stray(stray, now)
            self._proof.mutated()

    def positions(self, step: ReadPositions, answer: Sequence[Position] | Failure, now: int) -> None:
        """Positions were read, or not."""
        if isinstance(answer, Failure):
            self._legs.reading.failed(step.number, now, answer.retry_ms)
            self._standing.failed(answer, now)
            return
        self._standing.answered()
        first = not self._legs.known
        if not self._legs.reading.answered(step.number):
            return
        told = {(p.symbol, p.position_side): p for p in answer if p.quantity and self._in_scope(p.symbol)}
        self._legs.told(told)
        if first:
            self._before |= told.keys()
        if told:
            self._proof.disproved()
        self._verified()

    def orders(self, step: ReadOrders, answer: Sequence[Order] | Failure, now: int) -> None:
        """Open orders were read, or not."""
        if isinstance(answer, Failure):
            # One symbol it does not know, or no more: of all together it tells.
            self._orders.apart_refused |= bool(step.symbols) and answer.kind == "refused"
            self._orders.reading.failed(step.number, now, answer.retry_ms)
            self._standing.failed(answer, now)
            return
        self._standing.answered()
        if self._orders.reading.answered(step.number):
            self._orders.told([o for o in answer if self._in_scope(o.symbol)], step.symbols)
            if self._orders.open:
                self._proof.disproved()
            self._verified()

    def closed(
        self,
        step: SendCloses,
        answer: Sequence[CloseAnswer] | Failure,
        now: int,
        *,
        nonce: int = 0,
        expires_at: int = 0,
    ) -> None:
        """A batch of closes was answered, each order in its place, or not at all.

        Args:
            nonce: what they were sent under.
            expires_at: when they cannot arrive any more.
        """
        answers = [answer] * len(step.closes) if isinstance(answer, Failure) else answer
        self._proof.mutated()
        if isinstance(answer, Failure):
            self._standing.failed(answer, now, orders=True)
        else:
            self._standing.answered(orders=any(isinstance(one, Order) for one in answers))
            for failure in {a.kind: a for a in answers if isinstance(a, Failure)}.values():
                self._standing.failed(failure, now, orders=True)
        lost = []
        for close, one in zip(step.closes, answers, strict=True):
            leg = self._legs[close.leg]
            leg.in_flight.discard(close.number)
            leg.changed = self._proof.tick
            if isinstance(one, Order):
                self._took(leg, close, one, now)
                continue
            self._blotter.failed(close, one)
            if one.kind == "unknown":
                lost.append(close)
                leg.trouble = one.words
            elif one.kind == "refused":
                leg.refused(close, one, now)
            elif one.kind != "limited":
                leg.wait(now, one.words)
        if lost:
            self._doubts.lost(nonce, expires_at, lost, now)

    def _took(self, leg: Leg, close: Close, order: Order, now: int) -> None:
        """The exchange has a closing order."""
        self._blotter.told(close, order)
        if not order.final:
            self._doubts.rests(close, order, now)
            return
        leg.filled(order.executed)
        if not order.executed:
            leg.unfilled(now)

    def cancelled(self, step: CancelOrders, answer: Sequence[Order | Failure] | Failure, now: int) -> None:
        """Cancels were answered, each in its place, or not at all."""
        answers = [answer] * len(step.order_ids) if isinstance(answer, Failure) else answer
        self._proof.mutated()
        if isinstance(answer, Failure):
            self._standing.failed(answer, now)
        else:
            self._standing.answered()
        moved = False
        for order_id, one in zip(step.order_ids, answers, strict=True):
            moved |= self._orders.answered(order_id, one, self._proof.tick, now)
        if moved:
            # It may have filled before it was cancelled.
            for leg in self._legs.of(step.symbol):
                leg.changed = self._proof.tick

    def fenced(self, step: FenceNonce, answer: FenceAnswer | Failure, now: int) -> None:
        """A noop was answered."""
        if isinstance(answer, Failure):
            self._standing.failed(answer, now)
        never, legs = self._doubts.fenced(step.nonce, answer, now)
        for close in never:
            self._blotter.never_placed(close)
        self._settled(legs)

    def asked(self, step: AskClose, answer: Order | Failure | None, now: int) -> None:
        """A closing order was asked for; None where the exchange does not know it."""
        if isinstance(answer, Failure):
            self._standing.failed(answer, now)
        close = step.close
        known = self._doubts.asked(close, answer, self._begun[step.number], now)
        if isinstance(known, Order):
            self._blotter.told(close, known)
            self._settled({close.leg} if known.final else ())
        elif known is False:
            self._blotter.never_placed(close)
            self._settled({close.leg})

    def clock(self, step: MeasureClock, answer: Failure | None, now: int) -> None:
        """The exchange's time was measured, or not."""
        self._standing.measured(answer, now)

    # What follows

    def _settled(self, legs: Iterable[LegKey]) -> None:
        """What was in doubt of these legs is certain: they are to be read again."""
        touched = [*legs]
        if touched:
            self._proof.mutated()
        for key in touched:
            self._legs[key].changed = self._proof.tick

    def _verified(self) -> None:
        """Count a verification when both readings, begun after the last change, showed nothing."""
        if self._quiet:
            self._proof.read(self._both_told)

    @property
    def _in_flight(self) -> bool:
        return self._orders.cancelling or self._legs.in_flight

    @property
    def _both_told(self) -> int:
        return min(self._legs.reading.told, self._orders.reading.told)

    @property
    def _quiet(self) -> bool:
        """Whether nothing is left, by the last readings."""
        gone = self._orders.known and not self._orders.open and not self._orders.cancelling
        return gone and self._legs.all_flat() and not self._doubts.dangerous

    def _expects_flat(self, now: int) -> bool:
        """Whether the next reading may show nothing: then both kinds are read at once."""
        if self._proof.complete:
            return False
        if not self._legs.known or not self._orders.known or self._orders.open or self._in_flight:
            return False
        return not self._doubts.dangerous and all(
            self._legs.flat(leg) or not (leg.expected or self._doubts.holds(leg.key, now))
            for leg in self._legs
        )

    def _stuck(self, now: int) -> bool:
        """Whether there is nothing left to try, though something is open."""
        if self._final_at is not None or self._in_flight or self._doubts:
            return False
        if not self._legs.known or not self._orders.known:
            return bool(self._standing.barred)
        left = [leg for leg in self._legs if not self._legs.flat(leg)]
        stubborn = [order for order in self._orders.open.values() if self._orders.left_alone(order)]
        wanted = any(True for _ in self._orders.unwanted(self._legs.symbol_flat, self._legs.in_the_way))
        hopeless = bool(self._standing.barred) or all(leg.given_up for leg in left)
        return bool(left or stubborn) and hopeless and not wanted

    def _finish(self, now: int, why: str) -> None:
        if self._final_at is None:
            self._final_at, self._why = now, why
            self._final_since = self._proof.ticked()

    def _look_for_the_end(self, now: int) -> None:
        if self._proof.complete and not self._doubts and not self._in_flight and now >= self._strays_until:
            self._end = "flat"
            return
        if self._final_at is None:
            return
        read = self._both_told >= max(self._final_since, self._proof.changed)
        waits = self._in_flight or self._doubts or self._quiet or not read
        if self._standing.barred and not self._legs.known:
            waits = self._in_flight  # its readings are refused, too
        if not waits or now >= self._final_at + FINAL_MS:
            self._end = "not flat"

    # Small things

    def _in_scope(self, symbol: str) -> bool:
        return not self._symbols or symbol in self._symbols

    def _number(self, now: int) -> int:
        self._numbers += 1
        self._begun[self._numbers] = now
        return self._numbers

    # What to show

    @property
    def ended(self) -> bool:
        """Whether it goes on no more."""
        return self._end is not None

    @property
    def phase(self) -> Phase:
        """What it is at."""
        return self._phase()

    @property
    def verified(self) -> int:
        """How often in a row the exchange said that nothing is open."""
        return self._proof.clean

    def report(self) -> AccountFlat:
        """How far it is."""
        left = [leg for leg in self._legs if leg.quantity]
        return AccountFlat(
            phase=self._phase(),
            positions_known=self._legs.known,
            orders_known=self._orders.known,
            positions_before=len(self._before),
            orders_cancelled=self._orders.cancelled,
            rounds=max((leg.rounds for leg in self._legs), default=0),
            verified=self._proof.clean,
            closes=self._blotter.made,
            remaining=tuple(Remaining(*leg.key, leg.quantity, leg.trouble) for leg in left),
            open_orders=len(self._orders.open),
            orders_left=tuple(self._orders.open.values()),
            errors=self._errors(left),
        )

    def _phase(self) -> Phase:
        if self._end is not None:
            return self._end
        if not self._legs.known and not self._blotter:
            return "reading"
        if any(leg.quantity or leg.in_flight for leg in self._legs):
            return "closing"
        return "cancelling" if self._orders.open or self._orders.cancelling else "verifying"

    def _errors(self, left: list[Leg]) -> tuple[str, ...]:
        if self._end == "flat":
            return ()
        words = [self._standing.barred, self._why]
        # What is wrong with the account is wrong with each of its positions: it is said once, of all of them.
        troubled: dict[str, list[str]] = {}
        for leg in left:
            if leg.trouble:
                troubled.setdefault(leg.trouble, []).append(leg.symbol)
        words += [f"{', '.join(sorted(set(symbols)))}: {why}" for why, symbols in troubled.items()]
        words += [self._orders.trouble] if self._orders.open else []
        words += [self._standing.trouble]
        return tuple(dict.fromkeys(word for word in words if word))

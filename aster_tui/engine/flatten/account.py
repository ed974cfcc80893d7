"""Close-all of one account: the machine of the domain, carried out over connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from aster_tui.aster.errors import (
    AnswerError,
    AsterError,
    InvalidOrder,
    MalformedAnswer,
    OutcomeUnknown,
    RateLimited,
    Unreachable,
)
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.trader import PreparedBatch, PreparedOrder, Trader
from aster_tui.domain.client_ids import client_order_id
from aster_tui.domain.flatten.machine import Flatten
from aster_tui.domain.flatten.report import AccountReport
from aster_tui.domain.flatten.steps import (
    NEVER_PLACED,
    AccountFlat,
    AskClose,
    CancelOrders,
    Close,
    CloseAnswer,
    Failure,
    FenceNonce,
    MeasureClock,
    ReadOrders,
    ReadPositions,
    SendCloses,
    Step,
    Stray,
)
from aster_tui.domain.incident import TraceLine
from aster_tui.domain.lifecycle import Kind, OrderRecord, told_of
from aster_tui.domain.outcomes import GRACE_MS
from aster_tui.domain.symbols import SymbolRules, plain
from aster_tui.domain.trading import Order, Position
from aster_tui.engine.clock import clock_ms, now_ms
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.engine.flatten.targets import Target
from aster_tui.engine.trade.intents import OrderFor, intended

log = structlog.get_logger(__name__)

NO_SUCH_ORDER, ONLY_REDUCES = -2013, -4087
#: "Flat" waits at most this long for the journal's word of what other processes have under way.
STRAYS_MS = 1_500
#: Weight of reading the open orders of all symbols.
ALL_ORDERS_WEIGHT = 40
#: How long nothing is sent after the exchange's firewall refused something.
FIREWALL_MS = 2_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What all accounts of a close-all are given; ``patience_ms`` is how much later than the deadline one may
    end because the exchange wanted nothing sent for a while."""

    run_id: str
    deadline: int
    patience_ms: int
    symbols: frozenset[str]
    thorough: bool


class AccountRun:
    """Flattens one account.

    Args:
        client: an emergency client of this account, with no filters of its own: the exchange decides what
            closes. It is closed at the end.
        may_read_all: whether so much request weight may be spent on reading open orders now.
        on_change: called after everything that changed.
        trace: told each step with its answer.
    """

    def __init__(
        self,
        target: Target,
        client: Trader,
        terms: Terms,
        book: FlattenBook,
        rules: Mapping[str, SymbolRules] | None,
        *,
        began: int,
        may_read_all: Callable[[], bool],
        on_change: Callable[[], None],
        trace: Callable[[TraceLine], None],
    ) -> None:
        self.target, self._client, self._terms, self._book = target, client, terms, book
        self._may_read_all, self._on_change, self._trace = may_read_all, on_change, trace
        self._began = began
        self._machine = Flatten(
            clock_ms(),
            deadline=terms.deadline,
            symbols=terms.symbols,
            rules=rules,
            thorough=terms.thorough,
            hints=target.hints,
            strays_within_ms=STRAYS_MS,
            patience_ms=terms.patience_ms,
        )
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids: dict[int, str] = {}
        self._sent: dict[int, tuple[int, int]] = {}
        self._reached = self._over = False
        self._marks: dict[str, int] = {"keys": clock_ms() - began}
        self.verified_at: int | None = None

    @property
    def closed(self) -> bool:
        """Whether nothing of it is open any more, as far as the exchange told."""
        return self._machine.phase in ("cancelling", "verifying", "flat", "not flat")

    def learned(self, rules: Mapping[str, SymbolRules]) -> None:
        """The symbols' filters are known."""
        self._machine.learned(rules)
        self._wake.set()

    def strays(self, records: Sequence[tuple[OrderRecord, bool]]) -> None:
        """What the journal knows to be without an end, each with whether its process is gone."""
        mine = [
            stray
            for record, gone in records
            if record.account.lower() == self.target.key and (gone or record.purpose != "flatten")
            if (stray := self._stray(record)) is not None
        ]
        self._machine.strays(mine, clock_ms())
        self._wake.set()

    def stop(self, why: str) -> None:
        """Send nothing new; read what is left, and end."""
        self._machine.stop(clock_ms(), why)
        self._wake.set()

    def report(self) -> AccountReport:
        """How far it is."""
        return AccountReport(
            account=self.target.account,
            agents=self.target.names,
            state=self._machine.report(),
            client_ids=self._ids,
            reached=self._reached,
            marks=dict(self._marks),
            verified_at=self.verified_at,
        )

    async def run(self) -> None:
        """Until it is flat, or cannot be."""
        try:
            while True:
                now = clock_ms()
                for step in self._machine.next(now):
                    task = asyncio.create_task(self._carry(step))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                self._mark()
                if self._machine.ended:
                    return
                self._wake.clear()
                wait = max(1, self._machine.wakes(now) - now) / 1000
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            self._over = True
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._client.aclose()
            for made in self._machine.report().closes:
                if made.status == NEVER_PLACED:
                    name = self._ids[made.close.number]
                    self._book.note(name, "resolved", now_ms(), {"word": "never-placed"})

    # Steps

    async def _carry(self, step: Step) -> None:
        """Do one step and tell the machine what came of it, whatever that is."""
        at, began = now_ms(), clock_ms()
        try:
            request, answer = await self._do(step)
        except (Exception, asyncio.CancelledError) as error:
            # A bug in one step must not end the close-all of the account, nor leave it waiting.
            if self._over:
                words = "not answered by the end"
                self._trace(
                    TraceLine(at, self.target.account, described(step, self._ids), words, clock_ms() - began)
                )
                raise
            log.exception("a step of a close-all broke", step=type(step).__name__)
            changes = isinstance(step, SendCloses | CancelOrders | FenceNonce)
            words = f"something unexpected: {type(error).__name__}: {error}"
            request, answer = described(step), Failure("unknown" if changes else "unsent", words)
            self._tell(step, answer)
        self._trace(TraceLine(at, self.target.account, request, answered(answer), clock_ms() - began))
        self._wake.set()
        self._on_change()

    async def _do(self, step: Step) -> tuple[str, Any]:
        answer: Any
        if isinstance(step, SendCloses):
            return await self._send(step)
        if isinstance(step, ReadPositions):
            answer = await self._asked(self._client.positions(), changes=False)
        elif isinstance(step, ReadOrders):
            answer = await self._read_orders(step)
        elif isinstance(step, CancelOrders):
            answer = await self._cancel(step)
        elif isinstance(step, FenceNonce):
            answer = await self._asked(self._client.fence(step.nonce), changes=True)
            answer = Failure("unknown", "the fence was not answered") if answer == "lost" else answer
        elif isinstance(step, AskClose):
            answer = await self._asked(
                self._client.order(step.close.symbol, client_order_id=self._ids[step.close.number]),
                changes=False,
            )
            if isinstance(answer, Failure) and answer.code == NO_SUCH_ORDER:
                answer = None
        else:
            answer = await self._asked(self._client.measure_clock(), changes=False)
        self._tell(step, answer)
        return described(step, self._ids), answer

    def _tell(self, step: Step, answer: Any) -> None:
        machine, now = self._machine, clock_ms()
        if not isinstance(answer, Failure) or answer.kind in ("refused", "limited", "clock", "key"):
            self._reached = True
        if isinstance(step, SendCloses):
            nonce, expires_at = self._sent.get(step.number, (0, 0))
            machine.closed(step, answer, now, nonce=nonce, expires_at=expires_at)
        elif isinstance(step, ReadPositions):
            machine.positions(step, answer, now)
        elif isinstance(step, ReadOrders):
            machine.orders(step, answer, now)
        elif isinstance(step, CancelOrders):
            machine.cancelled(step, answer, now)
        elif isinstance(step, FenceNonce):
            machine.fenced(step, answer, now)
        elif isinstance(step, AskClose):
            machine.asked(step, answer, now)
            if isinstance(answer, Order) or answer is None:
                self._note_resolved(step.close, answer)
        elif isinstance(step, MeasureClock):
            machine.clock(step, answer if isinstance(answer, Failure) else None, now)

    async def _asked(self, asking: Awaitable[Any], *, changes: bool) -> Any:
        """What was answered, or the failure that stood for it."""
        try:
            return await asking
        except AsterError as error:
            return failure(error, changes=changes)

    async def _read_orders(self, step: ReadOrders) -> Any:
        if not step.symbols:
            if not self._may_read_all():
                return Failure("unsent", "kept back: the request weight is for closing", retry_ms=250)
            return await self._asked(self._client.open_orders(), changes=False)
        reads = await asyncio.gather(
            *(self._asked(self._client.open_orders(symbol), changes=False) for symbol in step.symbols)
        )
        failed = next((rows for rows in reads if isinstance(rows, Failure)), None)
        return failed or [order for rows in reads for order in rows]

    async def _cancel(self, step: CancelOrders) -> Any:
        if len(step.order_ids) == 1:
            (order_id,) = step.order_ids
            one = await self._asked(self._client.cancel_order(step.symbol, order_id=order_id), changes=True)
            return one if isinstance(one, Failure) and one.kind != "refused" else [one]
        answer = await self._asked(
            self._client.cancel_batch(step.symbol, order_ids=step.order_ids), changes=True
        )
        return answer if isinstance(answer, Failure) else each(answer)

    # Closing orders

    async def _send(self, step: SendCloses) -> tuple[str, Any]:
        requests = [self._request(close) for close in step.closes]
        now = clock_ms()
        try:
            prepared: PreparedOrder | PreparedBatch
            if len(requests) == 1:
                prepared = self._client.prepare_order(requests[0])
            else:
                prepared = self._client.prepare_batch(requests)
        except AsterError as error:
            answer: Any = failure(error, changes=True)
            self._tell(step, answer)
            return described(step, self._ids), answer
        self._sent[step.number] = prepared.nonce, now + self._expires_in(prepared.nonce)
        await self._book.intend(
            [self._record(r, c, prepared.nonce) for r, c in zip(requests, step.closes, strict=True)]
        )
        if isinstance(prepared, PreparedOrder):
            one = await self._asked(self._client.send_order(prepared), changes=True)
            whole = isinstance(one, Failure) and one.kind != "refused"
            answer = one if whole else [one]
        else:
            answer = await self._asked(self._client.send_batch(prepared), changes=True)
            answer = answer if isinstance(answer, Failure) else each(answer)
        self._tell(step, answer)
        answers = [answer] * len(requests) if isinstance(answer, Failure) else answer
        for close, told in zip(step.closes, answers, strict=True):
            self._note(close, told)
        return f"{described(step, self._ids)} nonce {prepared.nonce}", answer

    def _request(self, close: Close) -> OrderRequest:
        agent_id = self.target.agents[0].agent_id if self.target.agents else self.target.key
        seed = f"{self._terms.run_id}/{self.target.key}/{close.number}"
        name = self._ids[close.number] = client_order_id(agent_id, "flatten", 0, seed)
        return OrderRequest(
            close.symbol,
            close.side,
            close.order_type,
            name,
            quantity=close.quantity,
            price=close.price,
            time_in_force=None if close.price is None else "IOC",
            reduce_only=close.reduce_only,
            position_side=close.position_side,
        )

    def _record(self, request: OrderRequest, close: Close, nonce: int) -> OrderRecord:
        agents = self.target.agents
        whose = OrderFor(
            account=self.target.account,
            agent_id=agents[0].agent_id if agents else self.target.key,
            agent=agents[0].name if agents else self.target.account,
            purpose="flatten",
            decision_id=self._terms.run_id,
            mark_price=close.mark or None,
        )
        return intended(PreparedOrder(request, nonce, ""), whose)

    def _note(self, close: Close, told: CloseAnswer) -> None:
        if isinstance(told, Order):
            self._book.note(self._ids[close.number], "answered", now_ms(), told_of(told))
            return
        kinds: dict[str, Kind] = {"unknown": "unknown", "unsent": "unsent"}
        data = {"code": str(told.code or ""), "message": told.words}
        self._book.note(self._ids[close.number], kinds.get(told.kind, "refused"), now_ms(), data)

    def _note_resolved(self, close: Close, order: Order | None) -> None:
        """An order was asked for: what the exchange knows of it is certain."""
        if order is not None:
            self._book.note(self._ids[close.number], "resolved", now_ms(), told_of(order))

    # Small things

    def _expires_in(self, nonce: int) -> int:
        """For how long, ms, a request with this nonce can still be taken."""
        server_now = now_ms() + self._client.clock_offset_ms
        ahead = nonce // 1000 - server_now
        return ahead + self._client.venue.nonce_window_s * 1000 + GRACE_MS

    def _stray(self, record: OrderRecord) -> Stray | None:
        left = self._expires_in(record.nonce)
        if left <= 0:
            return None
        leg = (record.symbol, record.position_side) if record.reduce_only else None
        return Stray(record.nonce, clock_ms() + left, leg)

    def _mark(self) -> None:
        """Note when it came through each step; the last time counts where it went back."""
        phase, at = self._machine.phase, clock_ms() - self._began
        if phase == "reading":
            return
        self._marks.setdefault("read", at)
        through = {"closing": 0, "cancelling": 1, "verifying": 2, "flat": 2, "not flat": 0}[phase]
        for name in ("close", "cancel")[through:]:
            self._marks.pop(name, None)
        for name in ("close", "cancel")[:through]:
            self._marks.setdefault(name, at)
        if self._machine.verified >= 1:
            self._marks.setdefault("verify", at)
        else:
            self._marks.pop("verify", None)
        if phase == "flat":
            self._marks["prove"] = at
            self.verified_at = now_ms() + self._client.clock_offset_ms


def nothing_done(target: Target, problem: str) -> AccountReport:
    """The report of an account that cannot be used at all."""
    return AccountReport(target.account, target.names, AccountFlat("not flat"), problem=problem)


def each(answers: Sequence[Order | AnswerError]) -> list[Order | Failure]:
    """The answers of a batch, in the domain's words."""
    return [a if isinstance(a, Order) else failure(a, changes=True) for a in answers]


def failure(error: AsterError, *, changes: bool) -> Failure:
    """What an error means for a close-all. ``changes``: whether the request could change something."""
    words = f"{error.message} ({error.code})" if error.code else error.message
    if isinstance(error, RateLimited):
        return Failure("limited", words, error.number, int(error.retry_after_s * 1000))
    if isinstance(error, OutcomeUnknown):
        return Failure("unknown", words)
    if isinstance(error, Unreachable):
        return Failure("unsent", words)
    if isinstance(error, InvalidOrder):
        return Failure("refused", words)
    if isinstance(error, AnswerError) and error.status == 403 and not error.number:
        # The firewall, not the exchange: it passed nothing on, and wants less for a while.
        return Failure("limited", words, 0, FIREWALL_MS)
    if isinstance(error, AnswerError):
        kind = error.meaning.kind
        if error.number == ONLY_REDUCES:
            # That is all that is done here: it says nothing of the key.
            return Failure("refused", words, error.number)
        if kind in ("key", "clock"):
            return Failure("key" if kind == "key" else "clock", words, error.number)
        if kind in ("rejected", "already"):
            return Failure("refused", words, error.number)
        # An answer nobody here can read proves nothing.
        return Failure("unknown" if changes else "unsent", words, error.number)
    if isinstance(error, MalformedAnswer) and changes:
        return Failure("unknown", words)
    return Failure("unsent", words)


def described(step: Step, ids: Mapping[int, str] | None = None) -> str:
    """A step in one line."""
    if isinstance(step, SendCloses):
        return f"close {', '.join(_close(close, ids or {}) for close in step.closes)}"
    if isinstance(step, ReadPositions):
        return "read positions"
    if isinstance(step, ReadOrders):
        return f"read open orders of {', '.join(step.symbols) or 'all symbols'}"
    if isinstance(step, CancelOrders):
        return f"cancel {step.symbol} {', '.join(str(n) for n in step.order_ids)}"
    if isinstance(step, FenceNonce):
        return f"fence nonce {step.nonce}"
    if isinstance(step, AskClose):
        return f"ask for {_close(step.close, ids or {})}"
    return "measure the clock"


def _close(close: Close, ids: Mapping[int, str]) -> str:
    price = "" if close.price is None else f" at {plain(close.price)}"
    side = "" if close.position_side == "BOTH" else f" {close.position_side}"
    name = ids.get(close.number, "")
    flag = " reduce-only" if close.reduce_only else ""
    words = (
        f"{close.symbol}{side} {close.side} {plain(close.quantity)} {close.order_type}{price}{flag} {name}"
    )
    return words.strip()


def answered(answer: Any) -> str:
    """An answer in one line."""
    if answer is None:
        return "no such order"
    if isinstance(answer, Failure):
        return f"{answer.kind}: {answer.words}"
    if isinstance(answer, Order):
        filled = f" {plain(answer.executed)} at {plain(answer.average_price)}" if answer.executed else ""
        return f"{answer.symbol} {answer.order_id} {answer.status}{filled}"
    if isinstance(answer, Position):
        side = "" if answer.position_side == "BOTH" else f" {answer.position_side}"
        return f"{answer.symbol}{side} {plain(answer.quantity)}"
    if isinstance(answer, list | tuple):
        return "; ".join(answered(one) for one in answer) or "nothing"
    return str(answer)

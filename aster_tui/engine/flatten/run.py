"""Close-all: every account at once, each over its own connections, until the exchange says that it is flat.

The same run serves the console, the command line and the drills. It needs no database and no screen; it goes
on when whoever asked for it is gone, and ends by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

import structlog

from aster_tui.aster.errors import AsterError
from aster_tui.aster.gate import Priority
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.rest import Observer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.flatten.report import AccountReport, FlattenReport
from aster_tui.domain.incident import TraceLine
from aster_tui.domain.symbols import SymbolRules
from aster_tui.engine.apart import on_a_thread
from aster_tui.engine.clock import clock_ms, now_ms
from aster_tui.engine.flatten.account import ALL_ORDERS_WEIGHT, AccountRun, Terms, nothing_done
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.engine.flatten.targets import Target
from aster_tui.engine.key_sources import KeyProblem

log = structlog.get_logger(__name__)

DEADLINE_SECONDS = 60.0
#: A request that is not answered by then is given up: in an emergency a second look is better than a wait.
REQUEST_SECONDS = 3.0
#: How long the halt of this machine is waited for before what others have under way is looked up.
HALT_SECONDS = 0.5
#: A ban is two minutes at the least: it is waited for. A longer one is said at once.
LIMITED_PATIENCE_MS = 150_000
#: A key that comes this long after the deadline still serves to name what is left.
KEY_SECONDS = 2.0
PROGRESS_SECONDS = 0.1
RULES_RETRY_SECONDS = 0.3
#: Request weight of one account, at the most and at the least, on its way to flat.
THOROUGH_WEIGHT, SPARING_WEIGHT = 143, 110
#: Request weight kept for each account that is still open: its closes and what they must be read by.
KEPT_WEIGHT = 20
MINUTE_WEIGHT = 2_400

#: The answer, in the incident report, of what had none when everything else was over.
NOT_ANSWERED = "not answered by the end"

#: What stands for the accounts that are not known yet, among the accounts.
_MORE = ""

#: Stops new risk; it tells in words, as it goes, how far it got.
Halt = Callable[[Callable[[str], None]], Awaitable[None]]


class FlattenRun:
    """One close-all.

    Args:
        nonces: made with ``insists``, and with the clock's offset where it is known.
        targets: the accounts; more may be added while it runs.
        symbols: the only symbols to close; empty for all.
        deadline_s: when to give up; None for :data:`DEADLINE_SECONDS`, a minute more for each time the
            accounts need more request weight than a minute has, and as much more as the exchange wants
            nothing sent, up to :data:`LIMITED_PATIENCE_MS`.
        rules: the symbols' filters where they are known; otherwise they are read beside the rest.
        halt: stops new risk. It is begun first and never waited for before closing.
        on_progress: told the report every :data:`PROGRESS_SECONDS` while it changes, and at the end.
    """

    def __init__(
        self,
        venue: Venue,
        nonces: NonceSource,
        targets: Iterable[Target],
        *,
        symbols: frozenset[str] = frozenset(),
        deadline_s: float | None = None,
        rules: Mapping[str, SymbolRules] | None = None,
        book: FlattenBook | None = None,
        halt: Halt | None = None,
        on_progress: Callable[[FlattenReport], None] | None = None,
    ) -> None:
        self._venue, self._nonces, self._rules = venue, nonces, rules
        self._targets = {target.key: target for target in targets}
        self._symbols = symbols
        self._book = book or FlattenBook(None)
        self._halt = halt
        self._on_progress = on_progress or (lambda report: None)
        self.run_id = secrets.token_hex(6)
        self.trace: list[TraceLine] = []
        self._began, self._began_at = clock_ms(), now_ms()
        count = max(1, len(self._targets))
        minutes = 0 if deadline_s is not None else count * SPARING_WEIGHT // MINUTE_WEIGHT
        seconds = (deadline_s if deadline_s is not None else DEADLINE_SECONDS) + 60 * minutes
        patience_ms = LIMITED_PATIENCE_MS if deadline_s is None else 0
        deadline = self._began + int(seconds * 1000)
        self._terms = Terms(self.run_id, deadline, patience_ms, symbols, thorough=True)
        self._runs: dict[str, AccountRun] = {}
        self._ended: dict[str, AccountReport] = {}
        self._verified: list[int] = []
        self._strays: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._public: Observer | None = None
        self._halt_words = ""
        self._risk_stopped = asyncio.Event()
        self._notes: list[str] = []
        self._stopped = ""
        self._opening: set[asyncio.Future[Wallet]] = set()
        self._dirty = True
        self._finished = False
        self._elapsed_ms = 0
        self._ended_at = self._began

    # From outside, on the loop it runs on

    def add(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Close these accounts, too; those that were not in it already."""
        fresh = tuple(t for t in targets if t.key not in self._targets)
        for target in fresh:
            self._targets[target.key] = target
            if self._public is not None and not self._finished:
                self._start(target)
        return fresh

    def note(self, words: str) -> None:
        """Something the report is to say."""
        self._notes.append(words)
        self._dirty = True

    def stop(self, why: str) -> None:
        """Send nothing new any more; what is left is read once more and named."""
        self._stopped = why
        self._write_down("send nothing more", why, clock_ms())
        for run in self._runs.values():
            run.stop(why)
        for opening in self._opening:
            if not opening.done():
                opening.set_exception(KeyProblem(f"{why} before its key was found"))

    def report(self) -> FlattenReport:
        """How far it is."""
        accounts = []
        for key, target in self._targets.items():
            run = self._runs.get(key)
            known = self._ended.get(key) or (run.report() if run is not None else None)
            accounts.append(known or nothing_done(target, ""))
        return FlattenReport(
            accounts=tuple(accounts),
            began_at=self._began_at,
            elapsed_ms=self._elapsed_ms or clock_ms() - self._began,
            ended=self._finished,
            verified_at=max(self._verified, default=None),
            symbols=tuple(sorted(self._symbols)),
            halt=self._halt_words,
            journal=self._book.trouble,
            notes=tuple(self._notes),
        )

    async def run(self, more: Awaitable[Iterable[Target]] | None = None) -> FlattenReport:
        """Flatten; the report at the end. It raises nothing: what goes wrong is in the report.

        Args:
            more: accounts that become known meanwhile; it must end in its own time and raise nothing.
        """
        self._book.start()
        self._public = Observer(
            self._venue, nonces=self._nonces, timeout_s=REQUEST_SECONDS, priority=Priority.EMERGENCY
        )
        needed = len(self._targets) * THOROUGH_WEIGHT
        self._terms = replace(self._terms, thorough=needed <= self._public.weight_left)
        beside = [asyncio.create_task(part()) for part in (self._stop_risk, self._read_rules, self._tell)]
        self._strays = asyncio.create_task(self._find_strays())
        try:
            for target in [*self._targets.values()]:
                self._start(target)
            if more is not None:
                self._tasks[_MORE] = asyncio.create_task(self._add_later(more))
            while waiting := [task for task in self._tasks.values() if not task.done()]:
                await asyncio.wait(waiting)
            self._elapsed_ms = self._ended_at - self._began
            self._on_progress(self.report())
        finally:
            for task in (*beside[1:], self._strays):
                task.cancel()
            await asyncio.wait({*beside[1:], self._strays})
            await self._public.aclose()
            await self._book.close()
            await self._await_halt(beside[0])
        self._finished = True
        report = self.report()
        self._on_progress(report)
        return report

    # Beside the accounts

    async def _stop_risk(self) -> None:
        if self._halt is None:
            return
        try:
            await self._halt(self._halted)
        except Exception as error:  # a halt that fails must not touch the close
            log.exception("the halt of a close-all broke")
            so_far = f"{self._halt_words}; " if self._halt_words else ""
            self._halted(f"{so_far}NOT halted any further: {type(error).__name__}: {error}")

    def _halted(self, words: str) -> None:
        self._write_down("halt new risk", words, self._began)
        self._halt_words, self._dirty = words, True
        self._risk_stopped.set()

    async def _await_halt(self, task: asyncio.Task[None]) -> None:
        """The halt has had all the time of the close; a little more, and what it told so far stands."""
        await asyncio.wait({task}, timeout=REQUEST_SECONDS)
        if not task.done():
            if self._halt is not None and not self._halt_words:
                self._halted("it is not known whether anybody was halted")
            task.cancel()
            await asyncio.wait({task})

    def _write_down(self, request: str, answer: str, began: int, account: str = "") -> None:
        """A line of the incident report: ``began`` by the clock that never goes back."""
        at = self._began_at + began - self._began
        self.trace.append(TraceLine(at, account, request, answer, clock_ms() - began))

    @contextmanager
    def _beside(self, request: str) -> Iterator[Callable[[str], None]]:
        """A step that is a line of the incident report however it ends; gives what takes its answer."""
        began, answer = clock_ms(), NOT_ANSWERED

        def say(words: str) -> None:
            nonlocal answer
            answer = words

        try:
            yield say
        except Exception as error:
            say(f"something unexpected: {type(error).__name__}: {error}")
            raise
        finally:
            self._write_down(request, answer, began)

    async def _read_rules(self) -> None:
        """The exchange's time and the symbols' filters, beside the first readings."""
        await asyncio.gather(self._measure_clock(), self._learn())

    async def _measure_clock(self) -> None:
        if self._public is not None:
            with self._beside("measure the exchange's clock") as say:
                try:
                    clock = await self._public.measure_clock()
                except AsterError as error:
                    log.warning("the clock was not measured", error=error.message)
                    say(error.message)
                else:
                    say(f"{clock.offset_ms:+} ms from ours")

    async def _learn(self) -> None:
        while self._rules is None and self._public is not None:
            with self._beside("read the symbols' filters") as say:
                try:
                    self._rules = (await self._public.exchange_info()).rules
                except AsterError as error:
                    log.warning("the filters were not read", error=error.message)
                    say(error.message)
                else:
                    say(f"{len(self._rules)} symbols")
            if self._rules is None:
                await asyncio.sleep(RULES_RETRY_SECONDS)
        for run in self._runs.values():
            run.learned(self._rules or {})

    async def _find_strays(self) -> None:
        with self._beside("look up what this machine has under way") as say:
            try:
                # Others ask whether they are halted after they wrote an order down, so what is read after the
                # halt was set is all there is.
                if self._halt is not None:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(HALT_SECONDS):
                            await self._risk_stopped.wait()
                self._found = await self._book.unresolved()
            except asyncio.CancelledError:
                self.note("whether this machine had other orders under way was not found out in time")
                raise
            others = [r.client_order_id for r, _ in self._found if r.decision_id != self.run_id]
            say(", ".join(others) or self._book.trouble or "nothing")
        for run in self._runs.values():
            run.strays(self._found)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if self._dirty:
                self._dirty = False
                self._on_progress(self.report())

    # Accounts

    async def _add_later(self, more: Awaitable[Iterable[Target]]) -> None:
        try:
            self.add(await more)
        except Exception as error:  # what is known already is closed all the same, and proved
            log.exception("the accounts that become known later did not")
            self.note(f"accounts may be missing in this: {type(error).__name__}: {error}")

    def _start(self, target: Target) -> None:
        self._tasks[target.key] = asyncio.create_task(self._flatten(target))

    async def _flatten(self, target: Target) -> None:
        began = clock_ms()
        try:
            wallet = await self._open(target)
        except KeyProblem as problem:
            self._write_down("find its key", str(problem), began, target.account)
            self._ended[target.key] = nothing_done(target, str(problem))
            self._dirty = True
            return
        client = Trader(
            self._venue,
            wallet,
            nonces=self._nonces,
            timeout_s=REQUEST_SECONDS,
            priority=Priority.EMERGENCY,
            read_tries=1,  # what to do without an answer is the machine's to say
        )
        run = self._runs[target.key] = AccountRun(
            target,
            client,
            self._terms,
            self._book,
            self._rules,
            began=self._began,
            may_read_all=self._may_read_all,
            on_change=self._changed,
            trace=self.trace.append,
        )
        if self._strays is not None and self._strays.done() and not self._strays.cancelled():
            run.strays(self._found)
        if self._stopped:
            run.stop(self._stopped)
        try:
            await run.run()
        except Exception as error:  # one account must not take the others down
            log.exception("the close-all of an account broke")
            words = f"something unexpected: {type(error).__name__}: {error}"
            self._ended[target.key] = replace(run.report(), problem=words, reached=True)
        else:
            self._ended[target.key] = run.report()
        if run.verified_at is not None:
            self._verified.append(run.verified_at)
        # The second verification is the end; closing connections after it is not counted.
        proved = self._ended[target.key].marks.get("prove")
        ended_at = clock_ms() if proved is None else self._began + proved
        self._ended_at = max(self._ended_at, ended_at)
        self._changed()

    async def _open(self, target: Target) -> Wallet:
        """The wallet of an account, until a little after the deadline: a keystore, a command or a keyring may
        take their time, or for ever.

        Raises:
            KeyProblem: there is none, in words.
        """
        opening: asyncio.Future[Wallet] = asyncio.get_running_loop().create_future()
        self._opening.add(opening)
        try:
            if not target.slow:
                return target.open_wallet()
            on_a_thread(target.open_wallet, opening)
            left = max(0, self._terms.deadline - clock_ms()) / 1000
            async with asyncio.timeout(left + KEY_SECONDS):
                return await opening
        except TimeoutError:
            raise KeyProblem("its key was not found by the deadline: what keeps it does not answer") from None
        except KeyProblem:
            raise
        except Exception as error:  # its text may hold what must not be shown
            log.exception("the wallet of an account was not opened")
            raise KeyProblem(f"its key cannot be read: {type(error).__name__}") from None
        finally:
            self._opening.discard(opening)

    def _changed(self) -> None:
        self._dirty = True

    def _may_read_all(self) -> bool:
        """Reading all open orders costs much: what closing needs of this minute is kept back. When there is
        nothing left to close it is tried, and the venue says if it has had enough."""
        runs = [self._runs.get(key) for key in self._targets if key not in self._ended]
        still_open = sum(1 for run in runs if run is None or not run.closed)
        if self._public is None or not still_open:
            return True
        return self._public.weight_left - ALL_ORDERS_WEIGHT >= KEPT_WEIGHT * still_open

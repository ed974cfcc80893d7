"""Holds dead-man timers at the venue: should this process die, hang or lose the network, the venue cancels
the open orders of the symbols, protective ones too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from aster_tui.aster.errors import AsterError, OutcomeUnknown
from aster_tui.aster.trader import Trader
from aster_tui.domain.deadman import LEAST_SECONDS, MOST_SECONDS, Timer, weight_a_minute, would_cancel
from aster_tui.domain.trading import Order, account_key
from aster_tui.engine.clock import clock_ms

#: At most this part of a minute's request weight goes into heartbeats.
MOST_OF_WEIGHT = 0.25
MINUTE_WEIGHT = 2_400
GONE = "the account cannot be used here any more"


class NotArmed(Exception):
    """Why a timer was not armed; nothing was changed at the venue. For people."""


@dataclass(frozen=True, slots=True)
class Armed:
    """What arming did: ``failed`` holds why by symbol; should the others run down, ``protective`` and
    ``others`` are cancelled."""

    symbols: tuple[str, ...]
    failed: Mapping[str, str]
    protective: tuple[Order, ...]
    others: tuple[Order, ...]


class DeadMan:
    """The timers of this process. Lives on the engine's loop.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
        on_change: told when timers were armed, disarmed, failed or recovered.
        on_problem: told, in words, what an operator must know, with the account.
    """

    def __init__(
        self,
        client_of: Callable[[str], Trader | None],
        on_change: Callable[[], None],
        on_problem: Callable[[str, str], None],
    ) -> None:
        self._client_of, self._on_change, self._on_problem = client_of, on_change, on_problem
        self._timers: dict[tuple[str, str], Timer] = {}
        self._ran_down: set[tuple[str, str]] = set()
        #: One word at a time to the venue of each timer: a late "go on" must not follow a "stop".
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._wake = asyncio.Event()

    @property
    def ending(self) -> tuple[tuple[str, str], ...]:
        """The timers that are being stopped and that the venue may still have, by account and symbol."""
        return tuple(key for key, timer in self._timers.items() if timer.ending)

    @property
    def lost(self) -> tuple[tuple[str, str], ...]:
        """The timers that are not held any more, though nobody stopped them, by account and symbol: the
        account cannot be used here, or the venue did not take it until it ran down. They are held again as
        soon as that can be."""
        return tuple(
            key
            for key, timer in self._timers.items()
            if not timer.ending and (timer.words == GONE or key in self._ran_down)
        )

    @property
    def state(self) -> Mapping[tuple[str, str], Timer]:
        """Every timer by account and symbol."""
        return dict(self._timers)

    async def arm(self, account: str, symbols: Iterable[str], seconds: int) -> Armed:
        """Arm timers, at the venue too when this returns.

        Raises:
            NotArmed: it cannot be.
        """
        key, chosen = account_key(account), tuple(sorted(set(symbols)))
        client = self._client_of(account)
        if client is None:
            raise NotArmed("this account cannot be traded on from here now")
        if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            raise NotArmed(f"a dead-man timer is from {LEAST_SECONDS} to {MOST_SECONDS} seconds")
        if not chosen:
            raise NotArmed("no symbol was named")
        others = sum(weight_a_minute(t.seconds, 1) for k, t in self._timers.items() if k[0] != key)
        weight = others + weight_a_minute(seconds, len(chosen))
        if weight > MOST_OF_WEIGHT * MINUTE_WEIGHT:
            raise NotArmed(
                f"its heartbeats would take {weight} of {MINUTE_WEIGHT} request weight a minute: "
                "choose fewer symbols or a longer time"
            )
        try:
            orders = await client.open_orders()
        except AsterError as error:
            raise NotArmed(f"what it would cancel cannot be read: {error.message}") from None
        protective, rest = would_cancel(orders, chosen)
        failed: dict[str, str] = {}
        for words, symbol in await asyncio.gather(*(self._begin(client, key, s, seconds) for s in chosen)):
            if words:
                failed[symbol] = words
        self._changed()
        return Armed(tuple(s for s in chosen if s not in failed), failed, tuple(protective), tuple(rest))

    async def disarm(self, account: str | None = None, symbols: Iterable[str] = ()) -> Mapping[str, str]:
        """Stop timers, of an account or all, of symbols or all; why by symbol where the venue did not take it
        yet: those are tried again until it does."""
        key, chosen = account_key(account) if account is not None else None, set(symbols)
        ending = [
            timer
            for timer in self._timers.values()
            if key in (None, timer.account) and (not chosen or timer.symbol in chosen)
        ]
        for timer in ending:
            self._timers[timer.key] = replace(timer, ending=True)
        await asyncio.gather(*(self._beat(timer.key) for timer in ending))
        self._changed()
        return {t.symbol: self._timers[t.key].words for t in ending if t.key in self._timers}

    async def run(self) -> None:
        """Until cancelled: set each timer again long before it runs down."""
        while True:
            now = clock_ms()
            due = [timer.key for timer in self._timers.values() if timer.next_at <= now]
            if due:
                await asyncio.gather(*(self._beat(key) for key in due))
            self._look()
            self._wake.clear()
            next_at = min((timer.next_at for timer in self._timers.values()), default=None)
            wait = None if next_at is None else max(0.01, (next_at - clock_ms()) / 1000)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def close(self, patience_s: float) -> None:
        """Stop all timers before this process ends; what the venue did not take is said."""
        try:
            async with asyncio.timeout(patience_s):
                left = await self.disarm()
        except TimeoutError:
            left = {timer.symbol: "no answer" for timer in self._timers.values()}
        for symbol, words in left.items():
            self._on_problem("", f"dead-man timer of {symbol} was not stopped ({words}): it runs down")

    async def _begin(self, client: Trader, account: str, symbol: str, seconds: int) -> tuple[str, str]:
        async with self._turn((account, symbol)):
            at, words = clock_ms(), ""
            try:
                await client.set_countdown(symbol, seconds * 1000)
            except OutcomeUnknown as error:
                words = error.message  # it may run: it is held, or stopped, as if it did
            except AsterError as error:
                return error.message, symbol
            self._timers[account, symbol] = Timer(account, symbol, seconds, at, at, words)
        return "", symbol

    async def _beat(self, key: tuple[str, str]) -> None:
        async with self._turn(key):
            timer, at = self._timers.get(key), clock_ms()
            if timer is None:
                return
            words = await self._send(timer)
            if not timer.ending and words != GONE:
                timer = timer.sent(at)
            if timer.ending and not words:
                self._end(key)
                return
            if words and not timer.words:
                left = max(0, (timer.runs_down_at - clock_ms()) // 1000)
                consequence = f"its orders are cancelled in {left} s unless the venue takes it"
                self._on_problem(timer.account, f"dead-man timer of {timer.symbol}: {words}: {consequence}")
            # It may have been asked to end meanwhile.
            ending = self._timers[key].ending
            self._timers[key] = replace(timer.failed(at, words) if words else timer.taken(at), ending=ending)
            if not words:
                self._ran_down.discard(key)
        if bool(words) != bool(timer.words) or (words == GONE) != (timer.words == GONE):
            self._changed()

    async def _send(self, timer: Timer) -> str:
        """Set it at the venue, or stop it; why not, empty when the venue took it."""
        client = self._client_of(timer.account)
        if client is None:
            return GONE
        try:
            await client.set_countdown(timer.symbol, 0 if timer.ending else timer.seconds * 1000)
        except AsterError as error:
            return error.message
        return ""

    def _end(self, key: tuple[str, str]) -> None:
        """It is not held any more, and not shown."""
        del self._timers[key]
        self._ran_down.discard(key)
        self._changed()

    def _turn(self, key: tuple[str, str]) -> asyncio.Lock:
        return self._turns.setdefault(key, asyncio.Lock())

    def _look(self) -> None:
        """Say once of each timer that ran down at the venue while it could not be set. One that was to be
        stopped, on an account that cannot be used any more, has ended by that."""
        now, news = clock_ms(), False
        for key, timer in self._timers.items():
            if timer.runs_down_at <= now and key not in self._ran_down:
                self._ran_down.add(key)
                news = True
                words = f"dead-man timer of {timer.symbol} ran down: the venue has cancelled its orders"
                self._on_problem(timer.account, f"{words}, stops and targets too: look at the position")
        for timer in [*self._timers.values()]:
            if timer.ending and timer.words == GONE and timer.over_at <= now:
                self._end(timer.key)
        if news:
            self._changed()

    def _changed(self) -> None:
        self._wake.set()
        self._on_change()

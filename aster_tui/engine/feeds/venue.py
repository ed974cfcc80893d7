"""What is public at the exchange: reachability, clock, symbols and mark prices."""

from __future__ import annotations

import asyncio
import contextlib

from aster_tui.aster.errors import AsterError, RateLimited
from aster_tui.aster.rest import Observer
from aster_tui.aster.streams import MarkPriceStream
from aster_tui.aster.venue import Venue
from aster_tui.domain.events import (
    ClockMeasured,
    FeedHeard,
    MarkPrices,
    RequestsHeld,
    SymbolsLoaded,
    WeightUsed,
)
from aster_tui.domain.views import FeedState
from aster_tui.engine.core import Core, Watchdog, now_ms

EXCHANGE, MARKS = "exchange", "marks"
CLOCK_SECONDS = 5.0
#: Filters change rarely; a symbol that stops trading should still be noticed the same hour.
SYMBOLS_SECONDS = 1800.0
#: While the stream of mark prices is silent they are asked for this often.
POLL_SECONDS = 2.0
#: Times of the same hold, measured twice, are this near to each other.
SAME_HOLD_MS = 2_000


class VenueFeed:
    """Measures the clock every few seconds, loads the symbols, and follows the mark prices."""

    def __init__(self, core: Core, client: Observer, venue: Venue, watchdog: Watchdog) -> None:
        self._core = core
        self._client = client
        self._watchdog = watchdog
        self._symbols_at = 0.0
        self._weight_limit = 2400
        self._stream = MarkPriceStream(
            venue,
            on_prices=self._prices,
            on_state=self._marks_state,
            on_problem=lambda message, raw: core.problem("stream", message, raw=raw),
        )

    def weight(self, used: int) -> None:
        """Take the used weight that an answer's header told."""
        self._core.emit(WeightUsed(now_ms(), used, self._weight_limit))

    async def run(self) -> None:
        """Until cancelled."""
        self._watchdog.watch(EXCHANGE, int(CLOCK_SECONDS * 2500))
        self._watchdog.watch(MARKS, words="the stream tells no prices: they are asked for instead")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._clock())
            tasks.create_task(self._stream.run())
            tasks.create_task(self._stand_in())

    async def _clock(self) -> None:
        while True:
            try:
                await self._measure()
            except AsterError as error:
                self._failed(error)
            self._core.settle(EXCHANGE)
            await asyncio.sleep(CLOCK_SECONDS)

    async def _measure(self) -> None:
        clock = await self._client.measure_clock()
        at = now_ms()
        self._core.emit(ClockMeasured(at, clock.offset_ms, clock.round_trip_ms))
        self._core.feed(EXCHANGE, "live")
        self._core.emit(FeedHeard(EXCHANGE, at))
        self._core.emit(RequestsHeld(at, 0))
        loop_time = asyncio.get_running_loop().time()
        if not self._core.state.rules or loop_time - self._symbols_at > SYMBOLS_SECONDS:
            info = await self._client.exchange_info()
            self._symbols_at, self._weight_limit = loop_time, info.weight_limit
            self._core.emit(SymbolsLoaded(now_ms(), info.rules))
        if not self._core.state.marks:
            # The stream pushes once a second; the first screen need not wait for it.
            self._core.emit(await self._client.mark_prices())

    async def _stand_in(self) -> None:
        """Ask for the mark prices while their stream does not tell them; it stays marked until it does."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            feed = self._core.state.feeds.get(MARKS)
            if feed is None or feed.state == "live":
                continue
            with contextlib.suppress(AsterError):  # the exchange's own feed says what is wrong
                self._core.emit(await self._client.mark_prices())

    def _failed(self, error: AsterError) -> None:
        if isinstance(error, RateLimited):
            self._held(error)
            return
        known = self._core.state.feeds.get(EXCHANGE)
        if known is None or known.state != "down":  # told once per outage; the feed stays marked
            self._core.problem(EXCHANGE, error.message, code=error.code, remedy=error.remedy, raw=error.raw)
        self._core.feed(EXCHANGE, "down", error.message)

    def _held(self, error: RateLimited) -> None:
        """Say until when nothing is sent, once for each time that the exchange says so."""
        now, banned = now_ms(), error.status == 418
        until = now + round(error.retry_after_s * 1000)
        if until > self._core.state.held_until + SAME_HOLD_MS or banned != self._core.state.banned:
            self._core.problem(EXCHANGE, error.message, code=error.code, remedy=error.remedy, raw=error.raw)
            self._core.emit(RequestsHeld(now, until, banned))
        self._core.feed(EXCHANGE, "down", error.message)

    def _prices(self, prices: MarkPrices) -> None:
        self._core.emit(prices)
        self._core.emit(FeedHeard(MARKS, now_ms()))
        self._core.settle(MARKS)

    def _marks_state(self, state: FeedState, detail: str) -> None:
        known = self._core.state.feeds.get(MARKS)
        if state == "down" and (known is None or known.state != "down"):
            self._core.problem(MARKS, f"mark prices: {detail}", remedy="reconnecting by itself")
        self._core.feed(MARKS, state, detail)
        if state == "down":
            self._core.settle(MARKS)

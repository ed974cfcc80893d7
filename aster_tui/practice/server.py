"""The practice exchange as a server: one port for HTTP and WebSocket, and the clock that moves its market."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from aster_tui.practice.auth import Authenticator
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.faults import Faults
from aster_tui.practice.http import Api
from aster_tui.practice.hub import Hub
from aster_tui.practice.limits import Limits
from aster_tui.practice.market import STEP_MS
from aster_tui.practice.market_streams import MarketStreams, is_market_stream
from aster_tui.practice.operator_api import OperatorApi
from aster_tui.practice.options import PracticeOptions

PUSH_SECONDS = 1.0
#: A machine that slept does not make up for all of the night.
MOST_BEHIND_SECONDS = 5.0


class PracticeExchange:
    """One practice exchange. Use it as an asynchronous context manager, or start and stop it."""

    def __init__(self, options: PracticeOptions | None = None) -> None:
        self.options = options or PracticeOptions()
        faults = {**self.options.faults}
        if self.options.latency_ms:
            faults["latency-ms"] = self.options.latency_ms
        self._faults = Faults(self.options.seed, faults)
        self._hub = Hub(self._faults, self.options, is_market_stream)
        self.exchange = Exchange(self.options, self._clock_ms, self._hub.user_event)
        authenticator = Authenticator(
            self.options.chain_id,
            int(self.options.nonce_window_s * 1_000_000),
            self.options.signature_scheme,
        )
        for keys in self.exchange.keys:
            authenticator.register(keys)
        self._streams = MarketStreams(self.exchange)
        limits = Limits(self._faults, self.options.weight_limit, self.options.order_limit)
        self._api = Api(self.exchange, authenticator, self._hub, self._faults, limits)
        self._operator = OperatorApi(
            self.exchange,
            authenticator,
            self._hub,
            self._faults,
            requests=self._api.requests,
            rejected=self._api.rejected,
        )
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._port = 0

    async def start(self) -> None:
        """Listen and let the market move.

        Raises:
            OSError: the address is taken or not ours.
        """
        app = web.Application(middlewares=[self._api.middleware])
        self._api.routes(app)
        self._operator.routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.options.host, self.options.port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._tasks = [asyncio.create_task(part()) for part in (self._move, self._push, self._drop)]

    async def stop(self) -> None:
        """Close every socket and stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._hub.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def rest_url(self) -> str:
        """Address of the REST API."""
        return f"http://{self.options.host}:{self._port}"

    @property
    def ws_url(self) -> str:
        """Address of the streams."""
        return f"ws://{self.options.host}:{self._port}"

    def ready_document(self) -> dict[str, Any]:
        """Addresses and accounts. The keys are this exchange's own and worth nothing."""
        return {
            "rest": self.rest_url,
            "ws": self.ws_url,
            "chain_id": self.options.chain_id,
            "accounts": [keys.document() for keys in self.exchange.keys],
        }

    def _clock_ms(self) -> int:
        return time.time_ns() // 1_000_000 + int(self._faults.value("clock-skew-ms"))

    async def _move(self) -> None:
        """The market goes by the clock: how many steps it took tells how long it has been open, whatever else
        the process had to do."""
        step_s, next_at = STEP_MS / 1000, time.monotonic()
        while True:
            next_at = max(next_at + step_s, time.monotonic() - MOST_BEHIND_SECONDS)
            await asyncio.sleep(next_at - time.monotonic())
            self.exchange.step()

    async def _push(self) -> None:
        while True:
            await asyncio.sleep(PUSH_SECONDS)
            now = self.exchange.now()
            self._hub.market_events(self._streams.push(self._hub.listened))
            await self._hub.expire_keys(now)
            await self._hub.end_old(self.options.stream_life_seconds)

    async def _drop(self) -> None:
        since = time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            self._hub.release_held()
            every = self._faults.value("ws-drop-seconds")
            if every and time.monotonic() - since >= every:
                since = time.monotonic()
                await self._hub.drop_all()


async def serve(
    options: PracticeOptions, announce: Callable[[dict[str, Any]], None], until: asyncio.Event
) -> None:
    """Serve until ``until`` is set; ``announce`` is told the ready document."""
    async with PracticeExchange(options) as exchange:
        announce(exchange.ready_document())
        with contextlib.suppress(asyncio.CancelledError):
            await until.wait()

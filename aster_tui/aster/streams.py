"""The streams: an account's user data and the mark prices, reconnecting by themselves.

A stream never ends and never raises what the network did: it says its state, says each problem once, and
connects again with exponential backoff and full jitter.
"""

from __future__ import annotations

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from aster_tui.aster.errors import AnswerError, AsterError
from aster_tui.aster.rest import Observer
from aster_tui.aster.stream_models import mark_prices, user_event
from aster_tui.aster.venue import Venue
from aster_tui.domain.events import Event, MarkPrices
from aster_tui.domain.views import FeedState

OnState = Callable[[FeedState, str], None]
OnProblem = Callable[[str, str], None]

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
#: A connection that lived this long was a good one: the next failure starts the backoff anew.
GOOD_LIFE_SECONDS = 60.0
#: After a refused key there is nothing to gain from hurry.
KEY_PROBLEM_WAIT = 60.0
PING_SECONDS, PONG_SECONDS = 5.0, 10.0
RENEW_SECONDS = 30 * 60.0
#: Mark prices come each second; after this long without one the connection is given up.
SILENT_SECONDS = 15.0
#: The venue ends every connection after 24 hours; a new one is opened before that, and only then the old one
#: closed, so that no event falls between them.
LIFE_SECONDS = 23.5 * 3600
HANDOVER_SECONDS = 30.0
RETRY_HANDOVER_SECONDS = 60.0
#: How long the venue's answer to our farewell is waited for: nothing of it is needed.
FAREWELL_SECONDS = 0.1
MAX_FRAME = 8 * 1024 * 1024
_RAW_SHOWN = 300


class _Expired(Exception):
    """The listen key is gone: a new one at once."""


class _Stream(ABC):
    """Connects, reads, and connects again."""

    def __init__(self, on_state: OnState, on_problem: OnProblem) -> None:
        self._on_state = on_state
        self._on_problem = on_problem
        self._random = random.Random()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            wait: float | None = None
            try:
                await self._relay()
                detail = "closed by the exchange"
            except _Expired:
                detail, wait = "the listen key expired", 0.0 if failures < 2 else None
            except AnswerError as error:
                detail = error.message
                wait = KEY_PROBLEM_WAIT if error.key_problem else None
            except AsterError as error:
                detail = error.message
            except (OSError, TimeoutError, WebSocketException) as error:
                detail = _words(error)
            self._on_state("down", detail)
            failures = 0 if loop.time() - started > GOOD_LIFE_SECONDS else failures + 1
            if wait is None:
                wait = self._random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures, 10)))
            await asyncio.sleep(wait)

    async def _relay(self) -> None:
        """Connections that hand over to the next one in time; ends as the last of them ends."""
        current = asyncio.create_task(self._connected(asyncio.Event()))
        following: asyncio.Task[None] | None = None
        life = LIFE_SECONDS
        try:
            while True:
                await asyncio.wait({current}, timeout=life)
                if current.done():
                    return current.result()
                ready = asyncio.Event()
                following = asyncio.create_task(self._connected(ready))
                opened = asyncio.create_task(ready.wait())
                await asyncio.wait(
                    {opened, following}, timeout=HANDOVER_SECONDS, return_when="FIRST_COMPLETED"
                )
                opened.cancel()
                life = min(LIFE_SECONDS, RETRY_HANDOVER_SECONDS)
                if ready.is_set():
                    current, following, life = following, current, LIFE_SECONDS
                # Without a successor the old one stays, and the next is tried soon.
                await _ended(following)
        finally:
            for task in (current, following):
                if task is not None:
                    await _ended(task)

    @abstractmethod
    async def _connected(self, ready: asyncio.Event) -> None:
        """One connection, from opening to its end; sets ``ready`` once it is open."""

    @abstractmethod
    def _take(self, data: Any, frame: str) -> None:
        """One parsed frame."""

    def _open(self, url: str) -> connect:
        # The pings are sent here, so that their answers count as signs of life.
        return connect(
            url,
            proxy=None,
            open_timeout=10,
            close_timeout=FAREWELL_SECONDS,
            ping_interval=None,
            max_size=MAX_FRAME,
        )

    async def _read(
        self, socket: ClientConnection, heard: Callable[[], None], silence_s: float | None
    ) -> None:
        while True:
            async with asyncio.timeout(silence_s):
                frame = await socket.recv()
            heard()
            text = frame if isinstance(frame, str) else frame.decode(errors="replace")
            try:
                data = json.loads(text, parse_float=Decimal)
            except ValueError:
                self._on_problem("a frame of the stream is no JSON; it was left out", text[:_RAW_SHOWN])
                continue
            if isinstance(data, dict) and "stream" in data and "data" in data:
                data = data["data"]
            try:
                self._take(data, text)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(str(part) for part in first["loc"]) or "the frame"
                self._on_problem(
                    f"a frame of the stream could not be read ({where}: {first['msg']}); it was left out",
                    text[:_RAW_SHOWN],
                )

    async def _ping(self, socket: ClientConnection, heard: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            async with asyncio.timeout(PONG_SECONDS):
                await (await socket.ping())
            heard()


class UserStream(_Stream):
    """Follows one account.

    Args:
        on_event: told each domain event.
        on_connected: told after each connect: what happened before is unknown, take a snapshot.
        on_heard: told at each sign of life.
        on_problem: told, in people's words and with the raw frame, what could not be read.
    """

    def __init__(
        self,
        client: Observer,
        *,
        account: str,
        on_event: Callable[[Event], None],
        on_state: OnState,
        on_connected: Callable[[], None],
        on_heard: Callable[[], None],
        on_problem: OnProblem,
    ) -> None:
        super().__init__(on_state, on_problem)
        self._client = client
        self._account = account
        self._on_event = on_event
        self._on_connected = on_connected
        self._on_heard = on_heard
        self._unknown: set[str] = set()

    async def _connected(self, ready: asyncio.Event) -> None:
        key = await self._client.create_listen_key()
        async with self._open(f"{self._client.venue.ws_url}/ws/{key}") as socket:
            ready.set()
            self._on_state("live", "")
            self._on_heard()
            self._on_connected()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(socket, self._on_heard, None))
                    tasks.create_task(self._ping(socket, self._on_heard))
                    tasks.create_task(self._renew())
            except* (_Expired, AsterError, OSError, WebSocketException) as group:
                raise group.exceptions[0] from None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._client.renew_listen_key()
            except AnswerError as error:
                if error.number == -1125:
                    raise _Expired from None
                self._on_problem(f"the listen key could not be renewed: {error.message}", error.raw)
            except AsterError as error:
                self._on_problem(f"the listen key could not be renewed: {error.message}", error.raw)

    def _take(self, data: Any, frame: str) -> None:
        kind = data.get("e") if isinstance(data, dict) else None
        if not isinstance(kind, str):
            self._on_problem(
                "a frame of the user stream has no event type; it was left out", frame[:_RAW_SHOWN]
            )
            return
        if kind == "listenKeyExpired":
            raise _Expired
        try:
            event = user_event(kind, data, self._account)
        except KeyError:
            if kind not in self._unknown:  # the venue adds types: worth one line, not one per frame
                self._unknown.add(kind)
                self._on_problem(f"unknown event type {kind[:40]} on the user stream", frame[:_RAW_SHOWN])
            return
        if event is not None:
            self._on_event(event)


class MarkPriceStream(_Stream):
    """Follows the mark prices of every symbol, once a second."""

    def __init__(
        self,
        venue: Venue,
        *,
        on_prices: Callable[[MarkPrices], None],
        on_state: OnState,
        on_problem: OnProblem,
    ) -> None:
        super().__init__(on_state, on_problem)
        self._venue = venue
        self._on_prices = on_prices

    async def _connected(self, ready: asyncio.Event) -> None:
        async with self._open(f"{self._venue.ws_url}/ws/!markPrice@arr@1s") as socket:
            ready.set()
            self._on_state("live", "")
            try:
                await self._read(socket, lambda: None, SILENT_SECONDS)
            except TimeoutError:
                raise TimeoutError(f"no mark price for {SILENT_SECONDS:.0f} s") from None

    def _take(self, data: Any, frame: str) -> None:
        if not isinstance(data, list):
            self._on_problem("a frame of the mark prices is no list; it was left out", frame[:_RAW_SHOWN])
            return
        prices = mark_prices(data)
        if prices.prices:
            self._on_prices(prices)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a connection and wait for it; how it ended is of no interest any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _words(error: Exception) -> str:
    if isinstance(error, InvalidStatus):
        return f"the exchange answered HTTP {error.response.status_code} instead of a stream"
    if isinstance(error, ConnectionClosed):
        return f"the connection ended ({error.rcvd.code})" if error.rcvd else "the connection broke"
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"the streams cannot be reached: {error.strerror}"  # without its number
    return str(error) or type(error).__name__

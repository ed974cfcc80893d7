"""The sockets: who listens to what, and one writer per socket so that a slow one delays nobody."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from aster_tui.practice.faults import Faults
from aster_tui.practice.options import PracticeOptions

#: Frames a socket may be behind before it is closed.
BACKLOG = 2_000
#: How long a frame that is to come out of order waits for one that overtakes it.
HELD_SECONDS = 0.3
#: The venue's limits of one connection.
MOST_STREAMS, MOST_MESSAGES_A_SECOND = 200, 10


@dataclass(slots=True)
class ListenKey:
    """A user's key to the stream and when it ends (server time, ms)."""

    key: str
    user: str
    expires_ms: int


@dataclass(eq=False, slots=True)
class Socket:
    """One connection: its streams, its user if it is a user stream, and its frames to be sent."""

    socket: web.WebSocketResponse
    streams: set[str]
    wrapped: bool
    user: str | None
    key: str | None
    transport: Any
    held: str | None = None
    held_at: float = 0.0
    opened: float = field(default_factory=time.monotonic)
    answered: float = field(default_factory=time.monotonic)
    frames: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(BACKLOG))

    def cut(self) -> None:
        """End the connection without a farewell."""
        if self.transport is not None:
            self.transport.abort()


class Frame:
    """One payload of a stream, written out once however many sockets it goes to."""

    def __init__(self, stream: str, payload: Any) -> None:
        self._stream = stream
        self._bare = orjson.dumps(payload).decode()
        self._wrapped = ""

    def text(self, *, wrapped: bool) -> str:
        """The frame of a raw or (``wrapped``) of a combined stream."""
        if not wrapped:
            return self._bare
        if not self._wrapped:
            name = orjson.dumps(self._stream).decode()
            self._wrapped = f'{{"stream":{name},"data":{self._bare}}}'
        return self._wrapped


class Hub:
    """All open sockets and listen keys.

    Args:
        is_stream: whether there is a market stream of that name.
    """

    def __init__(self, faults: Faults, options: PracticeOptions, is_stream: Callable[[str], bool]) -> None:
        self._faults = faults
        self._options = options
        self._is_stream = is_stream
        self._sockets: set[Socket] = set()
        self._of_user: dict[str, set[Socket]] = defaultdict(set)
        #: The live key of a user, and keys by their text; as all else a function of the seed.
        self._keys: dict[str, ListenKey] = {}
        self._by_text: dict[str, ListenKey] = {}
        self._made = 0

    @property
    def count(self) -> int:
        """Open sockets."""
        return len(self._sockets)

    # Listen keys

    def create_key(self, user: str, now_ms: int) -> str:
        """The user's live key, extended, or a new one."""
        known = self._keys.get(user)
        if known is None or known.expires_ms <= now_ms:
            if known is not None:
                del self._by_text[known.key]
            self._made += 1
            text = hashlib.sha256(f"{self._options.seed}/{user}/{self._made}".encode()).hexdigest()
            known = self._keys[user] = self._by_text[text] = ListenKey(text, user, 0)
        known.expires_ms = now_ms + self._key_ms
        return known.key

    @property
    def _key_ms(self) -> int:
        return int(self._options.listen_key_seconds * 1000)

    def renew_key(self, user: str, now_ms: int) -> bool:
        """Extend the live key; False when there is none."""
        known = self._keys.get(user)
        if known is None or known.expires_ms <= now_ms:
            return False
        known.expires_ms = now_ms + self._key_ms
        return True

    async def close_key(self, user: str) -> None:
        """End the key and its sockets."""
        known = self._keys.get(user)
        if known is not None:
            await self._end_key(known)

    async def _end_key(self, known: ListenKey) -> None:
        del self._keys[known.user], self._by_text[known.key]
        await self._close([s for s in self._of_user[known.user] if s.key == known.key])

    def user_of(self, key: str, now_ms: int) -> str | None:
        """Whose key it is; None when nobody's."""
        known = self._by_text.get(key)
        return known.user if known is not None and known.expires_ms > now_ms else None

    async def expire_keys(self, now_ms: int) -> None:
        """Tell the sockets of keys that ended, and close them."""
        for known in [k for k in self._keys.values() if k.expires_ms <= now_ms]:
            event = {"e": "listenKeyExpired", "E": now_ms, "listenKey": known.key}
            self.user_event(known.user, event)
            await asyncio.sleep(0)
            await self._end_key(known)

    # Events

    def user_event(self, user: str, event: dict[str, Any]) -> None:
        """Send to every socket of a user."""
        sockets = self._of_user[user]
        if not sockets:
            return
        frame = Frame("", event)
        for socket in sockets:
            if socket.wrapped:
                frame = Frame(socket.key or "", event)
            self._send(socket, frame)

    @property
    def listened(self) -> set[str]:
        """The market streams that somebody listens to."""
        return set().union(*(socket.streams for socket in self._sockets))

    def market_events(self, pushed: Mapping[str, list[Any]]) -> None:
        """Send each stream's payloads to whoever listens to it."""
        frames = {name: [Frame(name, payload) for payload in rows] for name, rows in pushed.items()}
        for socket in self._sockets:
            for stream in socket.streams:
                for frame in frames.get(stream, ()):
                    self._send(socket, frame)

    def _send(self, socket: Socket, frame: Frame) -> None:
        if self._faults.strikes("ws-silent") or self._faults.strikes("ws-loss"):
            return
        text = frame.text(wrapped=socket.wrapped)
        if socket.held is None and self._faults.strikes("ws-reorder"):
            socket.held, socket.held_at = text, time.monotonic()  # the next one goes first
            return
        self._queue(socket, text)
        if self._faults.strikes("ws-duplicate"):
            self._queue(socket, text)
        self._release(socket)

    def _release(self, socket: Socket) -> None:
        if socket.held is not None:
            held, socket.held = socket.held, None
            self._queue(socket, held)

    def release_held(self) -> None:
        """Send what waited in vain to be overtaken: out of order is not lost."""
        for socket in self._sockets:
            if socket.held is not None and time.monotonic() - socket.held_at > HELD_SECONDS:
                self._release(socket)

    def _queue(self, socket: Socket, frame: str) -> None:
        try:
            socket.frames.put_nowait(frame)
        except asyncio.QueueFull:
            # It reads too slowly: it must reconnect and read a snapshot, not get old frames for ever.
            socket.cut()

    # Connections

    async def serve(
        self,
        request: web.Request,
        streams: Iterable[str],
        *,
        wrapped: bool,
        user: str | None,
        key: str | None,
    ) -> web.WebSocketResponse:
        """One connection, until either side ends it."""
        response = web.WebSocketResponse(autoping=False, max_msg_size=1 << 16)
        await response.prepare(request)
        socket = Socket(response, set(streams), wrapped, user, key, request.transport)
        self._sockets.add(socket)
        if user is not None:
            self._of_user[user].add(socket)
        tasks = [asyncio.create_task(part) for part in (_write(socket), self._ping(socket))]
        try:
            await self._listen(response, socket)
        finally:
            self._sockets.discard(socket)
            if user is not None:
                self._of_user[user].discard(socket)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return response

    async def _ping(self, socket: Socket) -> None:
        """Ping now and then, as the venue does, and leave a client that does not answer."""
        while True:
            await asyncio.sleep(self._options.ping_seconds)
            if time.monotonic() - socket.answered > self._options.pong_seconds:
                socket.cut()
                return
            with contextlib.suppress(ConnectionError, RuntimeError):  # closing: the reader ends it
                await socket.socket.ping()

    async def _listen(self, response: web.WebSocketResponse, socket: Socket) -> None:
        """Take what the client says until it goes; one that says too much is cut off."""
        second, said = 0, 0
        async for message in response:
            if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                return
            if message.type is WSMsgType.PONG:
                socket.answered = time.monotonic()
                continue
            if message.type is WSMsgType.PING:
                await response.pong(message.data)
                continue
            now = int(time.monotonic())
            second, said = now, (said + 1 if now == second else 1)
            if said > MOST_MESSAGES_A_SECOND:
                await response.close(code=WSCloseCode.POLICY_VIOLATION)
                return
            if message.type is WSMsgType.TEXT:
                self._queue(socket, json.dumps(self._asked(socket, message.data)))

    def _asked(self, socket: Socket, text: str) -> dict[str, Any]:
        """The answer to SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS."""
        try:
            asked = json.loads(text)
        except ValueError:
            return {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}
        if not isinstance(asked, dict):
            return {"error": {"code": 2, "msg": "Invalid request: request must be a JSON object"}}
        method, names = asked.get("method"), asked.get("params", [])
        number = asked.get("id")
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(socket.streams), "id": number}
        if method == "GET_PROPERTY" and names == ["combined"]:
            return {"result": socket.wrapped, "id": number}
        if method == "SET_PROPERTY" and names in (["combined", True], ["combined", False]):
            socket.wrapped = names[1]
            return {"result": None, "id": number}
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE") or not isinstance(names, list):
            return {"error": {"code": 2, "msg": f"Invalid request: unknown variant {method}"}, "id": number}
        wrong = [n for n in names if not isinstance(n, str) or not self._is_stream(n)]
        if wrong:
            return {"error": {"code": 2, "msg": f"Invalid request: no such stream {wrong[0]}"}, "id": number}
        if method == "UNSUBSCRIBE":
            socket.streams.difference_update(names)
        elif len(socket.streams | set(names)) > MOST_STREAMS:
            return {"error": {"code": 2, "msg": f"Invalid request: more than {MOST_STREAMS}"}, "id": number}
        else:
            socket.streams.update(names)
        return {"result": None, "id": number}

    async def drop_all(self) -> None:
        """Cut every connection without a farewell."""
        for socket in [*self._sockets]:
            socket.cut()

    async def end_old(self, life_s: float) -> None:
        """Close the connections that have lived as long as the venue lets them."""
        await self._close([s for s in self._sockets if time.monotonic() - s.opened > life_s])

    async def close(self) -> None:
        """Close every connection as a server that goes away does."""
        await self._close([*self._sockets])

    async def _close(self, sockets: Iterable[Socket]) -> None:
        closing = [s.socket.close(code=WSCloseCode.GOING_AWAY) for s in sockets]
        if closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await asyncio.gather(*closing, return_exceptions=True)


async def _write(socket: Socket) -> None:
    while True:
        frame = await socket.frames.get()
        try:
            await socket.socket.send_str(frame)
        except (ConnectionError, RuntimeError):
            return  # closing: the reader ends the connection

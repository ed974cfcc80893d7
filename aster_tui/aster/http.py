"""HTTP/1.1 as an order needs it: the exact bytes, once, and whether any of them left.

General clients ask again by themselves when a kept-alive connection turns out to be closed, and do not say
whether a request was on its way. Here a request is written to one connection, once: either nothing of it was
written (:class:`NotSent`), or it was and the answer may be lost (:class:`Lost`). Answers are parsed by
llhttp, so a request costs this process less than a tenth of a millisecond.
"""

from __future__ import annotations

import asyncio
import functools
import re
import select
import ssl
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

import httptools

from aster_tui import __version__

MOST_CONNECTIONS = 20
#: Connections that were idle for longer are not used again: the other side may be closing them.
IDLE_SECONDS = 50.0
#: An answer that comes in drops may take this many time-outs as a whole.
WHOLE_TIMEOUTS = 10
#: In TLS a fresh connection may hold words that are no answer: session tickets.
TICKET_SECONDS = 1.0
_PLAIN = re.compile("[!-~]*")
#: No answer of the exchange is larger: all its symbols are a few megabytes.
LARGEST_BODY = 64 * 1024 * 1024


class HttpError(Exception):
    """The text is for people."""


class NotSent(HttpError):
    """Nothing of the request was written."""


class Lost(HttpError):
    """The request, or a part of it, was written, and there is no whole answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def reason(self) -> str:
        """What the status is called."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return f"HTTP {self.status}"


class Http:
    """Kept-alive connections to one base address. Bound to the loop of its first request.

    Args:
        timeout_s: for connecting, for a free connection, and for each wait for bytes.
    """

    def __init__(self, base: str, timeout_s: float, most: int = MOST_CONNECTIONS) -> None:
        parts = urlsplit(base)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._headers = (
            f"Host: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: aster-tui/{__version__}\r\n"
            "Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\n"
        )
        self._timeout_s, self._most = timeout_s, most
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.closed = False

    async def request(self, method: str, path: str, string: str) -> Answer:
        """Send one request and give its answer: GET carries ``string`` as its query, the others as a form.

        Raises:
            NotSent: the other side cannot be reached, or no connection became free in time.
            Lost: there is no answer, or not a whole one.
        """
        data = self._bytes(method, path, string)
        connection = await self._connection()
        self._busy.add(connection)
        try:
            answer = await connection.exchange(data, self._timeout_s)
        finally:
            self._busy.discard(connection)
            if connection.reusable and not self.closed:
                self._idle.append(connection)
            else:
                connection.abort()
            self._one_is_free()
        return answer

    async def open(self, count: int) -> None:
        """Have so many connections ready, as far as the other side lets it; raises nothing."""
        opened = await asyncio.gather(
            *(self._new() for _ in range(min(count, self._most) - len(self._idle))), return_exceptions=True
        )
        self._idle += [found for found in opened if isinstance(found, _Connection)]

    async def aclose(self) -> None:
        """Close every connection; what is under way is lost."""
        self.closed = True
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        while self._waiting:
            self._one_is_free()
        await asyncio.sleep(0)

    def _bytes(self, method: str, path: str, string: str) -> bytes:
        if not _PLAIN.fullmatch(string):
            # The signature covers the string: sent in any other spelling it would be another request.
            raise NotSent(f"{path}: the parameters cannot be sent as they were signed")
        if method == "GET":
            target = f"{self._prefix}{path}?{string}" if string else f"{self._prefix}{path}"
            return f"GET {target} HTTP/1.1\r\n{self._headers}\r\n".encode()
        length = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(string)}\r\n"
        return f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._headers}{length}\r\n{string}".encode()

    async def _connection(self) -> _Connection:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        while True:
            if self.closed:
                raise NotSent("the connection was closed here")
            while self._idle:
                connection = self._idle.pop()
                if connection.reusable:
                    return connection
                connection.abort()
            if len(self._busy) + self._opening < self._most:
                return await self._new()
            await self._until_free(deadline)

    async def _until_free(self, deadline: float) -> None:
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(free)
        try:
            async with asyncio.timeout_at(deadline):
                await free
        except TimeoutError:
            raise NotSent("no connection became free in time") from None
        finally:
            if free in self._waiting:
                self._waiting.remove(free)
            elif free.cancelled():
                self._one_is_free()  # the turn was given to somebody who is gone

    def _one_is_free(self) -> None:
        while self._waiting:
            free = self._waiting.popleft()
            if not free.done():
                free.set_result(None)
                return

    async def _new(self) -> _Connection:
        loop = asyncio.get_running_loop()
        self._opening += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                _, connection = await loop.create_connection(
                    _Connection,
                    self._host,
                    self._port,
                    ssl=tls() if self._tls else None,
                    server_hostname=self._host if self._tls else None,
                    happy_eyeballs_delay=0.25,
                )
        except TimeoutError:
            raise NotSent("it did not let us connect in time") from None
        except OSError as error:  # what TLS refuses is one, too
            raise NotSent(error.strerror or str(error) or type(error).__name__) from error
        finally:
            self._opening -= 1
        if self.closed:
            connection.abort()
            raise NotSent("the connection was closed here")
        return connection


@functools.cache
def tls() -> ssl.SSLContext:
    """One context for all clients: loading the certificates takes longer than a request."""
    import certifi

    context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[Answer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timeout_s = self._began = self._heard = self._idle_since = 0.0
        self._keep = True
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size, self._headed = 0, False

    @property
    def reusable(self) -> bool:
        """Whether another request may go over it."""
        if self._transport is None or self._transport.is_closing() or self._done is not None:
            return False
        idle_s = asyncio.get_running_loop().time() - self._idle_since
        if not self._keep or idle_s > IDLE_SECONDS:
            return False
        if idle_s < TICKET_SECONDS and self._transport.get_extra_info("ssl_object") is not None:
            return True
        # What is there to be read from an idle connection is its end.
        looking = select.poll()
        looking.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not looking.poll(0)

    async def exchange(self, data: bytes, timeout_s: float) -> Answer:
        """Write a request and wait for its answer."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            raise NotSent("the connection was closed by the other side")
        self._begin()
        done = self._done = loop.create_future()
        self._timeout_s, self._began = timeout_s, loop.time()
        self._heard = self._began
        self._timer = loop.call_later(timeout_s, self._late)
        try:
            self._transport.write(data)
            answer: Answer = await done
            return answer
        except asyncio.CancelledError:
            self._keep = False
            raise
        finally:
            self._done = None
            self._timer.cancel()
            self._idle_since = loop.time()

    def abort(self) -> None:
        """Close it at once."""
        self._keep = False
        if self._transport is not None:
            self._transport.abort()
        self._fail("the connection was closed here")

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._idle_since = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        if self._done is None:
            self.abort()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._keep = False
            self._fail("the answer is no HTTP")

    def connection_lost(self, error: Exception | None) -> None:
        self._keep = False
        if self._headed and error is None and not self._delimited:
            self.on_message_complete()  # its end is the end of the connection
        self._fail(str(error) if error else "the other side closed the connection")

    # llhttp

    def on_message_begin(self) -> None:
        if self._done is None or self._done.done():
            self._keep = False  # one answer too many: it would be taken for the next request's
        self._headers, self._body = {}, []
        self._size, self._headed = 0, False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > LARGEST_BODY:
            self._fail("the answer is too long")
            self.abort()
            return
        self._body.append(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer: the real one follows
            self._headed = False
            return
        self._keep = self._keep and self._parser.should_keep_alive()
        try:
            body = _unpacked(b"".join(self._body), self._headers.get("content-encoding", ""))
        except zlib.error as error:
            self._fail(f"the answer cannot be unpacked: {error}")
            return
        if self._done is not None and not self._done.done():
            self._done.set_result(Answer(status, self._headers, body))

    # Small things

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = {}, []
        self._size, self._headed = 0, False

    @property
    def _delimited(self) -> bool:
        return "content-length" in self._headers or "transfer-encoding" in self._headers

    def _fail(self, words: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(Lost(words))

    def _late(self) -> None:
        loop = asyncio.get_running_loop()
        last = min(self._heard + self._timeout_s, self._began + self._timeout_s * WHOLE_TIMEOUTS)
        left = last - loop.time()
        if left > 0.001:
            self._timer = loop.call_later(left, self._late)
            return
        self._keep = False
        self._fail(f"no answer within {self._timeout_s:g} s")


def _unpacked(body: bytes, encoding: str) -> bytes:
    """A body without its compression.

    Raises:
        zlib.error: it is not what it claims to be, or too long.
    """
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)
    plain = unpacking.decompress(body, LARGEST_BODY)
    if not unpacking.eof:
        raise zlib.error("cut short, or too long")
    return plain

"""HTTP as an order needs it: written once, to one connection, and it is known whether any of it left."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from aster_tui.aster.http import Http, Lost, NotSent

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, "Seen"], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Seen:
    """What a server saw."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[str] = []


async def request(reader: asyncio.StreamReader, seen: Seen) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next((x.split(": ")[1] for x in head.split("\r\n") if x.startswith("Content-Length")), "0")
    seen.requests.append(head + (await reader.readexactly(int(length))).decode())
    return seen.requests[-1]


@asynccontextmanager
async def serving(serve: Serve, timeout_s: float = 5.0, most: int = 20) -> AsyncIterator[tuple[Http, Seen]]:
    seen = Seen()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        try:
            await serve(reader, writer, seen)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    http = Http(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s, most)
    try:
        yield http, seen
    finally:
        await http.aclose()
        server.close()


def replying(*replies: bytes) -> Serve:
    """Answers each request of a connection with the next of these; the connection ends after the last."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        for reply in replies:
            await request(reader, seen)
            writer.write(reply)
            await writer.drain()

    return serve


async def test_requests_go_over_one_kept_connection_one_after_the_other() -> None:
    async with serving(replying(OK, OK, OK)) as (http, seen):
        for _ in range(3):
            assert (await http.request("GET", "/a", "x=1")).text == "ok"
        assert seen.connections == 1
        assert seen.requests[0].startswith("GET /a?x=1 HTTP/1.1\r\n")


async def test_at_once_they_take_as_many_connections_as_are_allowed() -> None:
    async with serving(replying(*[OK] * 9), most=3) as (http, seen):
        answers = await asyncio.gather(*(http.request("GET", "/a", "") for _ in range(9)))
        assert [a.status for a in answers] == [200] * 9
        assert seen.connections == 3


async def test_connections_opened_ahead_are_used() -> None:
    async with serving(replying(OK, OK)) as (http, seen):
        await http.open(3)
        await asyncio.gather(*(http.request("GET", "/a", "") for _ in range(3)))
        assert seen.connections == 3


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "hello"),  # until the connection ends
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
            % (len(gzip.compress(b"hello", mtime=0)), gzip.compress(b"hello", mtime=0)),
            "hello",
        ),
    ],
)
async def test_bodies_of_every_kind(reply: bytes, body: str) -> None:
    async with serving(replying(reply)) as (http, _):
        assert (await http.request("GET", "/a", "")).text == body


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhe",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_an_answer_that_is_not_whole_is_lost_and_nothing_is_sent_again(
    method: str, reply: bytes
) -> None:
    async with serving(replying(OK, reply)) as (http, seen):
        await http.request("GET", "/first", "")  # over a kept connection, as most are
        with pytest.raises(Lost):
            await http.request(method, "/a", "x=1")
        assert len(seen.requests) == 2


async def test_a_connection_that_the_other_side_closed_is_not_written_to() -> None:
    async with serving(replying(OK)) as (http, seen):
        for number in range(1, 6):
            await http.request("POST", "/a", "x=1")
            await asyncio.sleep(0.02)  # its end is there to be read, whether the loop has seen it or not
            assert (seen.connections, len(seen.requests)) == (number, number)


async def test_connection_close_is_obeyed() -> None:
    reply = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(replying(reply, OK)) as (http, seen):
        await http.request("GET", "/a", "")
        await http.request("GET", "/a", "")
        assert seen.connections == 2


async def test_a_late_answer_is_lost_and_one_that_trickles_in_is_not() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        await request(reader, seen)
        for at in range(0, len(OK), 6):
            await asyncio.sleep(0.1)
            writer.write(OK[at : at + 6])
            await writer.drain()

    async with serving(slow, timeout_s=0.25) as (http, _):
        assert (await http.request("GET", "/a", "")).text == "ok"
    async with serving(slow, timeout_s=0.05) as (http, _):
        with pytest.raises(Lost, match=r"no answer within 0\.05 s"):
            await http.request("GET", "/a", "")


async def test_nothing_left_where_nobody_listens_or_no_connection_is_free() -> None:
    with pytest.raises(NotSent):
        await Http("http://127.0.0.1:1", 1).request("POST", "/a", "x=1")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        await request(reader, seen)
        await reader.read()

    async with serving(silent, timeout_s=0.2, most=1) as (http, seen):
        first = asyncio.create_task(http.request("POST", "/a", "x=1"))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(http.request("POST", "/a", "x=2"))
        found = await asyncio.gather(first, second, return_exceptions=True)
        assert isinstance(found[0], Lost)
        assert not isinstance(found[1], Lost) or len(seen.requests) == 2


async def test_whoever_gives_up_leaves_no_answer_for_the_next() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        while True:
            first = (await request(reader, seen)).split(" ")[1]
            await asyncio.sleep(0.1 if first == "/slow" else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(first), first.encode()))
            await writer.drain()

    async with serving(slow) as (http, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await http.request("GET", "/slow", "")
        assert (await http.request("GET", "/quick", "")).text == "/quick"


async def test_closed_it_sends_nothing_and_what_was_under_way_is_lost() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        await request(reader, seen)
        await reader.read()

    async with serving(silent) as (http, seen):
        under_way = asyncio.create_task(http.request("POST", "/a", "x=1"))
        while not seen.requests:
            await asyncio.sleep(0.01)
        await http.aclose()
        with pytest.raises(Lost):
            await under_way
        with pytest.raises(NotSent, match="closed here"):
            await http.request("POST", "/a", "x=2")
        assert len(seen.requests) == 1


async def test_parameters_that_would_be_sent_in_another_spelling_are_not_sent() -> None:
    async with serving(replying(OK)) as (http, seen):
        for string in ("a=b c", "a=b\r\nX: y", "a=ö"):
            with pytest.raises(NotSent, match="as they were signed"):
                await http.request("POST", "/a", string)
        assert not seen.connections


async def test_a_server_that_does_not_speak_tls_is_sent_nothing() -> None:
    async with serving(replying(OK)) as (http, seen):
        http._tls = True
        with pytest.raises(NotSent):
            await http.request("POST", "/a", "secret=1")
        assert not seen.requests


def test_certificates_are_checked() -> None:
    from aster_tui.aster.http import tls

    context = tls()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname

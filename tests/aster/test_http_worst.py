"""HTTP connections against servers that say what no client should have to hear."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_tui.aster import http as http_module
from aster_tui.aster.http import Http, Lost, NotSent

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Talk = Callable[[bytes, Writer], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Served:
    """What a server heard."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""


@asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    served, writers = Served(), []

    async def handle(reader: Reader, writer: Writer) -> None:
        served.connections += 1
        writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (h[16:] for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), b"0"
                )
                served.requests.append(head + await reader.readexactly(int(length)))
                await talk(served.requests[-1], writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    served.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        for writer in writers:
            writer.close()


def saying(*parts: bytes, hang_up: bool = False) -> Talk:
    async def talk(request: bytes, writer: Writer) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if hang_up:
            writer.close()

    return talk


@asynccontextmanager
async def asking(talk: Talk, timeout_s: float = 5.0) -> AsyncIterator[tuple[Served, Http]]:
    async with serving(talk) as served:
        http = Http(served.url, timeout_s)
        try:
            yield served, http
        finally:
            await http.aclose()


async def test_the_bytes_of_a_request_are_those_that_were_given() -> None:
    async with asking(saying(OK)) as (served, http):
        await http.request("GET", "/fapi/v3/time?a=%2F&b=~'", "")
        await http.request("DELETE", "/fapi/v3/order", "a=1&b=%C3%BC")
        first, second = served.requests
        assert first.startswith(b"GET /fapi/v3/time?a=%2F&b=~' HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"content-type" not in first.lower()
        assert b"content-length" not in first.lower()
        assert second.endswith(b"Content-Length: 12\r\n\r\na=1&b=%C3%BC")
        assert b"Content-Type: application/x-www-form-urlencoded\r\n" in second
        assert served.connections == 1


async def test_a_path_before_all_others_is_kept() -> None:
    async with serving(saying(OK)) as served:
        http = Http(f"{served.url}/gateway/", 5)
        await http.request("GET", "/fapi/v3/time", "")
        assert served.requests[0].startswith(b"GET /gateway/fapi/v3/time HTTP/1.1\r\n")
        await http.aclose()


PACKED = gzip.compress(b'{"a":1}', mtime=0)


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\nTrailer: t\r\n\r\n',
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(PACKED), PACKED),
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}',
        b'HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}',
    ],
)
async def test_an_answer_of_any_form_is_read_whole_however_it_is_cut(answer: bytes) -> None:
    for step in (1, 7, len(answer)):
        parts = [answer[at : at + step] for at in range(0, len(answer), step)]
        async with asking(saying(*parts)) as (served, http):
            for _ in range(2):
                found = await http.request("GET", "/", "")
                assert (found.status, found.reason, found.body) == (200, "OK", b'{"a":1}')
            assert served.connections == 1


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with asking(saying(b"HTTP/1.1 502 Bad\r\n\r\n<html>", hang_up=True)) as (served, http):
        for _ in range(2):
            assert (await http.request("GET", "/", "")).body == b"<html>"
        assert served.connections == 2


async def test_a_connection_that_is_to_be_closed_is_not_used_again() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    async with asking(saying(answer)) as (served, http):
        for _ in range(3):
            assert (await http.request("POST", "/", "")).body == b"{}"
        assert served.connections == 3


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n" + PACKED[:9],
    ],
)
async def test_what_is_no_whole_answer_is_broken_and_sent_once(said: bytes) -> None:
    async with asking(saying(said, hang_up=True)) as (served, http):
        for method in ("POST", "DELETE", "PUT", "GET"):
            with pytest.raises(Lost) as raised:
                await http.request(method, "/", "a=1")
            assert "\n" not in str(raised.value)
        assert len(served.requests) == 4


async def test_an_answer_too_many_is_never_the_next_ones() -> None:
    for extra in (OK, b"HTTP/1.1 2", b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nstale"):
        async with asking(saying(OK + extra)) as (served, http):
            for number in range(1, 4):
                assert (await http.request("GET", "/", "")).status == 200
                assert served.connections == number


async def test_words_nobody_asked_for_close_an_idle_connection() -> None:
    async def talk(request: bytes, writer: Writer) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

    async with asking(talk) as (served, http):
        await http.request("GET", "/", "")
        await asyncio.sleep(0.2)
        assert (await http.request("POST", "/", "")).status == 200
        assert served.connections == 2


async def test_a_silent_server_and_one_that_answers_in_drops() -> None:
    async with asking(saying(), timeout_s=0.2) as (_, http):
        with pytest.raises(Lost, match="no answer within"):
            await http.request("POST", "/", "")

    async def drops(request: bytes, writer: Writer) -> None:
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with asking(drops, timeout_s=0.2) as (_, http):  # as a whole far longer than a time-out
        assert (await http.request("GET", "/", "")).body == b"{}"

    async def for_ever(request: bytes, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with asking(for_ever, timeout_s=0.1) as (_, http):
        with pytest.raises(Lost, match="no answer within"):
            await http.request("GET", "/", "")


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "LARGEST_BODY", 10_000)
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
    bomb = gzip.compress(b"x" * 1_000_000)
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(bomb), bomb)
    for said in (long, packed):
        async with asking(saying(said)) as (_, http):
            with pytest.raises(Lost, match="too long"):
                await http.request("GET", "/", "")


async def test_many_at_once_share_the_connections_and_each_gets_its_own() -> None:
    async def echo(request: bytes, writer: Writer) -> None:
        await asyncio.sleep(0.01)
        number = request.split(b" ")[1][1:]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(number), number))

    async with asking(echo) as (served, http):
        answers = await asyncio.gather(*(http.request("GET", f"/{number}", "") for number in range(200)))
        assert [int(a.body) for a in answers] == list(range(200))
        assert served.connections <= http_module.MOST_CONNECTIONS


async def test_odd_parameters_do_not_leave() -> None:
    async with asking(saying(OK)) as (served, http):
        for odd in ("a b", "a\r\nX: y", "ü", "a\0"):
            for method in ("GET", "POST"):
                with pytest.raises(NotSent, match="cannot be sent"):
                    await http.request(method, "/", odd)
        assert served.connections == 0


async def test_an_old_connection_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "IDLE_SECONDS", 0.05)
    async with asking(saying(OK)) as (served, http):
        await http.request("GET", "/", "")
        await asyncio.sleep(0.1)
        await http.request("GET", "/", "")
        assert served.connections == 2


def certificate(folder: Path, names: list[str]) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own, and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[Any] = [x509.IPAddress(ipaddress.ip_address(n)) for n in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(encoding, form, serialization.NoEncryption()) + made.public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path


async def test_tls_is_checked_by_certificate_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for names, trusted, why in (
        (["127.0.0.1"], True, None),
        (["127.0.0.1"], False, "certificate verify failed"),
        (["127.0.0.2"], True, "IP address mismatch"),
    ):
        server, file = certificate(tmp_path, names)
        context = ssl.create_default_context()
        if trusted:
            context.load_verify_locations(file)
        monkeypatch.setattr(http_module, "tls", lambda context=context: context)
        async with serving(saying(OK), server) as served:
            http = Http(served.url, 5)
            if why is None:
                assert (await http.request("POST", "/", "")).body == b"{}"
            else:
                with pytest.raises(NotSent, match=why):
                    await http.request("POST", "/", "")
                assert served.requests == []
            await http.aclose()


def test_the_real_context_checks_and_has_certificates() -> None:
    context = http_module.tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.get_ca_certs()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_whatever_comes_is_an_answer_or_broken(parts: list[bytes], hinted: bool) -> None:
    async def once() -> None:
        loop = asyncio.get_running_loop()
        connection = http_module._Connection()

        class Nowhere(asyncio.Transport):
            def write(self, data: Any) -> None:
                loop.call_soon(self.feed)

            def feed(self) -> None:
                for part in parts:
                    if not self.is_closing():
                        connection.data_received(part)
                connection.connection_lost(None)

            gone = False

            def is_closing(self) -> bool:
                return self.gone

            def abort(self) -> None:
                self.gone = True

        connection.connection_made(Nowhere())
        if hinted:
            parts.insert(0, b"HTTP/1.1 200 OK\r\n")
        try:
            answer = await connection.exchange(b"", 5)
        except Lost:
            return
        assert 200 <= answer.status <= 999

    asyncio.run(once())

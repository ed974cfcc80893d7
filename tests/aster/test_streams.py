"""The streams against a real WebSocket server that breaks what it can."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from aster_tui.aster import streams
from aster_tui.aster.errors import AnswerError, Unreachable
from aster_tui.aster.streams import MarkPriceStream, UserStream
from aster_tui.aster.venue import Venue
from aster_tui.domain.events import MarkPrices

ORDER = {
    "e": "ORDER_TRADE_UPDATE",
    "E": 5,
    "o": {
        "s": "BTCUSDT",
        "c": "t",
        "S": "BUY",
        "o": "MARKET",
        "q": "1",
        "x": "TRADE",
        "X": "FILLED",
        "i": 7,
        "z": "1",
    },
}
MARKS = [{"e": "markPriceUpdate", "E": 9, "s": "BTCUSDT", "p": "64000.5"}]
Script = Callable[[ServerConnection, int], Awaitable[None]]


class Keys:
    """Stands for the client: gives listen keys, or what it is told to raise."""

    def __init__(self, url: str) -> None:
        self.venue = Venue("http://unused", url, 1666)
        self.given = 0
        self.raises: list[Exception] = []
        self.renewed = 0
        self.renewal_raises: list[Exception] = []

    async def create_listen_key(self) -> str:
        if self.raises:
            raise self.raises.pop(0)
        self.given += 1
        return f"{self.given:064x}"

    async def renew_listen_key(self) -> None:
        self.renewed += 1
        if self.renewal_raises:
            raise self.renewal_raises.pop(0)


class Heard:
    """All a stream told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.states: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self.connected = self.signs = 0

    def connect(self) -> None:
        self.connected += 1

    def sign(self) -> None:
        self.signs += 1


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[str]:
    count = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal count
        count += 1
        await script(socket, count)

    async with serve(handle, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}"


@asynccontextmanager
async def following(keys: Keys) -> AsyncIterator[Heard]:
    heard = Heard()
    stream = UserStream(
        keys,  # type: ignore[arg-type]
        account="0xA",
        on_event=heard.events.append,
        on_state=lambda state, detail: heard.states.append((state, detail)),
        on_connected=heard.connect,
        on_heard=heard.sign,
        on_problem=lambda message, raw: heard.problems.append(message),
    )
    task = asyncio.create_task(stream.run())
    try:
        yield heard
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


async def stay(socket: ServerConnection) -> None:
    await socket.wait_closed()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FIRST_WAIT", 0.01)


async def test_events_come_and_after_a_drop_the_stream_is_there_again() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await socket.send(json.dumps(ORDER))
        if number < 3:
            await socket.close()
        else:
            await stay(socket)

    async with server(script) as url, following(Keys(url)) as heard:
        await until(lambda: heard.connected == 3 and len(heard.events) == 3)
        words = [state for state, _ in heard.states]
        assert words == ["live", "down", "live", "down", "live"]


async def test_a_connection_hands_over_in_time_and_no_event_falls_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "LIFE_SECONDS", 0.4)
    sockets: set[ServerConnection] = set()
    most = 0

    async def script(socket: ServerConnection, number: int) -> None:
        nonlocal most
        sockets.add(socket)
        most = max(most, len(sockets))
        await socket.wait_closed()
        sockets.discard(socket)

    async with server(script) as url, following(Keys(url)) as heard:
        await until(lambda: heard.connected == 1 and sockets)
        for number in range(100):  # one event every 20 ms, to whoever is connected then
            for socket in [*sockets]:
                with suppress(ConnectionClosed):  # it was just handed over: the other one has the event
                    await socket.send(json.dumps({**ORDER, "E": 1000 + number}))
            await asyncio.sleep(0.02)
        await until(lambda: 1099 in {e.at for e in heard.events})
        assert heard.connected >= 4
        assert most == 2
        assert {e.at for e in heard.events} == set(range(1000, 1100))
        assert [state for state, _ in heard.states if state != "live"] == []


async def test_without_a_successor_the_old_connection_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LIFE_SECONDS", 0.2)

    async def script(socket: ServerConnection, number: int) -> None:
        await stay(socket)

    async with server(script) as url:
        keys = Keys(url)
        async with following(keys) as heard:
            await until(lambda: heard.connected == 1)
            keys.raises = [Unreachable("no way")] * 3
            await until(lambda: not keys.raises)
            assert [state for state, _ in heard.states] == ["live"]
            await until(lambda: heard.connected == 2)


async def test_garbage_is_one_line_each_and_the_stream_stays_up() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        broken = {"e": "ORDER_TRADE_UPDATE", "E": 5, "o": {"s": "BTCUSDT"}}
        for frame in ("{not json", "<html>", "[]", "7", '{"x":1}', json.dumps(broken), b"\xff\xfe"):
            await socket.send(frame)
        for _ in range(3):
            await socket.send('{"e":"SOMETHING_NEW","E":1}')
        await socket.send(json.dumps({"stream": "k", "data": ORDER}))
        await stay(socket)

    async with server(script) as url, following(Keys(url)) as heard:
        await until(lambda: heard.events)
        assert len(heard.problems) == 8
        assert sum("SOMETHING_NEW" in p for p in heard.problems) == 1
        assert heard.connected == 1


async def test_an_expired_key_is_replaced_at_once() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        if number == 1:
            await socket.send('{"e":"listenKeyExpired","E":1}')
        await stay(socket)

    async with server(script) as url:
        keys = Keys(url)
        async with following(keys) as heard:
            await until(lambda: heard.connected == 2)
            assert keys.given == 2
            assert ("down", "the listen key expired") in heard.states


async def test_a_key_is_renewed_in_time_and_a_failure_to_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert streams.RENEW_SECONDS == 1800
    monkeypatch.setattr(streams, "RENEW_SECONDS", 0.05)

    async def script(socket: ServerConnection, number: int) -> None:
        await stay(socket)

    async with server(script) as url:
        keys = Keys(url)
        keys.renewal_raises = [Unreachable("no way"), AnswerError(400, -1003, "Slow down.")]
        async with following(keys) as heard:
            await until(lambda: keys.renewed >= 5)
            assert (keys.given, heard.connected) == (1, 1)
            assert [p.partition(":")[0] for p in heard.problems] == [
                "the listen key could not be renewed"
            ] * 2


async def test_a_key_that_is_gone_at_its_renewal_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RENEW_SECONDS", 0.05)

    async def script(socket: ServerConnection, number: int) -> None:
        await stay(socket)

    async with server(script) as url:
        keys = Keys(url)
        keys.renewal_raises = [AnswerError(400, -1125, "This listenKey does not exist.")]
        async with following(keys) as heard:
            await until(lambda: heard.connected == 2)
            assert keys.given == 2
            assert ("down", "the listen key expired") in heard.states
            assert heard.problems == []


async def test_a_refused_key_is_said_and_not_hurried() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await stay(socket)

    async with server(script) as url:
        keys = Keys(url)
        keys.raises = [AnswerError(400, -1022, "Signature for this request is not valid.")]
        async with following(keys) as heard:
            await until(lambda: heard.states)
            await asyncio.sleep(0.3)
            assert heard.states == [("down", "the signature was refused")]
            assert heard.connected == 0


async def test_an_unreachable_exchange_is_tried_again() -> None:
    async def script(socket: ServerConnection, number: int) -> None:
        await stay(socket)

    async with server(script) as url:
        keys = Keys(url)
        keys.raises = [Unreachable("no way"), Unreachable("no way")]
        async with following(keys) as heard:
            await until(lambda: heard.connected == 1)
            assert [s for s, _ in heard.states] == ["down", "down", "live"]


async def test_html_instead_of_a_stream() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(page, "127.0.0.1", 0)
    keys = Keys(f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    async with following(keys) as heard:
        await until(lambda: heard.states)
        assert "HTTP 502" in heard.states[0][1]
    listening.close()


@asynccontextmanager
async def marks(url: str) -> AsyncIterator[tuple[list[MarkPrices], list[tuple[str, str]], list[str]]]:
    prices: list[MarkPrices] = []
    states: list[tuple[str, str]] = []
    problems: list[str] = []
    stream = MarkPriceStream(
        Venue("http://unused", url, 1666),
        on_prices=prices.append,
        on_state=lambda state, detail: states.append((state, detail)),
        on_problem=lambda message, raw: problems.append(message),
    )
    task = asyncio.create_task(stream.run())
    try:
        yield prices, states, problems
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_mark_prices_and_a_silent_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SILENT_SECONDS", 0.3)

    async def script(socket: ServerConnection, number: int) -> None:
        await socket.send("nonsense")
        await socket.send(json.dumps(MARKS))
        await stay(socket)

    async with server(script) as url, marks(url) as (prices, states, problems):
        await until(lambda: len(prices) >= 2)
        assert str(prices[0].prices["BTCUSDT"]) == "64000.5"
        assert any("no mark price" in detail for _, detail in states)
        assert problems


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "ws://nowhere.invalid"])
async def test_a_listening_stream_that_is_refused_says_so_for_people(url: str) -> None:
    async with marks(url) as (_, states, _problems):
        await until(lambda: len(states) > 1)
        assert all(state == "down" and "cannot be reached: " in detail for state, detail in states)
        assert not any("Errno" in detail for _, detail in states)

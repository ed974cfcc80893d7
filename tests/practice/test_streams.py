"""The practice exchange's streams: what each tells, its properties, and the pings."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.practice.client import ORDER, practice

D = Decimal
WIRE = json.loads((Path(__file__).parents[1] / "aster" / "data" / "wire.json").read_text())


def published(name: str) -> Any:
    example = WIRE[name]
    return example[0] if isinstance(example, list) else example


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        ("btcusdt@aggTrade", "Aggregate Trade Streams"),
        ("btcusdt@markPrice", "Mark Price Stream"),
        ("!markPrice@arr@1s", "Mark Price Stream for All market"),
        ("btcusdt@kline_1m", "Kline/Candlestick Streams"),
        ("btcusdt@miniTicker", "Individual Symbol Mini Ticker Stream"),
        ("!miniTicker@arr", "All Market Mini Tickers Stream"),
        ("btcusdt@ticker", "Individual Symbol Ticker Streams"),
        ("!ticker@arr", "All Market Tickers Streams"),
        ("btcusdt@bookTicker", "Individual Symbol Book Ticker Streams"),
        ("btcusdt@forceOrder", "Liquidation Order Streams"),
        ("!forceOrder@arr", "All Market Liquidation Order Streams"),
        ("btcusdt@depth5", "Partial Book Depth Streams"),
    ],
)
async def test_each_stream_has_the_published_fields(stream: str, name: str) -> None:
    async with (
        practice(volatility=D(1)) as client,
        client.session.ws_connect(f"{client.exchange.ws_url}/ws/{stream}") as socket,
    ):
        await client.ask("POST", "/fapi/v3/order", **ORDER)
        assert client.exchange.exchange.risk.deleverage(client.account["user"].lower(), "BTCUSDT")
        frame = json.loads((await socket.receive(20)).data)
        told, wanted = (frame[0] if isinstance(frame, list) else frame), published(name)
        assert isinstance(frame, list) == (
            name.startswith(("All Market Mini", "All Market Tick")) or "!mark" in stream
        )
        assert set(wanted) <= set(told)
        for inner in ("k", "o"):
            if isinstance(wanted.get(inner), dict):
                assert set(wanted[inner]) <= set(told[inner])
        assert told["e"] == wanted["e"]
        for field, value in wanted.items():
            assert type(told[field]) is type(value), field


async def test_a_combined_stream_can_be_made_a_raw_one_and_back() -> None:
    async with practice() as client, client.session.ws_connect(f"{client.exchange.ws_url}/stream") as socket:

        async def ask(method: str, *params: Any) -> Any:
            await socket.send_json({"method": method, "params": list(params), "id": 2})
            return json.loads((await socket.receive(5)).data)

        assert await ask("GET_PROPERTY", "combined") == {"result": True, "id": 2}
        assert await ask("SET_PROPERTY", "combined", False) == {"result": None, "id": 2}
        assert await ask("GET_PROPERTY", "combined") == {"result": False, "id": 2}
        assert "error" in await ask("SET_PROPERTY", "colour", True)


async def test_the_server_pings_and_a_client_that_answers_stays() -> None:
    async with (
        practice(ping_seconds=0.1, pong_seconds=0.5) as client,
        client.session.ws_connect(f"{client.exchange.ws_url}/ws/!bookTicker", autoping=False) as socket,
    ):
        pings = 0
        async with asyncio.timeout(10):
            while pings < 10:  # twice as long as a silent one would live
                message = await socket.receive()
                assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING)
                if message.type is aiohttp.WSMsgType.PING:
                    pings += 1
                    await socket.pong(message.data)


async def test_a_client_that_answers_no_ping_is_left() -> None:
    async with (
        practice(ping_seconds=0.1, pong_seconds=0.3) as client,
        client.session.ws_connect(f"{client.exchange.ws_url}/ws/!bookTicker", autoping=False) as socket,
    ):
        async with asyncio.timeout(10):
            while (await socket.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING):
                pass
        assert (await client.state())["streams"] == 0


async def test_a_clients_own_ping_is_answered() -> None:
    async with (
        practice() as client,
        client.session.ws_connect(f"{client.exchange.ws_url}/ws", autoping=False) as socket,
    ):
        await socket.ping(b"here")
        message = await socket.receive(5)
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"here")

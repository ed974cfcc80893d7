"""Orders whose answer is lost, on the practice exchange: what the resolver says is what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from aster_tui.aster.errors import AnswerError, OutcomeUnknown
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey
from aster_tui.domain.trading import Order
from aster_tui.engine.trade.outcomes import Resolver
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange

D = Decimal
ORDER = OrderRequest("BTCUSDT", "BUY", "MARKET", "lost-1", quantity=D("0.010"))


@asynccontextmanager
async def trading(window_s: int = 2, **faults: float) -> AsyncIterator[tuple[PracticeExchange, Trader]]:
    named = {name.strip("_").replace("_", "-"): value for name, value in faults.items()}
    options = PracticeOptions(accounts=1, volatility=D(0), nonce_window_s=window_s, faults=named)
    async with PracticeExchange(options) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        signer = Signer(PrivateKey.parse(account["signer_private_key"]), 1666)
        venue = Venue(exchange.rest_url, exchange.ws_url, 1666, nonce_window_s=window_s)
        nonces = NonceSource(clock_ns=lambda: time.time_ns())
        client = Trader(venue, Wallet(account["user"], signer), nonces=nonces)
        try:
            yield exchange, client
        finally:
            await client.aclose()


async def fault(exchange: PracticeExchange, name: str, value: float) -> None:
    url = f"{exchange.rest_url}/practice/faults"
    async with aiohttp.ClientSession() as session, session.post(url, json={name: value}) as answer:
        assert answer.status == 200


def held(exchange: PracticeExchange) -> Decimal:
    (account,) = exchange.exchange.accounts.values()
    return account.position("BTCUSDT").amount


@pytest.mark.parametrize("name", ["lost-reply", "503-after"])
async def test_an_executed_order_is_found_and_is_there_once(name: str) -> None:
    async with trading() as (exchange, client):
        await fault(exchange, name, 1)
        prepared = client.prepare_order(ORDER)
        with pytest.raises(OutcomeUnknown):
            await client.send_order(prepared)
        # The noop's own answer is lost the same way: it is tried, and then asked.
        done = await Resolver(client, prepared).run()
        assert done.word == "placed"
        assert done.order is not None
        assert (done.order.status, done.order.executed) == ("FILLED", D("0.010"))
        assert held(exchange) == D("0.010")
        assert exchange.exchange.executed_orders == 1


async def test_a_refused_order_is_never_placed_and_only_said_after_the_window() -> None:
    async with trading(window_s=2) as (exchange, client):
        await fault(exchange, "http503", 1)
        prepared = client.prepare_order(ORDER)
        with pytest.raises(OutcomeUnknown):
            await client.send_order(prepared)
        resolver = Resolver(client, prepared)
        running = asyncio.create_task(resolver.run())
        await asyncio.sleep(1)
        assert not running.done()  # while nothing answers and while the window is open, nothing is concluded
        await fault(exchange, "http503", 0)
        done = await asyncio.wait_for(running, 60)
        assert (done.word, done.order) == ("never-placed", None)
        assert held(exchange) == 0
        # What was burned stays burned: the very bytes, sent late, are refused.
        with pytest.raises(AnswerError, match=r"nonce|clock"):
            await client.send_order(prepared)
        assert held(exchange) == 0


async def test_the_stream_ends_it_while_the_exchange_does_not_answer() -> None:
    async with trading(window_s=30) as (exchange, client):
        await fault(exchange, "http503", 1)
        prepared = client.prepare_order(ORDER)
        resolver = Resolver(client, prepared)
        running = asyncio.create_task(resolver.run())
        await asyncio.sleep(0.3)
        other: dict[str, Any] = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "order_type": "MARKET",
            "status": "FILLED",
        }
        resolver.tell(Order(order_id=1, client_order_id="another", quantity=D(1), **other))
        await asyncio.sleep(0.1)
        assert not running.done()
        resolver.tell(Order(order_id=2, client_order_id="lost-1", quantity=D(1), **other))
        done = await asyncio.wait_for(running, 60)
        assert done.word == "placed"


async def test_a_clock_that_is_set_meanwhile_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with trading(window_s=2) as (exchange, client):
        await client.measure_clock()
        await fault(exchange, "http503", 1)
        prepared = client.prepare_order(ORDER)
        with pytest.raises(OutcomeUnknown):
            await client.send_order(prepared)
        resolver, sent = Resolver(client, prepared), time.monotonic()
        # This machine's clock jumps an hour ahead; the exchange's does not.
        real = time.time_ns
        await fault(exchange, "clock-skew-ms", -3_600_000)
        monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600_000_000_000)
        await fault(exchange, "http503", 0)
        done = await asyncio.wait_for(resolver.run(), 60)
        assert done.word == "never-placed"
        assert time.monotonic() - sent > 2

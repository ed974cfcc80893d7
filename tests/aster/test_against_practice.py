"""Every call of the client against the practice exchange, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from aster_tui.aster import streams
from aster_tui.aster.errors import AnswerError, AsterError, InvalidOrder, OutcomeUnknown
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.streams import UserStream
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.checks import OpenOrders
from aster_tui.domain.events import AccountUpdate, OrderUpdate
from aster_tui.domain.keys import PrivateKey
from aster_tui.practice.errors import TEXTS
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange

D = Decimal
MARKET = OrderRequest("BTCUSDT", "BUY", "MARKET", "m-1", quantity=D("0.010"))
LIMIT = OrderRequest("BTCUSDT", "BUY", "LIMIT", "l-1", quantity=D("0.001"), price=D(90000))


#: "Already so" is no error to remedy.
ALREADY = (-4046, -4052, -4059)


async def tell(exchange: PracticeExchange, name: str, **body: Any) -> None:
    url = f"{exchange.rest_url}/practice/{name}"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()


async def state(exchange: PracticeExchange) -> Any:
    url = f"{exchange.rest_url}/practice/state"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json()


@pytest.fixture
async def exchange() -> AsyncIterator[PracticeExchange]:
    async with PracticeExchange(PracticeOptions(accounts=1, volatility=D(0))) as running:
        yield running


@pytest.fixture
async def client(exchange: PracticeExchange) -> AsyncIterator[Trader]:
    (account,) = exchange.ready_document()["accounts"]
    signer = Signer(PrivateKey.parse(account["signer_private_key"]), 1666)
    venue = Venue(exchange.rest_url, exchange.ws_url, 1666)
    trader = Trader(venue, Wallet(account["user"], signer), nonces=NonceSource())
    yield trader
    await trader.aclose()


async def test_public_reads(client: Trader) -> None:
    await client.ping()
    clock = await client.measure_clock()
    assert abs(clock.offset_ms) < 1000
    info = await client.exchange_info()
    assert len(info.rules) == 15
    assert info.unreadable == ()
    assert (info.weight_limit, info.order_limit) == (2400, 1200)
    marks = await client.mark_prices()
    assert len(marks.prices) == 15
    depth = await client.depth("BTCUSDT", limit=5)
    best = await client.best_prices("BTCUSDT")
    assert depth.bids[0][0] == best.bid < best.ask == depth.asks[0][0]
    assert best.bid <= await client.last_price("BTCUSDT") <= best.ask
    await asyncio.sleep(0.4)
    (candle,) = await client.candles("BTCUSDT", "1m")
    day = await client.day_ticker("BTCUSDT")
    assert candle.low <= candle.close <= candle.high
    assert day.low <= day.last <= day.high
    fundings = await client.funding_rates("BTCUSDT")
    assert {later.time - one.time for one, later in pairwise(fundings)} == {8 * 3_600_000}
    assert 0 < max(abs(one.rate) for one in fundings) < D("0.01")


async def test_an_order_from_test_to_history(client: Trader) -> None:
    await client.test_order(MARKET)
    assert await client.positions() == ()
    assert await client.set_leverage("BTCUSDT", 7) == 7
    order = await client.place_order(MARKET)
    assert (order.status, order.executed) == ("FILLED", D("0.010"))
    assert (await client.order("BTCUSDT", client_order_id="m-1")).order_id == order.order_id
    (position,) = await client.positions()
    assert (position.quantity, position.leverage) == (D("0.010"), 7)
    stop = replace(MARKET, client_order_id="s-1", side="SELL", order_type="STOP_MARKET")
    await client.place_order(replace(stop, stop_price=D(96000), reduce_only=True))
    snapshot = await client.account_snapshot()
    assert [o.client_order_id for o in snapshot.open_orders or ()] == ["s-1"]
    assert snapshot.positions == (replace(position, mark_price=snapshot.positions[0].mark_price),)
    without = await client.account_snapshot(open_orders=False)
    assert without.open_orders is None
    (trade,) = await client.user_trades("BTCUSDT")
    rate = await client.commission("BTCUSDT")
    assert trade.commission == trade.price * trade.quantity * rate.taker
    assert snapshot.wallet_balance == D(1000) - trade.commission
    assert (await client.account()).wallet_balance == snapshot.wallet_balance
    assert [i.amount for i in await client.income()] == [-trade.commission]
    assert len(await client.all_orders("BTCUSDT")) == 2
    assert (await client.public_trades("BTCUSDT"))[0].quantity == D("0.010")
    await client.cancel_all("BTCUSDT")
    assert await client.open_orders() == ()


async def test_change_and_cancel(client: Trader) -> None:
    await client.place_order(LIMIT)
    changed = await client.modify_order(replace(LIMIT, price=D(91000), quantity=D("0.002")))
    assert (changed.price, changed.quantity) == (D(91000), D("0.002"))
    gone = await client.cancel_order("BTCUSDT", client_order_id="l-1")
    assert gone.status == "CANCELED"
    with pytest.raises(AnswerError) as raised:
        await client.cancel_order("BTCUSDT", client_order_id="l-1")
    assert raised.value.number == -2011
    with pytest.raises(InvalidOrder):
        await client.modify_order(MARKET)


async def test_a_batch_is_answered_order_by_order(client: Trader) -> None:
    wrong = replace(LIMIT, client_order_id="l-2", price=D("90000.05"))
    first, second, third = await client.place_batch([LIMIT, wrong, MARKET])
    assert not isinstance(first, AnswerError)
    assert isinstance(second, AnswerError)
    assert (first.status, second.number) == ("NEW", -4014)
    assert not isinstance(third, AnswerError)
    assert third.status == "FILLED"
    gone, unknown = await client.cancel_batch("BTCUSDT", ["l-1", "l-2"])
    assert not isinstance(gone, AnswerError)
    assert isinstance(unknown, AnswerError)
    for many in ([], [LIMIT] * 6):
        with pytest.raises(InvalidOrder):
            await client.place_batch(many)
    with pytest.raises(InvalidOrder):
        await client.cancel_batch("BTCUSDT", [])


async def test_a_batch_whose_answer_makes_no_sense_is_of_unknown_outcome(client: Trader) -> None:
    with pytest.raises(OutcomeUnknown):
        client._each([{}], 2)
    with pytest.raises(OutcomeUnknown):
        client._each([{"status": "NEW"}], 1)


async def test_modes_already_so_are_success_and_others_are_said(client: Trader) -> None:
    assert not await client.hedge_mode()
    for _ in range(2):  # the second time it is so already
        await client.set_hedge_mode(True)
        await client.set_margin_type("BTCUSDT", isolated=True)
    assert await client.hedge_mode()
    await client.place_order(replace(LIMIT, position_side="LONG"))
    for ask in (client.set_hedge_mode(False), client.set_margin_type("BTCUSDT", isolated=False)):
        with pytest.raises(AnswerError) as raised:
            await ask
        assert "open orders keep" in str(raised.value)
    brackets = await client.leverage_brackets("BTCUSDT")
    assert [b.leverage for b in brackets][:2] == [125, 100]


async def test_the_dead_man_timer(client: Trader) -> None:
    await client.place_order(LIMIT)
    await client.set_countdown("BTCUSDT", 200)
    async with asyncio.timeout(5):
        while await client.open_orders("BTCUSDT"):
            await asyncio.sleep(0.05)


async def test_the_user_stream_tells_what_the_client_does(exchange: PracticeExchange, client: Trader) -> None:
    events: list[Any] = []
    connected = asyncio.Event()
    stream = UserStream(
        client,
        account="0xA",
        on_event=events.append,
        on_state=lambda state, detail: None,
        on_connected=connected.set,
        on_heard=lambda: None,
        on_problem=lambda message, raw: events.append(message),
    )
    following = asyncio.create_task(stream.run())
    await asyncio.wait_for(connected.wait(), 60)
    await client.place_order(MARKET)
    async with asyncio.timeout(5):
        while len(events) < 3:
            await asyncio.sleep(0.01)
    new, trade, account = events
    assert isinstance(new, OrderUpdate)
    assert isinstance(trade, OrderUpdate)
    assert isinstance(account, AccountUpdate)
    assert (new.execution, trade.execution, trade.order.status) == ("NEW", "TRADE", "FILLED")
    assert account.positions[0].quantity == D("0.010")
    snapshot = await client.account_snapshot()
    assert account.wallets["USDT"] == snapshot.wallet_balance
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_key_lives_by_its_renewals_and_an_expired_one_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = PracticeOptions(accounts=1, volatility=D(0), listen_key_seconds=2)
    async with PracticeExchange(options) as exchange:
        (keys,) = exchange.ready_document()["accounts"]
        wallet = Wallet(keys["user"], Signer(PrivateKey.parse(keys["signer_private_key"]), 1666))
        client = Trader(Venue(exchange.rest_url, exchange.ws_url, 1666), wallet, nonces=NonceSource())
        connected: list[float] = []
        stream = UserStream(
            client,
            account="0xA",
            on_event=lambda event: None,
            on_state=lambda state, detail: None,
            on_connected=lambda: connected.append(asyncio.get_running_loop().time()),
            on_heard=lambda: None,
            on_problem=lambda message, raw: None,
        )
        monkeypatch.setattr(streams, "RENEW_SECONDS", 0.5)
        following = asyncio.create_task(stream.run())
        await asyncio.sleep(4)
        assert len(connected) == 1  # twice its life, and still the same
        monkeypatch.setattr(streams, "RENEW_SECONDS", 60)
        async with asyncio.timeout(15):
            while len(connected) < 2:
                await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.aclose()


async def test_the_legacy_scheme_end_to_end_and_neither_passes_for_the_other() -> None:
    for spoken, other in (("legacy-abi", "eip712"), ("eip712", "legacy-abi")):
        options = PracticeOptions(accounts=1, volatility=D(0), signature_scheme=spoken)
        async with PracticeExchange(options) as exchange:
            keys = exchange.ready_document()["accounts"][0]
            wallet = Wallet(keys["user"], Signer(PrivateKey.parse(keys["signer_private_key"]), 1666))
            venue = Venue(exchange.rest_url, exchange.ws_url, 1666, signature_scheme=spoken)
            client = Trader(venue, wallet)
            placed = await client.place_order(replace(LIMIT, client_order_id="ü".encode().hex()))
            assert placed.status == "NEW"
            assert (await client.cancel_order("BTCUSDT", order_id=placed.order_id)).status == "CANCELED"
            assert (await client.account_snapshot()).wallet_balance == 1000
            await client.aclose()
            client = Trader(replace(venue, signature_scheme=other), wallet)
            with pytest.raises(AnswerError) as raised:
                await client.balances()
            assert raised.value.number in (-1022, -1102)
            await client.aclose()


@pytest.mark.parametrize("code", sorted(TEXTS))
async def test_every_documented_error_is_handled_with_words_and_a_remedy(
    exchange: PracticeExchange, client: Trader, code: int
) -> None:
    await tell(exchange, "refuse", code=code, path="POST /fapi/v3/order")
    with pytest.raises(AsterError) as raised:
        await client.place_order(MARKET)
    error = raised.value
    assert (error.code, bool(error.message), bool(error.remedy)) == (str(code), True, code not in ALREADY)
    # Only what leaves no doubt counts as refused; and in no case was it sent again.
    assert isinstance(error, OutcomeUnknown) == (code in (-1000, -1001, -1006, -1007))
    assert exchange.exchange.executed_orders == 0
    if code not in (-1003, -1015):  # after those nothing is sent for a while
        assert (await client.place_order(MARKET)).status == "FILLED"


async def test_what_the_filters_would_reject_is_not_signed(
    exchange: PracticeExchange, client: Trader
) -> None:
    await client.exchange_info()
    for changes, words in (
        ({"quantity": D("0.0105")}, "moves in steps of 0.001; nearest is 0.01"),
        ({"quantity": D(121)}, "largest quantity is 120"),
        ({"symbol": "NOPEUSDT"}, "not traded here"),
        ({"quantity": D("NaN")}, "above zero"),
        ({"order_type": "LIMIT", "price": D("97000.05")}, "ticks of 0.1"),
        ({"order_type": "TRAILING_STOP_MARKET"}, "callback rate"),
        (
            {
                "order_type": "TRAILING_STOP_MARKET",
                "callback_rate": D(1),
                "activation_price": D("97000.05"),
            },
            "activation price moves in ticks of 0.1",
        ),
        ({"order_type": "TRAILING_STOP_MARKET", "callback_rate": D(6)}, "0.1 to 5 percent"),
    ):
        request = replace(MARKET, **changes)  # type: ignore[arg-type]
        for ask in (client.place_order, client.test_order, lambda r: client.place_batch([r])):
            with pytest.raises(InvalidOrder) as raised:
                await ask(request)
            assert words in str(raised.value)
    mark = (await client.mark_prices()).prices["BTCUSDT"]
    with pytest.raises(InvalidOrder, match="at most"):
        client.prepare_order(replace(LIMIT, price=D(130000)), mark)
    # Where somebody keeps mark prices and open orders, they are looked at by themselves.
    client.marks = {"BTCUSDT": mark}
    with pytest.raises(InvalidOrder, match="at most"):
        await client.place_batch([replace(LIMIT, price=D(130000))])
    client.open_orders_of = lambda symbol: OpenOrders(200, 100)
    with pytest.raises(InvalidOrder, match="takes 200 open orders"):
        await client.place_order(MARKET)
    sent = (await state(exchange))["requests"]
    assert not any(name.startswith("POST /fapi/v3/") for name in sent)


async def test_every_type_of_order_is_taken(client: Trader) -> None:
    await client.exchange_info()
    await client.place_order(MARKET)
    for kind, more in (
        ("STOP", {"stop_price": D(96000), "price": D(95900)}),
        ("STOP_MARKET", {"stop_price": D(96000)}),
        ("TAKE_PROFIT", {"stop_price": D(99000), "price": D(99100)}),
        ("TAKE_PROFIT_MARKET", {"stop_price": D(99000), "working_type": "MARK_PRICE"}),
        ("TRAILING_STOP_MARKET", {"callback_rate": D("0.5"), "activation_price": D(99000)}),
    ):
        request = OrderRequest("BTCUSDT", "SELL", kind, f"t-{kind}", quantity=D("0.010"), reduce_only=True)
        placed = await client.place_order(replace(request, **more))  # type: ignore[arg-type]
        assert (placed.order_type, placed.status, placed.reduce_only) == (kind, "NEW", True)
    assert len(await client.open_orders()) == 5

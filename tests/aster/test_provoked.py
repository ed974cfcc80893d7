"""Errors provoked for what they are, not by order of the operator: each through this client, with its kind.

The client knows no filters here, as if somebody had changed them since they were read.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from aster_tui import practice
from aster_tui.aster.errors import AnswerError, AsterError, OutcomeUnknown
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange

D = Decimal
MARKET = OrderRequest("BTCUSDT", "BUY", "MARKET", "m-1", quantity=D("0.010"))
LIMIT = OrderRequest("BTCUSDT", "BUY", "LIMIT", "l-1", quantity=D("0.001"), price=D(90000))
STOP = OrderRequest("BTCUSDT", "SELL", "STOP_MARKET", "s-1", quantity=D("0.001"), stop_price=D(90000))
TRAIL = OrderRequest(
    "BTCUSDT", "SELL", "TRAILING_STOP_MARKET", "t-1", quantity=D("0.001"), callback_rate=D(1)
)


@dataclass
class Rig:
    exchange: PracticeExchange
    client: Trader
    keys: dict[str, str]

    @property
    def user(self) -> str:
        return self.keys["user"].lower()

    def client_of(self, key: str, chain_id: int = 1666, user: str = "", **venue: Any) -> Trader:
        signer = Signer(PrivateKey.parse(key), chain_id)
        place = Venue(self.exchange.rest_url, self.exchange.ws_url, chain_id, **venue)
        return Trader(place, Wallet(user or self.keys["user"], signer), nonces=NonceSource())

    async def raw(self, method: str, path: str, **params: str) -> None:
        """A request that no call of the client makes, signed by it."""
        await self.client._signed(method, path, list(params.items()), changes=method != "GET")

    async def tell(self, name: str, **body: Any) -> None:
        url = f"{self.exchange.rest_url}/practice/{name}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            assert answer.status == 200


@asynccontextmanager
async def rig(**options: Any) -> AsyncIterator[Rig]:
    chosen = PracticeOptions(**{"accounts": 2, "volatility": D(0), **options})
    async with PracticeExchange(chosen) as exchange:
        keys = exchange.ready_document()["accounts"][0]
        made = Rig(exchange, None, keys)  # type: ignore[arg-type]
        made.client = made.client_of(keys["signer_private_key"])
        try:
            yield made
        finally:
            await made.client.aclose()


def place(request: OrderRequest, **changes: Any) -> Callable[[Rig], Awaitable[Any]]:
    return lambda r: r.client.place_order(replace(request, **changes))


def raw(method: str, path: str, **params: str) -> Callable[[Rig], Awaitable[Any]]:
    return lambda r: r.raw(method, f"/fapi/v3/{path}", **params)


ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "9",
}


def raw_order(**changes: str) -> Callable[[Rig], Awaitable[Any]]:
    return raw("POST", "order", **{k: v for k, v in {**ORDER, **changes}.items() if v != "-"})


async def hedged_long(r: Rig) -> None:
    await r.client.set_hedge_mode(True)
    await r.client.place_order(replace(MARKET, position_side="LONG"))


async def with_position(r: Rig) -> None:
    await r.client.place_order(MARKET)


async def with_order(r: Rig) -> None:
    await r.client.place_order(LIMIT)


async def isolated(r: Rig) -> None:
    await r.client.set_margin_type("BTCUSDT", isolated=True)
    await r.client.place_order(MARKET)


async def closed_symbol(r: Rig) -> None:
    await r.tell("symbol", symbol="BTCUSDT", status="CLOSE")


async def reduce_only_symbol(r: Rig) -> None:
    await r.tell("symbol", symbol="BTCUSDT", status="REDUCE_ONLY")


def may(trading: str) -> Callable[[Rig], Awaitable[None]]:
    return lambda r: r.tell("account", user=r.user, trading=trading)


def fault(**values: Any) -> Callable[[Rig], Awaitable[None]]:
    return lambda r: r.tell("faults", **{name.replace("_", "-").strip("-"): v for name, v in values.items()})


async def filled_with(r: Rig, kind: OrderRequest, count: int) -> None:
    for number in range(count):
        params = dict(replace(kind, client_order_id=f"x-{number}").parameters())
        r.exchange.exchange.place(r.user, params)


async def wrong_key(r: Rig) -> None:
    stranger = r.client_of("0x" + "11" * 32)
    await _asked(stranger, stranger.balances())


async def wrong_chain(r: Rig) -> None:
    elsewhere = r.client_of(r.keys["signer_private_key"], 714)
    await _asked(elsewhere, elsewhere.balances())


async def another_user(r: Rig) -> None:
    other = r.exchange.ready_document()["accounts"][1]["user"]
    impostor = r.client_of(r.keys["signer_private_key"], user=other)
    await _asked(impostor, impostor.balances())


async def _asked(client: Trader, asking: Awaitable[Any]) -> None:
    try:
        await asking
    finally:
        await client.aclose()


async def nonce_twice(r: Rig) -> None:
    prepared = r.client.prepare_order(MARKET)
    await r.client.send_order(prepared)
    await r.client.send_order(prepared)


async def nonce_far(r: Rig) -> None:
    behind = Trader(
        r.client.venue, r.client.wallet, nonces=NonceSource(clock_ns=lambda: time.time_ns() - 60_000_000_000)
    )
    await _asked(behind, behind.place_order(MARKET))


Step = Callable[[Rig], Awaitable[Any]]
nothing = None
#: What is done before, what provokes it, the code, and the kind this client makes of it.
CASES: dict[str, tuple[Step | None, Step, int, str]] = {
    "no symbol": (nothing, raw_order(symbol=""), -1102, "rejected"),
    "unknown symbol": (nothing, place(MARKET, symbol="NOPEUSDT"), -1121, "rejected"),
    "no side": (nothing, raw_order(side="-"), -1102, "rejected"),
    "wrong side": (nothing, raw_order(side="HOLD"), -1117, "rejected"),
    "wrong type": (nothing, raw_order(type="MAGIC"), -1116, "rejected"),
    "wrong time in force": (nothing, raw_order(timeInForce="DAY"), -1115, "rejected"),
    "unwanted time in force": (nothing, raw_order(type="MARKET", price="-"), -1106, "rejected"),
    "wrong answer type": (nothing, raw_order(newOrderRespType="FULL"), -1136, "rejected"),
    "empty client id": (nothing, raw_order(newClientOrderId=""), -1118, "rejected"),
    "client id not valid": (nothing, raw_order(newClientOrderId="a b"), -4015, "rejected"),
    "empty original client id": (
        nothing,
        raw("GET", "order", symbol="BTCUSDT", origClientOrderId=""),
        -1119,
        "rejected",
    ),
    "a flag that is none": (nothing, raw_order(reduceOnly="maybe"), -1130, "rejected"),
    "no such working type": (
        nothing,
        raw_order(type="STOP_MARKET", price="-", timeInForce="-", stopPrice="99000", workingType="X"),
        -4031,
        "rejected",
    ),
    "too many decimals": (nothing, place(MARKET, quantity=D("0.0100001")), -1111, "rejected"),
    "negative quantity": (nothing, raw_order(quantity="-1"), -4003, "rejected"),
    "small quantity": (nothing, place(MARKET, quantity=D("0.0001")), -4004, "rejected"),
    "large quantity": (nothing, place(MARKET, quantity=D(121)), -4005, "rejected"),
    "between steps": (nothing, place(MARKET, quantity=D("0.0105")), -4023, "rejected"),
    "negative price": (nothing, raw_order(price="-1"), -4001, "rejected"),
    "high price": (nothing, place(LIMIT, price=D(2_000_000)), -4002, "rejected"),
    "low price": (nothing, place(LIMIT, price=D("0.05")), -4013, "rejected"),
    "between ticks": (nothing, place(LIMIT, price=D("90000.05")), -4014, "rejected"),
    "above the band": (nothing, place(LIMIT, price=D(130000)), -4016, "rejected"),
    "below the band": (nothing, place(LIMIT, side="SELL", price=D(50000)), -4024, "rejected"),
    "negative stop": (
        nothing,
        raw_order(type="STOP_MARKET", price="-", timeInForce="-", stopPrice="-1"),
        -4006,
        "rejected",
    ),
    "high stop": (nothing, place(STOP, side="BUY", stop_price=D(2_000_000)), -4007, "rejected"),
    "limit above its stop": (
        nothing,
        place(STOP, side="BUY", order_type="STOP", stop_price=D(99000), price=D(120000)),
        -4183,
        "rejected",
    ),
    "limit below its stop": (
        nothing,
        place(STOP, order_type="STOP", stop_price=D(90000), price=D(50000)),
        -4184,
        "rejected",
    ),
    "triggers at once": (nothing, place(STOP, stop_price=D(99000)), -2021, "rejected"),
    "activation not on a tick": (nothing, place(TRAIL, activation_price=D("99000.05")), -4014, "rejected"),
    "activation below zero": (
        nothing,
        raw_order(
            type="TRAILING_STOP_MARKET", price="-", timeInForce="-", callbackRate="1", activationPrice="-1"
        ),
        -4135,
        "rejected",
    ),
    "small notional": (nothing, place(MARKET, symbol="XRPUSDT", quantity=D(1)), -4164, "rejected"),
    "closing with a quantity": (
        nothing,
        raw_order(
            type="STOP_MARKET",
            price="-",
            timeInForce="-",
            stopPrice="99000",
            closePosition="true",
            quantity="1",
        ),
        -4137,
        "rejected",
    ),
    "closing at market": (
        nothing,
        raw_order(type="MARKET", price="-", closePosition="true"),
        -4020,
        "rejected",
    ),
    "no such position side": (nothing, raw_order(positionSide="UP"), -4060, "rejected"),
    "a side in one-way mode": (nothing, place(MARKET, position_side="LONG"), -4061, "rejected"),
    "no side in hedge mode": (hedged_long, place(MARKET), -4061, "rejected"),
    "reduce-only in hedge mode": (
        hedged_long,
        raw_order(positionSide="LONG", side="SELL", reduceOnly="true"),
        -4062,
        "rejected",
    ),
    "more than there is in hedge mode": (
        hedged_long,
        place(MARKET, side="SELL", position_side="LONG", quantity=D(1)),
        -2022,
        "rejected",
    ),
    "nothing to reduce": (nothing, place(MARKET, reduce_only=True), -2022, "rejected"),
    "a client id that is open": (with_order, place(LIMIT), -4116, "rejected"),
    "no margin": (nothing, place(MARKET, quantity=D(1)), -2019, "rejected"),
    "above the bracket": (
        lambda r: r.client.set_leverage("BTCUSDT", 125),
        place(MARKET, quantity=D(1)),
        -2027,
        "rejected",
    ),
    "maker only, and would take": (
        nothing,
        place(LIMIT, price=D(98000), time_in_force="GTX"),
        -5022,
        "rejected",
    ),
    "too many orders": (lambda r: filled_with(r, LIMIT, 200), place(LIMIT), -2025, "rejected"),
    "too many stops": (
        lambda r: filled_with(r, replace(STOP, side="BUY", stop_price=D(99000)), 100),
        place(STOP, side="BUY", stop_price=D(99000)),
        -4045,
        "rejected",
    ),
    "only reducing": (reduce_only_symbol, place(MARKET), -4140, "rejected"),
    "closed": (closed_symbol, place(MARKET), -4141, "rejected"),
    "may only reduce": (may("reduce"), place(MARKET), -4087, "key"),
    "may not trade": (may("none"), place(MARKET), -4088, "key"),
    "not approved": (may("unknown"), place(MARKET), -1000, "key"),
    "a stranger's key": (nothing, wrong_key, -1000, "key"),
    "another's account": (nothing, another_user, -1000, "key"),
    "another chain": (nothing, wrong_chain, -1022, "key"),
    "a nonce twice": (nothing, nonce_twice, -4225, "clock"),
    "a nonce far behind": (nothing, nonce_far, -1021, "clock"),
    "no such order": (
        nothing,
        lambda r: r.client.order("BTCUSDT", client_order_id="none"),
        -2013,
        "rejected",
    ),
    "nothing to cancel": (
        nothing,
        lambda r: r.client.cancel_order("BTCUSDT", client_order_id="none"),
        -2011,
        "rejected",
    ),
    "nothing to change": (nothing, lambda r: r.client.modify_order(LIMIT), -2013, "rejected"),
    "changing a stop": (
        lambda r: r.client.place_order(replace(STOP, client_order_id="l-1")),
        lambda r: r.client.modify_order(LIMIT),
        -4000,
        "rejected",
    ),
    "an empty batch": (nothing, raw("POST", "batchOrders", batchOrders="[]"), -4082, "rejected"),
    "too many to cancel": (
        nothing,
        raw("DELETE", "batchOrders", symbol="BTCUSDT", orderIdList=str(list(range(1, 12))).replace(" ", "")),
        -4032,
        "rejected",
    ),
    "leverage out of range": (nothing, lambda r: r.client.set_leverage("BTCUSDT", 126), -4028, "rejected"),
    "leverage without margin": (
        lambda r: r.client.place_order(replace(MARKET, quantity=D("0.1"))),
        lambda r: r.client.set_leverage("BTCUSDT", 1),
        -2028,
        "rejected",
    ),
    "leverage of an isolated position": (
        isolated,
        lambda r: r.client.set_leverage("BTCUSDT", 2),
        -4161,
        "rejected",
    ),
    "margin type already": (
        nothing,
        raw("POST", "marginType", symbol="BTCUSDT", marginType="CROSSED"),
        -4046,
        "already",
    ),
    "margin type with orders": (
        with_order,
        lambda r: r.client.set_margin_type("BTCUSDT", isolated=True),
        -4047,
        "rejected",
    ),
    "margin type with a position": (
        with_position,
        lambda r: r.client.set_margin_type("BTCUSDT", isolated=True),
        -4048,
        "rejected",
    ),
    "position mode already": (
        nothing,
        raw("POST", "positionSide/dual", dualSidePosition="false"),
        -4059,
        "already",
    ),
    "position mode with orders": (with_order, lambda r: r.client.set_hedge_mode(True), -4067, "rejected"),
    "position mode with a position": (
        with_position,
        lambda r: r.client.set_hedge_mode(True),
        -4068,
        "rejected",
    ),
    "no listen key": (nothing, lambda r: r.client.renew_listen_key(), -1125, "rejected"),
    "no such depth": (nothing, lambda r: r.client.depth("BTCUSDT", limit=7), -4021, "rejected"),
    "no such interval": (
        nothing,
        lambda r: r.client._read("/fapi/v3/klines", [("symbol", "BTCUSDT"), ("interval", "1y")]),
        -1120,
        "rejected",
    ),
    "ends before it starts": (
        nothing,
        raw("GET", "userTrades", symbol="BTCUSDT", startTime="9", endTime="8"),
        -1023,
        "rejected",
    ),
    "too long a time": (
        nothing,
        raw("GET", "userTrades", symbol="BTCUSDT", startTime="1", endTime=str(10**12)),
        -1127,
        "rejected",
    ),
    "a parameter twice": (
        nothing,
        lambda r: r.client._once("GET", "/fapi/v3/depth", "symbol=BTCUSDT&symbol=ETHUSDT", changes=False),
        -1101,
        "rejected",
    ),
    "too many requests": (fault(_429=1), lambda r: r.client.balances(), -1003, "rate-limited"),
    "too thin a book": (
        lambda r: r.client.place_order(MARKET),
        lambda r: _sweep(r),
        -4131,
        "rejected",
    ),
}


async def _sweep(r: Rig) -> None:
    await r.tell("price", symbol="BTCUSDT", price="97250", mark="200000")
    await r.client.place_order(replace(MARKET, side="SELL", reduce_only=True))


@pytest.mark.parametrize("name", sorted(CASES))
async def test_what_is_provoked_has_its_code_kind_words_and_remedy(name: str) -> None:
    before, provoke, code, kind = CASES[name]
    async with rig() as r:
        if before is not None:
            await before(r)
        with pytest.raises(AsterError) as raised:
            await provoke(r)
        error = raised.value
        assert isinstance(error, AnswerError), error
        assert (error.number, error.meaning.kind) == (code, kind)
        assert error.message
        assert len((error.message + error.remedy).splitlines()) == 1
        assert bool(error.remedy) == (kind != "already")
        rejected = r.exchange._api.rejected
        assert rejected[str(code)] >= 1


@pytest.mark.parametrize("name", ["503-after", "lost-reply", "http503", "html500"])
async def test_a_failure_of_the_exchange_leaves_an_order_unknown(name: str) -> None:
    async with rig(faults={name: 1}) as r:
        with pytest.raises(OutcomeUnknown, match="may have happened"):
            await r.client.place_order(MARKET)


async def test_too_many_orders_and_then_a_ban() -> None:
    async with rig(faults={"limits": 1}, order_limit=5, weight_limit=40) as r:
        for number in range(5):
            await r.client.place_order(replace(MARKET, client_order_id=f"n-{number}", quantity=D("0.001")))
        with pytest.raises(AnswerError) as raised:
            await r.client.place_order(MARKET)
        assert (raised.value.number, raised.value.meaning.kind) == (-1015, "rate-limited")
        # Somebody else on this address does not stop at 429.
        kinds = set()
        async with aiohttp.ClientSession() as session:
            for _ in range(60):
                url = f"{r.exchange.rest_url}/fapi/v3/ping?{urlencode({'x': 1})}"
                async with session.get(url) as answer:
                    kinds.add(answer.status)
        assert kinds == {200, 429, 418}
        with pytest.raises(AnswerError) as raised:
            await r.client.balances()
        assert (raised.value.number, raised.value.meaning.kind) == (-1003, "banned")
        await asyncio.sleep(0)


def test_all_that_the_practice_exchange_can_refuse_by_itself_is_provoked_here() -> None:
    folder = Path(practice.__file__).parent
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    raised = {int(code) for code in re.findall(r"(?:refuse|other|VenueError)\((-\d+)", source)}
    assert raised - {case[2] for case in CASES.values()} == {-1015}  # which has a test of its own above

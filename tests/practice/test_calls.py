"""The practice exchange as a server: the calls beside orders, market streams, limits, and its operator."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aster_tui.practice.errors import TEXTS
from tests.practice.client import LIMIT, ORDER, practice

D = Decimal


async def test_batches_answer_each_order_in_its_place() -> None:
    async with practice() as client:
        rows = [
            {**LIMIT, "price": "90000", "newClientOrderId": "one"},
            {**LIMIT, "price": "90000.05"},
            {**ORDER, "quantity": 0.010},
        ]
        first, second, third = await client.ask("POST", "/fapi/v3/batchOrders", batchOrders=json.dumps(rows))
        assert (first["status"], second["code"], third["status"]) == ("NEW", -4014, "FILLED")
        ids = json.dumps([first["orderId"], 1])
        gone, unknown = await client.ask("DELETE", "/fapi/v3/batchOrders", symbol="BTCUSDT", orderIdList=ids)
        assert (gone["status"], unknown["code"]) == ("CANCELED", -2011)
        assert (await client.state())["rejected"] == {"-4014": 1, "-2011": 1}
        for wrong in ("[]", json.dumps([LIMIT] * 6), "{}", "nonsense"):
            status, _ = await client.raw("POST", "/fapi/v3/batchOrders", client.signed(batchOrders=wrong))
            assert status == 400


async def test_a_resting_limit_is_changed_and_may_fill_by_it() -> None:
    async with practice() as client:
        order = await client.ask("POST", "/fapi/v3/order", **LIMIT, price="90000")
        same = {"symbol": "BTCUSDT", "side": "BUY", "orderId": str(order["orderId"])}
        changed = await client.ask("PUT", "/fapi/v3/order", **same, quantity="0.002", price="91000")
        assert (changed["price"], changed["origQty"], changed["status"]) == ("91000", "0.002", "NEW")
        crossed = await client.ask("PUT", "/fapi/v3/order", **same, quantity="0.002", price="98000")
        assert crossed["status"] == "FILLED"
        late = client.signed(**same, quantity="0.002", price="91000")
        assert (await client.raw("PUT", "/fapi/v3/order", late))[1]["code"] == -2013


async def test_the_dead_man_timer_cancels_unless_it_is_stopped() -> None:
    async with practice() as client:
        await client.ask("POST", "/fapi/v3/order", **LIMIT, price="90000")
        path = "/fapi/v3/countdownCancelAll"
        await client.ask("POST", path, symbol="BTCUSDT", countdownTime="300")
        await client.ask("POST", path, symbol="BTCUSDT", countdownTime="0")
        await asyncio.sleep(0.8)
        assert len(await client.ask("GET", "/fapi/v3/openOrders")) == 1
        await client.ask("POST", path, symbol="BTCUSDT", countdownTime="300")
        async with asyncio.timeout(5):
            while await client.ask("GET", "/fapi/v3/openOrders"):
                await asyncio.sleep(0.05)


async def test_what_happened_is_told_and_adds_up_to_the_wallet() -> None:
    async with practice() as client:
        for side in ("BUY", "SELL"):
            await client.ask("POST", "/fapi/v3/order", **{**ORDER, "side": side})
        fills = await client.ask("GET", "/fapi/v3/userTrades", symbol="BTCUSDT")
        income = await client.ask("GET", "/fapi/v3/income")
        wallet = D((await client.ask("GET", "/fapi/v3/balance"))[0]["balance"])
        assert [f["side"] for f in fills] == ["BUY", "SELL"]
        assert wallet == D(1000) + sum(D(f["realizedPnl"]) - D(f["commission"]) for f in fills)
        assert wallet == D(1000) + sum(D(row["income"]) for row in income)
        assert len(await client.ask("GET", "/fapi/v3/allOrders", symbol="BTCUSDT")) == 2
        rate = await client.ask("GET", "/fapi/v3/commissionRate", symbol="BTCUSDT")
        assert D(fills[0]["commission"]) == D(fills[0]["quoteQty"]) * D(rate["takerCommissionRate"])


async def test_modes_change_only_without_orders_and_positions() -> None:
    async with practice() as client:

        async def code(path: str, **params: str) -> int:
            return int((await client.raw("POST", f"/fapi/v3/{path}", client.signed(**params)))[1]["code"])

        mode, margin = "positionSide/dual", "marginType"
        assert await code(mode, dualSidePosition="false") == -4059
        assert await code(margin, symbol="BTCUSDT", marginType="CROSSED") == -4046
        resting = await client.ask("POST", "/fapi/v3/order", **LIMIT, price="90000")
        assert await code(mode, dualSidePosition="true") == -4067
        assert await code(margin, symbol="BTCUSDT", marginType="ISOLATED") == -4047
        await client.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", orderId=str(resting["orderId"]))
        await client.ask("POST", "/fapi/v3/order", **ORDER)
        assert await code(mode, dualSidePosition="true") == -4068
        assert await code(margin, symbol="BTCUSDT", marginType="ISOLATED") == -4048
        await client.ask("POST", "/fapi/v3/order", **{**ORDER, "side": "SELL"})
        assert await code(margin, symbol="BTCUSDT", marginType="ISOLATED") == 200
        assert await code(mode, dualSidePosition="true") == 200
        assert (await client.ask("GET", "/fapi/v3/positionSide/dual")) == {"dualSidePosition": True}
        rows = await client.ask("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")
        assert [(r["positionSide"], r["marginType"]) for r in rows] == [
            ("LONG", "isolated"),
            ("SHORT", "isolated"),
        ]


def test_every_published_error_is_among_those_that_can_be_provoked() -> None:
    published = json.loads((Path(__file__).parents[1] / "aster" / "data" / "errors.json").read_text())
    assert {row["code"] for row in published} <= set(TEXTS)


@pytest.mark.parametrize("code", sorted(TEXTS))
async def test_every_documented_error_can_be_provoked_once(code: int) -> None:
    async with practice() as client:
        asked = {"code": code, "path": "POST /fapi/v3/order"}
        async with client.session.post(f"{client.exchange.rest_url}/practice/refuse", json=asked) as told:
            assert told.status == 200
        await client.ask("GET", "/fapi/v3/balance")  # another path is left alone
        status, answer = await client.raw("POST", "/fapi/v3/order", client.signed(**ORDER))
        assert (status, answer) == (400, {"code": code, "msg": TEXTS[code]})
        assert (await client.state())["executed_orders"] == 0
        assert (await client.ask("POST", "/fapi/v3/order", **ORDER))["orderId"]


async def test_past_the_weight_comes_429_and_past_patience_a_ban() -> None:
    minutes = [0, 1]
    while minutes[0] != minutes[-1]:  # when the minute turns meanwhile, it begins anew
        async with practice(faults={"limits": 1}, weight_limit=200) as client:
            url, seen = f"{client.exchange.rest_url}/fapi/v3/aggTrades?symbol=BTCUSDT", []
            minutes = [client.exchange.exchange.now() // 60_000]
            for _ in range(30):
                async with client.session.get(url) as answer:
                    seen.append((answer.status, int(answer.headers.get("Retry-After", 0))))
            minutes.append(client.exchange.exchange.now() // 60_000)
            # Banned is banned, whatever the weight of the minute.
            assert (await client.raw("GET", "/fapi/v3/ping", ""))[0] == 418
    statuses = [status for status, _ in seen]
    first = statuses.index(429)
    assert (first, statuses.count(429)) == (10, 10)
    assert 0 < seen[first][1] <= 60
    assert statuses[-1] == 418
    assert 60 < seen[-1][1] <= 120


async def test_too_many_orders_of_an_account_are_refused() -> None:
    async with practice(faults={"limits": 1}, order_limit=50) as client:
        rows = json.dumps([{**ORDER, "newClientOrderId": ""}] * 5)
        codes = []
        for _ in range(25):  # more than two minutes' worth: one of them is too much
            _, answer = await client.raw("POST", "/fapi/v3/batchOrders", client.signed(batchOrders=rows))
            codes.append(answer["code"] if isinstance(answer, dict) else 0)
        assert -1015 in codes
        assert codes.count(0) <= 20


async def test_streams_are_subscribed_listed_and_left() -> None:
    async with (
        practice(volatility=D(1)) as client,
        client.session.ws_connect(f"{client.exchange.ws_url}/stream") as socket,
    ):

        async def ask(method: str, *names: str) -> Any:
            await socket.send_json({"method": method, "params": list(names), "id": 7})
            async with asyncio.timeout(5):
                while True:
                    answer = await socket.receive_json()
                    if answer.get("id") == 7 or "error" in answer:
                        return answer

        names = ["btcusdt@markPrice@1s", "btcusdt@bookTicker", "btcusdt@kline_1m", "ethusdt@depth5"]
        names += ["btcusdt@aggTrade", "solusdt@miniTicker", "!bookTicker", "!markPrice@arr"]
        assert await ask("SUBSCRIBE", *names) == {"result": None, "id": 7}
        assert (await ask("LIST_SUBSCRIPTIONS"))["result"] == sorted(names)
        await client.ask("POST", "/fapi/v3/order", **ORDER)
        heard: dict[str, Any] = {}
        async with asyncio.timeout(5):
            while len(heard) < len(names):
                frame = await socket.receive_json()
                heard[frame["stream"]] = frame["data"]
        book = heard["btcusdt@bookTicker"]
        assert D(book["b"]) < D(book["a"])
        assert heard["btcusdt@aggTrade"]["q"] == "0.010"
        assert len(heard["ethusdt@depth5"]["b"]) == 5
        assert await ask("UNSUBSCRIBE", *names) == {"result": None, "id": 7}
        assert (await ask("LIST_SUBSCRIPTIONS"))["result"] == []
        assert "error" in await ask("SUBSCRIBE", "nonsense")
        assert "error" in await ask("SHOUT")


async def test_a_client_that_says_too_much_is_cut_off() -> None:
    async with practice() as client, client.session.ws_connect(f"{client.exchange.ws_url}/ws") as socket:
        for number in range(40):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        async with asyncio.timeout(5):
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert socket.close_code == 1008


async def test_a_connection_ends_with_its_life() -> None:
    async with (
        practice(stream_life_seconds=1) as client,
        client.session.ws_connect(f"{client.exchange.ws_url}/ws/!markPrice@arr") as socket,
    ):
        async with asyncio.timeout(10):
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert socket.closed


async def test_the_operator_closes_symbols_and_takes_permissions() -> None:
    async with practice() as client:

        async def tell(name: str, **body: Any) -> int:
            url = f"{client.exchange.rest_url}/practice/{name}"
            async with client.session.post(url, json=body) as answer:
                return answer.status

        async def refused(**changes: str) -> Any:
            string = client.signed(**{**ORDER, **changes})
            return (await client.raw("POST", "/fapi/v3/order", string))[1].get("code")

        user = client.account["user"]
        await client.ask("POST", "/fapi/v3/order", **ORDER)
        assert await tell("symbol", symbol="BTCUSDT", status="REDUCE_ONLY") == 200
        assert await refused() == -4140
        assert await tell("symbol", symbol="BTCUSDT", status="CLOSE") == 200
        assert await refused() == -4141
        info = (await client.raw("GET", "/fapi/v3/exchangeInfo", ""))[1]
        assert next(s["status"] for s in info["symbols"] if s["symbol"] == "BTCUSDT") == "CLOSE"
        assert await tell("symbol", symbol="BTCUSDT", status="TRADING") == 200
        for trading, code in (("reduce", -4087), ("none", -4088), ("unknown", -1000)):
            assert await tell("account", user=user, trading=trading) == 200
            assert await refused() == code
        assert await tell("account", user=user, trading="all") == 200
        assert await refused(side="SELL", reduceOnly="true") is None
        for name, body in (
            ("symbol", {"symbol": "NO", "status": "CLOSE"}),
            ("symbol", {"symbol": "BTCUSDT", "status": "?"}),
            ("account", {"user": "0x0", "trading": "all"}),
            ("account", {"user": user, "trading": "?"}),
            ("adl", {"user": user, "symbol": "ETHUSDT"}),
            ("refuse", {"code": -9}),
            ("refuse", {"code": -1000, "times": 0}),
            ("refuse", {"code": -1000, "status": 200}),
        ):
            assert await tell(name, **body) == 400, (name, body)


async def test_market_data_agrees_with_itself() -> None:
    async with practice(volatility=D(1)) as client:
        await client.ask("POST", "/fapi/v3/order", **ORDER)
        await asyncio.sleep(0.6)

        async def public(path: str) -> Any:
            name, _, query = path.partition("?")
            return (await client.raw("GET", f"/fapi/v3/{name}", query))[1]

        depth = await public("depth?symbol=BTCUSDT&limit=10")
        assert D(depth["bids"][0][0]) < D(depth["asks"][0][0])
        assert [D(p) for p, _ in depth["asks"]] == sorted(D(p) for p, _ in depth["asks"])
        day = await public("ticker/24hr?symbol=BTCUSDT")
        assert D(day["lowPrice"]) <= D(day["lastPrice"]) <= D(day["highPrice"])
        assert D(day["volume"]) > 0
        (*_, candle) = await public("klines?symbol=BTCUSDT&interval=1h")
        assert D(candle[3]) <= D(candle[4]) <= D(candle[2])
        (mine,) = await client.ask("GET", "/fapi/v3/userTrades", symbol="BTCUSDT")
        trades = {t["id"]: t for t in await public("trades?symbol=BTCUSDT")}
        joined = {t["a"]: t for t in await public("aggTrades?symbol=BTCUSDT")}
        assert (trades[mine["id"]]["qty"], joined[mine["id"]]["q"]) == ("0.010", "0.010")
        assert trades[mine["id"]]["isBuyerMaker"] is False
        assert len(await public("ticker/price")) == len(await public("ticker/bookTicker")) == 15
        assert (await public("depth?symbol=BTCUSDT&limit=7"))["code"] == -4021
        assert (await public("klines?symbol=BTCUSDT&interval=1y"))["code"] == -1120

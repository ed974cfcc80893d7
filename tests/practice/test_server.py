"""The practice exchange as a server: orders, signatures, nonces, streams, faults, the command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from eth_account import Account

from tests.practice.client import ORDER, practice, sign

D = Decimal


async def test_an_order_end_to_end() -> None:
    async with practice() as client:
        order = await client.ask("POST", "/fapi/v3/order", **ORDER, newClientOrderId="mine")
        assert (order["status"], order["executedQty"]) == ("FILLED", "0.010")
        again = await client.ask("GET", "/fapi/v3/order", symbol="BTCUSDT", origClientOrderId="mine")
        assert again["orderId"] == order["orderId"]
        rows = await client.ask("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")
        assert rows[0]["positionAmt"] == "0.010"
        state = await client.state()
        held = state["accounts"][client.account["user"]]
        assert held["positions"][0]["positionAmt"] == "0.010"
        assert (state["executed_orders"], state["requests"]["POST /fapi/v3/order"]) == (1, 1)


async def test_an_acknowledgement_says_nothing_of_what_was_executed() -> None:
    async with practice() as client:
        order = await client.ask("POST", "/fapi/v3/order", **{**ORDER, "newOrderRespType": "ACK"})
        assert (order["status"], order["executedQty"]) == ("NEW", "0")


@pytest.mark.parametrize("spelling", ["0x", "", "upper", "v0"])
async def test_signatures_of_every_spelling_are_taken(spelling: str) -> None:
    async with practice() as client:
        string = client.string()
        signature = sign(string, client.account["signer_private_key"])
        if spelling == "v0":
            signature = signature[:-2] + f"{int(signature[-2:], 16) - 27:02x}"
        shown = {"0x": f"0x{signature}", "upper": f"0X{signature.upper()}"}.get(spelling, signature)
        status, body = await client.raw("GET", "/fapi/v3/balance", f"{string}&signature={shown}")
        assert status == 200, body


async def test_a_users_own_key_may_sign_for_itself_and_the_query_may_carry_a_post() -> None:
    async with practice() as client:
        user = client.account["user"]
        client.nonce += 1
        string = urlencode({**ORDER, "nonce": str(client.nonce), "user": user, "signer": user})
        signature = sign(string, client.account["user_private_key"])
        status, body = await client.raw(
            "POST", "/fapi/v3/order", f"{string}&signature={signature}", query=True
        )
        assert status == 200, body


async def test_any_changed_byte_is_refused_and_nothing_happens() -> None:
    async with practice() as client:
        signed = client.signed(**ORDER)
        body = bytearray(signed.encode())
        end = signed.index("&signature=")
        places = [*range(0, end, 7), *range(end + len("&signature=0x"), len(body), 9)]
        for place in places:
            changed = bytearray(body)
            changed[place] = ord("7") if changed[place] != ord("7") else ord("8")
            status, answer = await client.raw("POST", "/fapi/v3/order", changed.decode())
            assert status == 400, (place, answer)
            assert answer["code"] in (-1000, -1021, -1022, -1101, -1102), (place, answer)
        assert (await client.state())["executed_orders"] == 0
        assert (await client.raw("POST", "/fapi/v3/order", signed))[0] == 200


async def test_nonce_rules() -> None:
    async with practice(nonce_window_s=5) as client:
        signed = client.signed()
        assert (await client.raw("GET", "/fapi/v3/balance", signed))[0] == 200
        assert (await client.raw("GET", "/fapi/v3/balance", signed))[1]["code"] == -4225
        for far in (-6_000_000, 6_000_000):
            kept, client.nonce = client.nonce, time.time_ns() // 1000 + far
            assert (await client.raw("GET", "/fapi/v3/balance", client.signed()))[1]["code"] == -1021
            client.nonce = kept
        old = client.nonce
        client.nonce += 1000
        for _ in range(100):
            assert (await client.raw("GET", "/fapi/v3/balance", client.signed()))[0] == 200
        client.nonce = old
        assert (await client.raw("GET", "/fapi/v3/balance", client.signed()))[1]["code"] == -4225


async def test_a_strangers_signer_and_a_foreign_user_are_refused() -> None:
    async with practice() as client:
        stranger = Account.create()
        real = client.account
        client.account = {**real, "signer": stranger.address, "signer_private_key": stranger.key.hex()}
        assert (await client.raw("GET", "/fapi/v3/balance", client.signed()))[1]["msg"] == "No agent found"
        other = client.exchange.ready_document()["accounts"][1]
        client.account = {**real, "user": other["user"]}
        assert (await client.raw("GET", "/fapi/v3/balance", client.signed()))[1]["msg"] == "No agent found"


async def test_missing_parts_of_the_authentication() -> None:
    async with practice() as client:
        for string in ("", "symbol=BTCUSDT", client.string()):
            assert (await client.raw("GET", "/fapi/v3/balance", string))[1]["code"] == -1102
        twice = client.signed(symbol="BTCUSDT") + "&symbol=ETHUSDT"
        assert (await client.raw("GET", "/fapi/v3/openOrders", twice))[1]["code"] in (-1022, -1101)


async def test_unknown_paths_orders_and_keys() -> None:
    async with practice() as client:
        status, _ = await client.raw("GET", "/fapi/v3/nothing", "")
        assert status == 404
        one = client.signed(symbol="BTCUSDT", orderId="1")
        assert (await client.raw("GET", "/fapi/v3/order", one))[1]["code"] == -2013
        two = client.signed(symbol="BTCUSDT", orderId="1")
        assert (await client.raw("DELETE", "/fapi/v3/order", two))[1]["code"] == -2011
        assert (await client.raw("PUT", "/fapi/v3/listenKey", client.signed()))[1]["code"] == -1125


async def test_cancel_one_and_all() -> None:
    async with practice() as client:
        limit = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.001",
        }
        first = await client.ask("POST", "/fapi/v3/order", **limit, price="90000")
        await client.ask("POST", "/fapi/v3/order", **limit, price="91000")
        assert len(await client.ask("GET", "/fapi/v3/openOrders")) == 2
        gone = await client.ask("DELETE", "/fapi/v3/order", symbol="BTCUSDT", orderId=str(first["orderId"]))
        assert gone["status"] == "CANCELED"
        assert (await client.ask("DELETE", "/fapi/v3/allOpenOrders", symbol="BTCUSDT"))["code"] == "200"
        assert await client.ask("GET", "/fapi/v3/openOrders") == []


async def test_weights_and_order_counts_are_told() -> None:
    async with practice() as client:
        async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/ping") as answer:
            first = int(answer.headers["X-MBX-USED-WEIGHT-1m"])
        url = f"{client.exchange.rest_url}/fapi/v3/openOrders?{client.signed()}"
        from yarl import URL

        async with client.session.get(URL(url, encoded=True)) as answer:
            second = int(answer.headers["X-MBX-USED-WEIGHT-1m"])
        # Each is told its own: the limits refuse nobody, so nobody keeps back for others on this address.
        assert (first, second) == (1, 40)
        async with client.session.post(
            f"{client.exchange.rest_url}/practice/faults", json={"limits": 1}
        ) as answer:
            assert answer.status == 200
        async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/ping") as answer:
            assert int(answer.headers["X-MBX-USED-WEIGHT-1m"]) in (42, 1)  # a new minute begins anew
        async with client.session.post(
            f"{client.exchange.rest_url}/fapi/v3/order",
            data=client.signed(**ORDER),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ) as answer:
            assert answer.headers["X-MBX-ORDER-COUNT-1m"] == "1"


async def test_the_user_stream_tells_fills_leverage_and_triggers() -> None:
    async with practice() as client:
        key = (await client.ask("POST", "/fapi/v3/listenKey"))["listenKey"]
        assert (await client.ask("POST", "/fapi/v3/listenKey"))["listenKey"] == key
        async with client.session.ws_connect(f"{client.exchange.ws_url}/ws/{key}") as socket:
            await client.ask("POST", "/fapi/v3/leverage", symbol="BTCUSDT", leverage="7")
            await client.ask("POST", "/fapi/v3/order", **ORDER)
            stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010"}
            await client.ask("POST", "/fapi/v3/order", **stop, stopPrice="96000", reduceOnly="true")
            price = {"symbol": "BTCUSDT", "price": "95000"}
            async with client.session.post(
                f"{client.exchange.rest_url}/practice/price", json=price
            ) as answer:
                assert answer.status == 200
            events = [json.loads((await socket.receive(5)).data) for _ in range(8)]
        kinds = [(e["e"], e.get("o", {}).get("X")) for e in events]
        trade = "ORDER_TRADE_UPDATE"
        assert kinds == [
            ("ACCOUNT_CONFIG_UPDATE", None),
            (trade, "NEW"),
            (trade, "FILLED"),
            ("ACCOUNT_UPDATE", None),
            (trade, "NEW"),
            (trade, "NEW"),
            (trade, "FILLED"),
            ("ACCOUNT_UPDATE", None),
        ]
        times = [e["E"] for e in events]
        assert times == sorted(times)
        assert events[-1]["a"]["P"][0]["pa"] == "0"


async def test_one_account_does_not_hear_another() -> None:
    async with practice() as client:
        mine = client.account
        client.account = client.exchange.ready_document()["accounts"][1]
        key = (await client.ask("POST", "/fapi/v3/listenKey"))["listenKey"]
        client.account = mine
        async with client.session.ws_connect(f"{client.exchange.ws_url}/ws/{key}") as socket:
            await client.ask("POST", "/fapi/v3/order", **ORDER)
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive(0.3)


async def test_a_listen_key_that_ends_says_so_and_an_unknown_one_opens_nothing() -> None:
    async with practice(listen_key_seconds=0.5) as client:
        key = (await client.ask("POST", "/fapi/v3/listenKey"))["listenKey"]
        async with client.session.ws_connect(f"{client.exchange.ws_url}/ws/{key}") as socket:
            assert json.loads((await socket.receive(5)).data)["e"] == "listenKeyExpired"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.session.ws_connect(f"{client.exchange.ws_url}/ws/{key}")


@pytest.mark.parametrize(
    ("path", "wrapped"),
    [
        ("/ws/!markPrice@arr@1s", False),
        ("/stream?streams=btcusdt@markPrice@1s", True),
        ("/ws/btcusdt@markPrice", False),
    ],
)
async def test_mark_prices_are_pushed_each_second(path: str, wrapped: bool) -> None:
    async with (
        practice(volatility=D(1)) as client,
        client.session.ws_connect(client.exchange.ws_url + path) as socket,
    ):
        first, second = [json.loads((await socket.receive(5)).data) for _ in range(2)]
        if wrapped:
            assert first["stream"] == "btcusdt@markPrice@1s"
            first, second = first["data"], second["data"]
        if isinstance(first, list):
            assert len(first) == 15
            first, second = first[0], second[0]
        assert first["e"] == "markPriceUpdate"
        assert 500 < second["E"] - first["E"] < 3000
        assert first["p"] != second["p"]


@pytest.mark.parametrize(("fault", "status"), [("html500", 500), ("http503", 503)])
async def test_faults_refuse_and_end(fault: str, status: int) -> None:
    async with practice() as client:
        faults = f"{client.exchange.rest_url}/practice/faults"
        async with client.session.post(faults, json={fault: 1}) as answer:
            assert answer.status == 200
        async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/ping") as answer:
            assert answer.status == status
        async with client.session.post(faults, json={fault: None}) as answer:
            assert answer.status == 200
        async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/ping") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("fault", ["lost-reply", "503-after"])
async def test_executed_and_then_no_answer(fault: str) -> None:
    async with practice(faults={fault: 1}) as client:
        string = client.signed(**ORDER)
        if fault == "lost-reply":
            with pytest.raises(aiohttp.ClientError):
                await client.raw("POST", "/fapi/v3/order", string)
        else:
            assert (await client.raw("POST", "/fapi/v3/order", string))[0] == 503
        assert (await client.state())["executed_orders"] == 1


async def test_a_noop_burns_a_nonce_or_proves_that_it_was_used() -> None:
    async with practice() as client:
        late = client.signed(**ORDER)
        nonce = client.nonce
        client.nonce -= 1
        fence = client.signed()
        assert client.nonce == nonce
        assert await client.raw("POST", "/fapi/v3/noop", fence) == (200, {"code": 200, "msg": "success"})
        assert (await client.raw("POST", "/fapi/v3/order", late))[1]["code"] == -4225
        await client.ask("POST", "/fapi/v3/order", **ORDER)
        client.nonce -= 1
        assert (await client.raw("POST", "/fapi/v3/noop", client.signed()))[1]["code"] == -4225
        assert (await client.state())["executed_orders"] == 1


async def test_429_says_when_to_come_back() -> None:
    async with practice(faults={"429": 1}) as client:
        answer = await client.session.get(f"{client.exchange.rest_url}/fapi/v3/ping")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert (await answer.json())["code"] == -1003


async def test_a_skewed_clock() -> None:
    async with practice(faults={"clock-skew-ms": 3_600_000}) as client:
        async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/time") as answer:
            assert (await answer.json())["serverTime"] - time.time() * 1000 > 3_500_000
        assert (await client.raw("GET", "/fapi/v3/balance", client.signed()))[1]["code"] == -1021
        # When it ends, the time is the true one again: it does not stand still until it has caught up.
        for skew in (0, -3_600_000, 0):
            faults = f"{client.exchange.rest_url}/practice/faults"
            async with client.session.post(faults, json={"clock-skew-ms": skew}) as answer:
                assert answer.status == 200
            async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/time") as answer:
                now = (await answer.json())["serverTime"]
            assert abs(now - skew - time.time() * 1000) < 5_000
        assert (await client.raw("GET", "/fapi/v3/balance", client.signed()))[0] == 200


async def test_streams_that_double_swap_and_lose() -> None:
    async def sequence(**faults: float) -> list[str]:
        async with practice(
            faults={name.replace("_", "-"): value for name, value in faults.items()}
        ) as client:
            key = (await client.ask("POST", "/fapi/v3/listenKey"))["listenKey"]
            async with client.session.ws_connect(f"{client.exchange.ws_url}/ws/{key}") as socket:
                await client.ask("POST", "/fapi/v3/order", **ORDER)
                found = []
                while True:
                    try:
                        event = json.loads((await socket.receive(1)).data)
                    except TimeoutError:
                        return found
                    found.append(event.get("o", {}).get("x", "A"))

    assert await sequence() == ["NEW", "TRADE", "A"]
    assert await sequence(ws_duplicate=1) == ["NEW", "NEW", "TRADE", "TRADE", "A", "A"]
    assert await sequence(ws_loss=1) == []
    assert await sequence(ws_reorder=1) == ["TRADE", "NEW", "A"]  # the last is not overtaken, and not lost


async def test_latency_at_run_time_and_faults_that_are_not_there() -> None:
    async with practice(latency_ms=150) as client:
        started = time.monotonic()
        async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/ping") as answer:
            assert answer.status == 200
        assert time.monotonic() - started >= 0.15
        for wrong in ({"lost-reply": 2}, {"http503": 1, "nonsense": 1}, {"http503": "x"}, [1]):
            async with client.session.post(
                f"{client.exchange.rest_url}/practice/faults", json=wrong
            ) as answer:
                assert answer.status == 400
        async with client.session.get(f"{client.exchange.rest_url}/fapi/v3/ping") as answer:
            assert answer.status == 200  # of several faults all are taken, or none
        for price in ("-1", "0", "1e-30", "1e30", "NaN", None):
            async with client.session.post(
                f"{client.exchange.rest_url}/practice/price", json={"symbol": "BTCUSDT", "price": price}
            ) as answer:
                assert answer.status == 400
                assert (await answer.json())["error"].startswith("a price" if price else "price must")


async def test_dropped_sockets() -> None:
    gone = (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    async with practice() as client:
        socket = await client.session.ws_connect(f"{client.exchange.ws_url}/ws/!markPrice@arr")
        faults = f"{client.exchange.rest_url}/practice/faults"
        async with client.session.post(faults, json={"ws-drop-seconds": 0.2}) as answer:
            assert answer.status == 200
        async with asyncio.timeout(5):
            while (await socket.receive()).type not in gone:
                pass


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "aster_tui", "practice", "--port", "0", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_when_it_is_ready_and_ends_when_told(number: int) -> None:
    running = process("--accounts", "3", "--seed", "7")
    assert running.stdout is not None
    ready = json.loads(running.stdout.readline())
    assert set(ready) == {"rest", "ws", "chain_id", "accounts"}
    assert [set(a) for a in ready["accounts"]] == [
        {"name", "user", "user_private_key", "signer", "signer_private_key"}
    ] * 3
    for account in ready["accounts"]:
        assert Account.from_key(account["signer_private_key"]).address == account["signer"]
    os.kill(running.pid, number)
    out, errors = running.communicate(timeout=60)
    assert (running.returncode, out, errors) == (0, "", "")


def test_the_command_ends_with_its_standard_input() -> None:
    running = process("--exit-with-stdin", stdin=subprocess.PIPE)
    assert running.stdout is not None
    assert json.loads(running.stdout.readline())
    running.communicate(timeout=60)
    assert running.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--accounts", "0"],
        ["--fault", "nonsense=1"],
        ["--fault", "http503"],
        ["--port", "70000"],
        ["--seed", "x"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str]) -> None:
    ended = process(*arguments)
    out, errors = ended.communicate(timeout=60)
    assert ended.returncode == 2
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("aster-tui practice: ")
    assert out == ""


def test_a_taken_port_is_one_line() -> None:
    first = process()
    assert first.stdout is not None
    port = json.loads(first.stdout.readline())["rest"].rsplit(":", 1)[1]
    try:
        second = subprocess.run(
            [sys.executable, "-m", "aster_tui", "practice", "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 2
        assert second.stderr.strip().count("\n") == 0
        assert port in second.stderr
    finally:
        first.terminate()
        first.wait(60)

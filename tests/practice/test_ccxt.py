"""A stock ccxt client against the practice exchange: only its addresses and keys are changed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey


@pytest.fixture(scope="module")
def ready() -> Iterator[dict[str, Any]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "aster_tui", "practice", "--port", "0", "--accounts", "1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    yield json.loads(running.stdout.readline())
    running.terminate()
    running.wait(60)


@pytest.fixture(scope="module")
def client(ready: dict[str, Any]) -> Any:
    (account,) = ready["accounts"]
    found = ccxt.aster(
        {
            "walletAddress": account["user"],
            "privateKey": account["user_private_key"],
            "options": {"builderFee": False, "defaultType": "swap"},
        }
    )
    for name in found.urls["api"]:
        found.urls["api"][name] = f"{ready['rest']}/{'api' if name.startswith('sapi') else 'fapi'}"
    return found


def pause() -> None:
    time.sleep(0.003)  # its nonces are milliseconds: two requests in one would carry the same


SYMBOL = "BTC/USDT:USDT"


def test_markets_and_market_data(client: Any) -> None:
    markets = client.load_markets()
    assert len(markets) == 15
    assert markets[SYMBOL]["limits"]["amount"]["min"] == 0.001
    ticker = client.fetch_ticker(SYMBOL)
    assert ticker["last"] > 0
    book = client.fetch_order_book(SYMBOL, 5)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(book["asks"]) == 5
    time.sleep(0.6)
    candles = client.fetch_ohlcv(SYMBOL, "1m")
    assert candles[-1][2] >= candles[-1][3] > 0


def test_a_days_work(client: Any) -> None:
    client.load_markets()
    pause()
    assert client.fetch_balance()["USDT"]["total"] == 1000
    pause()
    bought = client.create_order(SYMBOL, "market", "buy", 0.01)
    pause()
    assert client.fetch_order(bought["id"], SYMBOL)["status"] == "closed"
    pause()
    (position,) = [p for p in client.fetch_positions([SYMBOL]) if p["contracts"]]
    assert (position["side"], position["contracts"]) == ("long", 0.01)
    last = client.fetch_ticker(SYMBOL)["last"]
    pause()
    limit = client.create_order(SYMBOL, "limit", "buy", 0.001, round(last * 0.9, 1))
    pause()
    stop = client.create_order(
        SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": round(last * 0.95, 1), "reduceOnly": True}
    )
    pause()
    assert {o["id"] for o in client.fetch_open_orders(SYMBOL)} == {limit["id"], stop["id"]}
    for order in (limit, stop):
        pause()
        client.cancel_order(order["id"], SYMBOL)
    pause()
    assert client.fetch_open_orders(SYMBOL) == []
    pause()
    client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
    pause()
    assert [p for p in client.fetch_positions([SYMBOL]) if p["contracts"]] == []
    pause()
    trades = client.fetch_my_trades(SYMBOL)
    assert [t["side"] for t in trades] == ["buy", "sell"]
    assert all(t["fee"]["cost"] > 0 for t in trades)
    pause()
    with pytest.raises(ccxt.ExchangeError):
        client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})


def send(request: dict[str, Any], body: bytes) -> tuple[int, Any]:
    headers = {name: str(value) for name, value in request["headers"].items()}
    asked = urllib.request.Request(request["url"], data=body, headers=headers, method=request["method"])
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_any_byte_of_its_signed_order_that_is_changed_is_refused(client: Any, ready: dict[str, Any]) -> None:
    client.load_markets()
    pause()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    request = client.sign("v3/order", ["fapiPrivate"], "POST", order)
    whole = request["body"].encode()
    before = executed(ready)
    signed_at = whole.index(b"&signature=") + len(b"&signature=")
    for place, byte in enumerate(whole):
        for other in {(byte + 1) % 128, byte ^ 0x02} - {byte, 0}:
            if place >= signed_at and chr(other).lower() == chr(byte).lower():
                continue  # hex digits of either case are the same signature
            status, answer = send(request, whole[:place] + bytes([other]) + whole[place + 1 :])
            assert status == 400, (place, chr(byte), chr(other), answer)
            assert answer["code"] in (-1000, -1021, -1022, -1101, -1102, -1118), answer
    assert executed(ready) == before
    assert send(request, whole)[0] == 200
    assert executed(ready) == before + 1


def executed(ready: dict[str, Any]) -> int:
    with urllib.request.urlopen(f"{ready['rest']}/practice/state", timeout=60) as answer:
        return int(json.load(answer)["executed_orders"])


async def test_its_signatures_and_ours_verify_at_the_same_server(client: Any, ready: dict[str, Any]) -> None:
    (account,) = ready["accounts"]
    signer = Signer(PrivateKey.parse(account["signer_private_key"]), ready["chain_id"])
    venue = Venue(ready["rest"], ready["ws"], ready["chain_id"])
    ours = Trader(venue, Wallet(account["user"], signer), nonces=NonceSource())
    client.load_markets()
    pause()
    last = client.fetch_ticker(SYMBOL)["last"]
    pause()
    theirs = client.create_order(SYMBOL, "limit", "buy", 0.001, round(last * 0.9, 1))
    (seen,) = await ours.open_orders("BTCUSDT")
    assert str(seen.order_id) == theirs["id"]
    price = (Decimal(str(last)) * Decimal("1.1")).quantize(Decimal("0.1"))
    request = OrderRequest("BTCUSDT", "SELL", "LIMIT", "ours-1", quantity=Decimal("0.001"), price=price)
    mine = await ours.place_order(request)
    pause()
    assert {o["id"] for o in client.fetch_open_orders(SYMBOL)} == {theirs["id"], str(mine.order_id)}
    pause()
    client.cancel_order(str(mine.order_id), SYMBOL)
    assert (await ours.cancel_order("BTCUSDT", order_id=int(theirs["id"]))).status == "CANCELED"
    await ours.aclose()

"""A stock ccxt client against the practice exchange: only its addresses and keys are changed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import ccxt
import pytest


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    running = subprocess.Popen(
        [sys.executable, "-m", "aster_tui", "practice", "--port", "0", "--accounts", "1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    ready = json.loads(running.stdout.readline())
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
    yield found
    running.terminate()
    running.wait(10)


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

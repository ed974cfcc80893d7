"""Same seed, same calls at the same times: the same market, and the same answers to the byte."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

from aster_tui.practice.account_api import AccountApi
from aster_tui.practice.errors import VenueError
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.faults import Faults
from aster_tui.practice.hub import Hub
from aster_tui.practice.listings import exchange_info
from aster_tui.practice.market_api import MarketApi
from aster_tui.practice.market_streams import MarketStreams, is_market_stream
from aster_tui.practice.options import PracticeOptions

D = Decimal
START = 1_790_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")


def life(seed: int) -> list[Any]:
    """Two minutes of an exchange with trades, stops and cancellations, and all it answered and told."""
    told: list[Any] = []
    now = START
    options = PracticeOptions(seed=seed, accounts=3, positions=4)
    exchange = Exchange(options, lambda: now, lambda user, event: told.append((user, event)))
    signed = AccountApi(exchange, Counter()).calls()
    public = MarketApi(exchange).calls()
    streams = MarketStreams(exchange)
    names = {f"{s.lower()}@{kind}" for s in SYMBOLS for kind in ("ticker", "aggTrade", "kline_1m", "depth5")}
    users = list(exchange.accounts)
    for step in range(480):
        now += 250
        exchange.step()
        user, symbol = users[step % 3], SYMBOLS[step % 3]
        side = "BUY" if step % 2 else "SELL"
        last = exchange.market.quote(symbol).last
        rest = (last * (D("0.999") if side == "BUY" else D("1.001"))).quantize(
            exchange.market._symbols[symbol].listing.tick
        )
        rows = [
            {
                "symbol": symbol,
                "side": side,
                "type": "MARKET",
                "quantity": "10" if symbol[0] == "X" else "0.01",
            },
            {
                "symbol": symbol,
                "side": side,
                "type": "LIMIT",
                "timeInForce": "GTC",
                "price": str(rest),
                "quantity": "10",
            },
        ]
        try:
            told.append(signed["POST", "batchOrders"](user, {"batchOrders": json.dumps(rows)}))
            if step % 50 == 0:
                exchange.cancel_all(user, symbol)
        except VenueError as error:
            told.append(str(error))
        if step % 4 == 0:
            told.append(streams.push(names))
    told += [
        call({"symbol": s, "interval": "1m", "limit": "20"}) for call in public.values() for s in SYMBOLS
    ]
    for user in users:
        told += [
            signed["GET", name](user, {"symbol": s})
            for name in ("allOrders", "userTrades", "income", "commissionRate", "leverageBracket")
            for s in SYMBOLS
        ]
    hub = Hub(Faults(seed, {}), options, is_market_stream)
    told += [hub.create_key(user, now) for user in users]
    return [*told, exchange.state(), exchange_info(now, {}, options), [k.document() for k in exchange.keys]]


def test_the_same_seed_gives_the_same_answers_and_another_seed_others() -> None:
    first, again, other = (json.dumps(life(seed), sort_keys=True) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(first) > 100_000


def test_faults_strike_in_the_same_places() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed, {"503-after": 0.3})
        return [faults.strikes("503-after") for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90

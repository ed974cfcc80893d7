"""Whatever a call is given, odd values never reach the wire: refused here, or plain when they leave."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aster_tui.aster.errors import AsterError, InvalidOrder
from aster_tui.aster.orders import TYPES, OrderRequest
from aster_tui.aster.rest import Observer
from aster_tui.aster.trader import Trader
from aster_tui.domain.symbols import SymbolRules
from tests.aster.test_rest import wire

D = Decimal
PLAIN = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:/_-")
LONGEST = 64

odd_text = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "NaN", "-1", "1e400", "BTC USDT", "btcusdt", "BTCÜSDT", "ＢＴＣ", "币安", "💥", "a&b=c"]
    ),
    st.sampled_from(["BTCUSDT\n", "\0", "../etc", "'; drop", "%00", "x" * 37, "B" * 500]),
)
symbols = st.one_of(st.just("BTCUSDT"), odd_text)
names = st.one_of(st.just("ok-1"), odd_text)
whole = st.one_of(st.integers(), st.sampled_from([0, -1, 2**64, 10**400, True]))
numbers = st.one_of(
    st.none(),
    st.just(D("0.01")),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from([D("1E+400"), D("1E-400"), D("-0"), D("NaN"), D("Infinity")]),
)
orders = st.builds(
    OrderRequest,
    symbol=symbols,
    side=st.sampled_from(["BUY", "SELL"]) | odd_text,
    order_type=st.sampled_from(sorted(TYPES)) | odd_text,
    client_order_id=names,
    quantity=numbers,
    price=numbers,
    stop_price=numbers,
    time_in_force=st.none() | st.sampled_from(["GTC", "IOC"]) | odd_text,
    reduce_only=st.booleans(),
    close_position=st.booleans(),
    position_side=st.sampled_from(["BOTH", "LONG"]) | odd_text,
    working_type=st.none() | st.just("MARK_PRICE") | odd_text,
    callback_rate=numbers,
    activation_price=numbers,
    price_protect=st.booleans(),
)
Call = Callable[[Trader, st.DataObject], Any]
CALLS: dict[str, Call] = {
    "open_orders": lambda c, d: c.open_orders(d.draw(symbols)),
    "order": lambda c, d: c.order(d.draw(symbols), client_order_id=d.draw(names)),
    "all_orders": lambda c, d: c.all_orders(d.draw(symbols), limit=d.draw(whole)),
    "user_trades": lambda c, d: c.user_trades(d.draw(symbols), since=d.draw(whole), limit=d.draw(whole)),
    "income": lambda c, d: c.income(kind=d.draw(names), limit=d.draw(whole)),
    "commission": lambda c, d: c.commission(d.draw(symbols)),
    "leverage": lambda c, d: c.leverage(d.draw(symbols)),
    "leverage_brackets": lambda c, d: c.leverage_brackets(d.draw(symbols)),
    "depth": lambda c, d: c.depth(d.draw(symbols), limit=d.draw(whole)),
    "candles": lambda c, d: c.candles(d.draw(symbols), d.draw(names), limit=d.draw(whole)),
    "day_ticker": lambda c, d: c.day_ticker(d.draw(symbols)),
    "last_price": lambda c, d: c.last_price(d.draw(symbols)),
    "best_prices": lambda c, d: c.best_prices(d.draw(symbols)),
    "public_trades": lambda c, d: c.public_trades(d.draw(symbols), limit=d.draw(whole)),
    "funding_rates": lambda c, d: c.funding_rates(d.draw(symbols)),
    "place_order": lambda c, d: c.place_order(d.draw(orders)),
    "test_order": lambda c, d: c.test_order(d.draw(orders)),
    "place_batch": lambda c, d: c.place_batch(d.draw(st.lists(orders, max_size=7))),
    "modify_order": lambda c, d: c.modify_order(d.draw(orders)),
    "cancel_order": lambda c, d: c.cancel_order(d.draw(symbols), order_id=d.draw(whole)),
    "cancel_all": lambda c, d: c.cancel_all(d.draw(symbols)),
    "cancel_batch": lambda c, d: c.cancel_batch(d.draw(symbols), d.draw(st.lists(names, max_size=12))),
    "set_leverage": lambda c, d: c.set_leverage(d.draw(symbols), d.draw(whole)),
    "set_countdown": lambda c, d: c.set_countdown(d.draw(symbols), d.draw(whole)),
    "set_margin_type": lambda c, d: c.set_margin_type(d.draw(symbols), isolated=d.draw(st.booleans())),
}
#: What takes nothing from outside, or what was made by one of the above.
WITHOUT = {
    *("ping", "server_time", "measure_clock", "exchange_info", "mark_prices", "positions", "balances"),
    *("account", "account_snapshot", "create_listen_key", "renew_listen_key", "close_listen_key"),
    *("hedge_mode", "set_hedge_mode", "send_order", "send_batch", "fence", "open", "aclose"),
}


def test_no_call_is_left_out() -> None:
    asynchronous = {n for n, m in inspect.getmembers(Trader, inspect.iscoroutinefunction) if n[0] != "_"}
    assert asynchronous - WITHOUT == set(CALLS)


def plain(string: str) -> None:
    for name, value in parse_qsl(string, keep_blank_values=True, strict_parsing=True):
        if name in ("batchOrders", "origClientOrderIdList", "orderIdList"):
            for row in json.loads(value):
                named = row.items() if isinstance(row, dict) else [("newClientOrderId", row)]
                for inner, held in named:
                    assert isinstance(held, str | int)
                    small(inner, str(held))
        elif name == "signature":
            assert len(value) == 132
        else:
            small(name, value)


def small(name: str, value: str) -> None:
    assert value
    assert len(value) <= LONGEST
    assert set(value) <= PLAIN
    if name not in ("symbol", "incomeType", "newClientOrderId", "origClientOrderId"):  # names are words
        assert value.lower() not in ("nan", "inf", "infinity", "none", "true" if "Price" in name else "")
        assert not value.startswith("-")


@pytest.mark.parametrize("name", sorted(CALLS))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_odd_values_never_reach_the_wire(name: str, data: st.DataObject) -> None:
    async def once() -> None:
        async with wire("{}") as (kept, client):
            problem: AsterError | None = None
            try:
                await CALLS[name](client, data)
            except AsterError as error:  # an empty object is no answer to most of them
                problem = error
            if isinstance(problem, InvalidOrder):
                assert len(str(problem).splitlines()) == 1
                assert len(str(problem)) < 400
            assert bool(kept.requests) != isinstance(problem, InvalidOrder)
            for first, _, body in kept.requests:
                plain(body or first.split(" ")[1].partition("?")[2])

    asyncio.run(once())


def rules(symbol: str) -> SymbolRules:
    one, most = D("0.001"), D(1000)
    return SymbolRules(symbol, "X", "TRADING", one, one, most, one, one, most, one, one, most, D(1))


async def test_a_symbol_that_the_exchange_itself_names_is_taken_whatever_its_letters() -> None:
    asked: list[Any] = [Observer.open_orders, Observer.last_price, Trader.cancel_all]
    async with wire("{}") as (kept, client):
        for call in asked:
            with pytest.raises(InvalidOrder, match="not a symbol"):
                await call(client, "币安人生USDT")
        client.rules = {"币安人生USDT": rules("币安人生USDT")}
        for call in asked:
            with contextlib.suppress(AsterError):  # no answer to some of them
                await call(client, "币安人生USDT")
        order = OrderRequest("币安人生USDT", "SELL", "MARKET", "x", quantity=D(1), reduce_only=True)
        with pytest.raises(AsterError):
            await client.place_order(order)
        assert len(kept.requests) == 4
        assert "symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&" in kept.requests[3][2]

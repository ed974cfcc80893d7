"""What is refused here is what the exchange refuses, and the nearest value would do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_tui.aster.models import SymbolAnswer
from aster_tui.domain.checks import OpenOrders, check_order
from aster_tui.domain.symbols import plain
from aster_tui.practice.errors import VenueError
from aster_tui.practice.listings import LISTINGS, exchange_info
from aster_tui.practice.market import Market
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.orders import parse

D = Decimal
RULES = {
    row["symbol"]: SymbolAnswer.model_validate(row).rules()
    for row in exchange_info(0, {}, PracticeOptions())["symbols"]
}
MARKET = Market(LISTINGS.values(), seed=1, volatility=D(0))
FILTERS = {
    -4135,
    -4183,
    -4184,
    -1111,
    -2021,
    -4001,
    -4002,
    -4003,
    -4004,
    -4005,
    -4006,
    -4007,
    -4013,
    -4014,
    -4016,
    -4023,
    -4024,
    -4164,
}
Side = Literal["BUY", "SELL"]


def venue_refuses(symbol: str, asked: dict[str, Any]) -> bool:
    kind, quantity, price = asked["order_type"], asked["quantity"], asked["price"]
    stop, activation = asked["stop_price"], asked["activation_price"]
    params = {"symbol": symbol, "side": asked["side"], "type": kind, "quantity": plain(quantity)}
    if price is not None:
        params |= {"price": plain(price), "timeInForce": "GTC"}
    if stop is not None:
        params |= {"stopPrice": plain(stop), "workingType": "MARK_PRICE"}
    if kind == "TRAILING_STOP_MARKET":
        params |= {"callbackRate": "1", "workingType": "MARK_PRICE"}
    if activation is not None:
        params["activationPrice"] = plain(activation)
    if asked["reduces"]:
        params["reduceOnly"] = "true"
    try:
        parse(params, MARKET.quote, 0, 1, hedge=False)
    except VenueError as error:
        if error.code not in FILTERS:
            raise
        return True
    return False


KINDS = ["MARKET", "LIMIT", "STOP", "TAKE_PROFIT", "STOP_MARKET", "TAKE_PROFIT_MARKET"]
TRAILING = "TRAILING_STOP_MARKET"
near = st.decimals(D("0.00001"), D(3), places=5)


@settings(max_examples=1500)
@given(
    symbol=st.sampled_from(sorted(RULES)),
    side=st.sampled_from(["BUY", "SELL"]),
    kind=st.sampled_from([*KINDS, TRAILING]),
    size=st.one_of(st.integers(0, 200_000_000), near.map(lambda x: int(x * 10))),
    finer=st.booleans(),
    at=near,
    rounded=st.booleans(),
    reduces=st.booleans(),
)
def test_it_agrees_with_the_exchange_and_its_nearest_value_is_taken(
    symbol: str, side: Side, kind: str, size: int, finer: bool, at: Decimal, rounded: bool, reduces: bool
) -> None:
    rules, mark = RULES[symbol], MARKET.quote(symbol).mark
    quantity = rules.step_size * size + (rules.step_size / 10 if finer else 0)
    level = mark * at
    level = (
        (level / rules.tick_size).to_integral_value() * rules.tick_size
        if rounded
        else level.quantize(D("1e-9"))
    )
    price = level if kind in ("LIMIT", "STOP", "TAKE_PROFIT") else None
    stop = level if kind not in ("MARKET", "LIMIT", TRAILING) else None
    asked: dict[str, Any] = {
        "side": side,
        "order_type": kind,
        "quantity": quantity,
        "price": price,
        "stop_price": stop,
        "activation_price": level if kind == TRAILING and not finer else None,
        "reduces": reduces,
        "mark": mark,
    }
    refusals = check_order(rules, **asked)
    assert bool(refusals) == venue_refuses(symbol, asked), refusals
    for _ in range(3):  # taking each nearest value in turn leads to an order that is taken
        mended = [r for r in refusals if r.nearest is not None]
        if not mended:
            break
        for refusal in mended:
            asked[refusal.field.replace(" ", "_")] = refusal.nearest
        refusals = check_order(rules, **asked)
    assert all(r.nearest is None for r in refusals), refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": D("NaN")}, "not a number"),
        ({"quantity": D("-1")}, "above zero"),
        ({"quantity": D("1e15")}, "beyond all measure"),
        ({"quantity": D("0.0105")}, "steps of 0.001; nearest is 0.01"),
        ({"quantity": D("500")}, "the largest quantity is 120; nearest is 120"),
        ({"price": D("97000.07"), "order_type": "LIMIT"}, "ticks of 0.1; nearest is 97000.1"),
        ({"price": D("Infinity"), "order_type": "LIMIT"}, "not a number"),
        ({"stop_price": D(90000), "order_type": "STOP_MARKET"}, "would trigger at once: it must be above"),
        ({"activation_price": D(99000), "order_type": TRAILING}, "active at once: it must be below"),
        ({"activation_price": D("90000.05"), "order_type": TRAILING}, "ticks of 0.1; nearest is 90000"),
        ({"open_orders": OpenOrders(200, 0)}, "BTCUSDT takes 200 open orders"),
        ({"open_orders": OpenOrders(150, 100), "order_type": TRAILING}, "BTCUSDT takes 100 stop orders"),
    ],
)
def test_the_reason_is_in_words_with_the_value_that_would_do(changes: dict[str, Any], words: str) -> None:
    asked: dict[str, Any] = {"side": "BUY", "order_type": "MARKET", "quantity": D("0.01"), "mark": D(97250)}
    (refusal,) = check_order(RULES["BTCUSDT"], **{**asked, **changes})
    assert words in str(refusal)


def test_counts_below_the_most_and_stops_of_others_refuse_nothing() -> None:
    asked: dict[str, Any] = {"side": "BUY", "order_type": "MARKET", "quantity": D("0.01"), "mark": D(97250)}
    for count in (OpenOrders(199, 99), OpenOrders(199, 150)):
        assert check_order(RULES["BTCUSDT"], **asked, open_orders=count) == ()


def test_a_symbol_that_does_not_trade_is_said() -> None:
    from dataclasses import replace

    halted = replace(RULES["BTCUSDT"], status="SETTLING")
    refusals = check_order(halted, side="BUY", order_type="MARKET", quantity=D("0.01"))
    assert "SETTLING" in str(refusals[0])

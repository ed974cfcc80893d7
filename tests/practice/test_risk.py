"""Hedge mode, isolated margin, triggers that follow, brackets, liquidation, funding: without sockets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_tui.practice.errors import VenueError
from aster_tui.practice.ledger import Account
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.risk import Risk
from tests.practice.test_exchange import World

D = Decimal


def told(world: World, kind: str) -> list[dict[str, Any]]:
    return [e for e in world.events if e["e"] == kind]


def code(call: Any, *arguments: Any) -> int:
    with pytest.raises(VenueError) as raised:
        call(*arguments)
    return raised.value.code


# Hedge mode


def hedged(**options: Any) -> World:
    world = World(**options)
    world.exchange.set_hedge(world.user, True)
    return world


def test_in_hedge_mode_long_and_short_stand_beside_each_other() -> None:
    world = hedged()
    world.place(quantity="0.02", positionSide="LONG")
    world.place(side="SELL", quantity="0.01", positionSide="SHORT")
    amounts = {p.side: p.amount for p in world.account.held}
    assert amounts == {"LONG": D("0.02"), "SHORT": D("-0.01")}
    world.place(side="SELL", quantity="0.02", positionSide="LONG")
    assert {p.side: p.amount for p in world.account.held} == {"SHORT": D("-0.01")}
    sides = [e["a"]["P"][0]["ps"] for e in told(world, "ACCOUNT_UPDATE")]
    assert sides == ["LONG", "SHORT", "LONG"]


def test_hedge_mode_wants_a_side_and_no_reduce_only() -> None:
    world = hedged()
    assert world.refused(quantity="0.01") == -4061
    assert world.refused(quantity="0.01", positionSide="LONG", reduceOnly="true") == -4062
    assert world.refused(side="SELL", quantity="0.01", positionSide="LONG") == -2022
    world.place(quantity="0.01", positionSide="LONG")
    # What is more than there is would open the other way: refused, not cut.
    assert world.refused(side="SELL", quantity="0.02", positionSide="LONG") == -2022
    closes = {"type": "STOP_MARKET", "stopPrice": "99000", "closePosition": "true"}
    assert world.refused(positionSide="LONG", **closes) == -4061


def test_a_protective_order_in_hedge_mode_closes_its_side_only() -> None:
    world = hedged()
    world.place(quantity="0.01", positionSide="LONG")
    world.place(side="SELL", quantity="0.01", positionSide="SHORT")
    stop = world.place(
        side="SELL", type="STOP_MARKET", stopPrice="96000", quantity="0.01", positionSide="LONG"
    )
    world.exchange.set_price("BTCUSDT", D(95900))
    assert stop.status == "FILLED"
    assert {p.side: p.amount for p in world.account.held} == {"SHORT": D("-0.01")}


# Isolated margin


def isolated(**options: Any) -> World:
    world = World(**options)
    world.exchange.set_isolated(world.user, "BTCUSDT", True)
    return world


def test_an_isolated_position_keeps_its_own_margin() -> None:
    world = isolated()
    world.exchange.set_leverage(world.user, "BTCUSDT", 10)
    world.place(quantity="0.02")
    position = world.account.position("BTCUSDT")
    assert position.isolated == (D("0.02") * world.exchange.market.quote("BTCUSDT").ask / 10)
    assert world.account.cross_wallet == world.account.wallet - position.isolated
    world.place(side="SELL", quantity="0.01", reduceOnly="true")
    assert position.isolated == pytest.approx(world.account.wallet - world.account.cross_wallet)
    world.place(side="SELL", quantity="0.01", reduceOnly="true")
    assert position.isolated == 0
    assert world.account.cross_wallet == world.account.wallet


def test_the_leverage_of_an_isolated_position_is_not_lowered() -> None:
    world = isolated()
    world.place(quantity="0.01")
    assert code(world.exchange.set_leverage, world.user, "BTCUSDT", 5) == -4161
    world.exchange.set_leverage(world.user, "BTCUSDT", 25)


def test_an_isolated_liquidation_leaves_the_rest_of_the_account_alone() -> None:
    world = isolated()
    world.place(symbol="ETHUSDT", quantity="0.1")
    world.place(quantity="0.02")
    kept = world.place(symbol="ETHUSDT", type="LIMIT", price="3000", quantity="0.01", timeInForce="GTC")
    world.exchange.set_price("BTCUSDT", D(90000))
    assert {p.symbol for p in world.account.held} == {"ETHUSDT"}
    assert kept.open
    assert world.account.wallet > 800  # about the margin of the one position is gone, not more


# Types that trigger


def test_a_stop_limit_becomes_a_limit_at_its_price() -> None:
    world = World()
    world.place(quantity="0.01")
    order = world.place(
        side="SELL",
        type="STOP",
        stopPrice="96000",
        price="96500",
        quantity="0.01",
        reduceOnly="true",
        timeInForce="GTC",
    )
    world.exchange.set_price("BTCUSDT", D(95900))
    assert (order.status, order.kind, order.original) == ("NEW", "LIMIT", "STOP")
    world.exchange.set_price("BTCUSDT", D(96600))
    assert (order.status, order.average) == ("FILLED", D(96500))


def test_a_take_profit_limit_fills_at_once_where_the_book_is_better() -> None:
    world = World()
    world.place(quantity="0.01")
    order = world.place(
        side="SELL",
        type="TAKE_PROFIT",
        stopPrice="98000",
        price="97900",
        quantity="0.01",
        reduceOnly="true",
        timeInForce="GTC",
    )
    world.exchange.set_price("BTCUSDT", D(98100))
    assert order.status == "FILLED"
    assert order.average >= 97900


@pytest.mark.parametrize(
    ("side", "path", "fills_at"),
    [("SELL", [98000, 99000, 98100, 98005], 98005), ("BUY", [96000, 95000, 95900, 95960], 95960)],
)
def test_a_trailing_stop_follows_the_price_and_triggers_on_the_way_back(
    side: str, path: list[int], fills_at: int
) -> None:
    world = World()
    world.place(side="BUY" if side == "SELL" else "SELL", quantity="0.01")
    order = world.place(
        side=side, type="TRAILING_STOP_MARKET", callbackRate="1", quantity="0.01", reduceOnly="true"
    )
    for price in path:
        assert order.status == "NEW"
        world.exchange.set_price("BTCUSDT", D(price))
    assert order.status == "FILLED"
    assert abs(order.average - fills_at) < 1
    assert told(world, "ORDER_TRADE_UPDATE")[-1]["o"]["cr"] == "1"


def test_a_trailing_stop_sleeps_until_its_activation_price() -> None:
    world = World()
    world.place(quantity="0.01")
    order = world.place(
        side="SELL",
        type="TRAILING_STOP_MARKET",
        callbackRate="1",
        activationPrice="100000",
        quantity="0.01",
        reduceOnly="true",
    )
    world.exchange.set_price("BTCUSDT", D(95000))
    world.exchange.set_price("BTCUSDT", D(99900))
    assert order.status == "NEW"
    world.exchange.set_price("BTCUSDT", D(100000))
    world.exchange.set_price("BTCUSDT", D(98900))
    assert order.status == "FILLED"


def test_price_protection_waits_while_last_and_mark_are_far_apart() -> None:
    world = World()
    world.place(quantity="0.001")
    stop = world.place(
        side="SELL",
        type="STOP_MARKET",
        stopPrice="80000",
        quantity="0.001",
        reduceOnly="true",
        priceProtect="true",
    )
    world.exchange.set_price("BTCUSDT", D(79000), D(97000))
    assert stop.status == "NEW"
    world.exchange.set_price("BTCUSDT", D(79000))
    assert stop.status == "FILLED"


# Brackets


def test_maintenance_grows_without_a_jump_over_the_brackets() -> None:
    for listing in LISTINGS.values():
        assert listing.brackets[0].floor == 0
        for low, high in zip(listing.brackets, listing.brackets[1:], strict=False):
            assert low.cap == high.floor
            assert low.leverage > high.leverage
            assert listing.maintenance(low.cap) == low.cap * high.ratio - high.deduction


def test_a_position_too_large_for_its_leverage_is_refused() -> None:
    world = World(balance=D(10**7), depth=D(10**7))
    world.exchange.set_leverage(world.user, "BTCUSDT", 125)
    assert world.refused(quantity="1") == -2027
    world.exchange.set_leverage(world.user, "BTCUSDT", 50)
    world.place(quantity="5")
    assert code(world.exchange.set_leverage, world.user, "BTCUSDT", 125) == -2027


# What the exchange does by itself


def test_a_margin_call_comes_once_and_then_the_liquidation() -> None:
    world = World()
    world.place(quantity="0.1")
    resting = world.place(type="LIMIT", price="70000", quantity="0.001", timeInForce="GTC")
    price = world.exchange.margin.liquidation_price(world.account, world.account.position("BTCUSDT"))
    assert 0 < price < 97250
    world.exchange.set_price("BTCUSDT", price + 10)
    world.exchange.set_price("BTCUSDT", price + 9)
    (call,) = told(world, "MARGIN_CALL")
    assert call["p"][0]["s"] == "BTCUSDT"
    assert world.amount() == D("0.1")
    world.exchange.set_price("BTCUSDT", price - 10)
    assert world.amount() == 0
    assert not resting.open
    forced = [e["o"] for e in told(world, "ORDER_TRADE_UPDATE") if e["o"]["c"].startswith("autoclose-")]
    assert [(o["x"], o["X"]) for o in forced] == [("NEW", "NEW"), ("CALCULATED", "FILLED")]
    assert 0 <= world.account.wallet < 30
    kinds = {row["incomeType"] for row in world.exchange.income[world.user]}
    assert kinds == {"INSURANCE_CLEAR"}


def test_the_insurance_fund_bears_what_the_account_cannot() -> None:
    world = World()
    world.place(quantity="0.1")
    world.exchange.set_price("BTCUSDT", D(70000))
    assert world.account.wallet == 0
    assert not world.account.held


def test_auto_deleveraging_closes_one_symbol() -> None:
    world = World()
    world.place(quantity="0.01")
    world.place(symbol="ETHUSDT", quantity="0.1")
    assert world.exchange.risk.deleverage(world.user, "BTCUSDT")
    assert [p.symbol for p in world.account.held] == ["ETHUSDT"]
    assert told(world, "ORDER_TRADE_UPDATE")[-1]["o"]["c"] == "adl_autoclose"


def test_funding_moves_money_once_an_interval_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Risk, "funds_by_the_hour", True)
    world = World()
    world.place(quantity="0.1")
    before, rate = world.account.wallet, world.exchange.risk.rate("BTCUSDT", world.now + 8 * 3_600_000)
    world.now += 8 * 3_600_000
    world.exchange.step()
    world.exchange.step()
    paid = -D("0.1") * world.exchange.market.quote("BTCUSDT").mark * rate
    assert world.account.wallet - before == paid.quantize(D("1E-8"))
    (event,) = [e for e in told(world, "ACCOUNT_UPDATE") if e["a"]["m"] == "FUNDING_FEE"]
    assert event["a"]["P"] == []
    assert D(event["a"]["B"][0]["bc"]) == world.account.wallet - before
    (row,) = world.exchange.income[world.user]
    assert (row["incomeType"], D(row["income"])) == ("FUNDING_FEE", world.account.wallet - before)


def test_without_funding_none_is_charged_until_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Risk, "funds_by_the_hour", True)
    world = World(funding=False)
    world.place(quantity="0.1")
    before = world.account.wallet
    world.now += 8 * 3_600_000
    world.exchange.step()
    assert world.account.wallet == before
    world.exchange.risk.fund(world.now, at_once=True)
    assert world.account.wallet != before


fills = st.lists(
    st.tuples(
        st.sampled_from(["BTCUSDT", "ETHUSDT"]),
        st.integers(-50, 50).filter(bool).map(lambda n: D(n) / 1000),
        st.integers(1, 2_000_000).map(lambda n: D(n) / 10),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(fills, st.integers(1, 50))
def test_isolated_margin_is_never_below_zero_and_all_of_it_comes_back(
    steps: list[tuple[str, D, D]], leverage: int
) -> None:
    account = Account("0xa", "0xA", "a", D(1000), leverage)
    account.isolated.add("BTCUSDT")
    for symbol, quantity, price in steps:
        account.fill(symbol, "BOTH", quantity, price, maker=False)
        for position in account.positions.values():
            assert position.isolated >= 0
            assert bool(position.isolated) <= bool(position.amount)
    for position in account.held:
        account.fill(position.symbol, "BOTH", -position.amount, D(100), maker=False)
    assert account.cross_wallet == account.wallet

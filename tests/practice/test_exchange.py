"""The practice exchange without sockets: matching, triggers, filters, and an exact ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_tui.practice.errors import VenueError
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.ledger import Account, Position, commission
from aster_tui.practice.options import PracticeOptions

D = Decimal


class World:
    """One account on a market that stands still unless it is moved."""

    def __init__(self, **options: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.now = 1_790_000_000_000
        chosen = PracticeOptions(**{"accounts": 1, "volatility": D(0), **options})
        self.exchange = Exchange(chosen, lambda: self.now, lambda user, event: self.events.append(event))
        self.user = next(iter(self.exchange.accounts))

    @property
    def account(self) -> Account:
        return self.exchange.accounts[self.user]

    def amount(self, symbol: str = "BTCUSDT") -> Decimal:
        return self.account.position(symbol).amount

    def place(self, **params: str) -> Any:
        asked = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", **params}
        return self.exchange.place(self.user, {k: v for k, v in asked.items() if v})

    def refused(self, **params: str) -> int:
        with pytest.raises(VenueError) as raised:
            self.place(**params)
        return raised.value.code


def test_a_market_order_fills_at_the_ask_and_pays_the_taker_fee() -> None:
    world = World()
    quote = world.exchange.market.quote("BTCUSDT")
    order = world.place(quantity="0.010")
    assert (order.status, order.average) == ("FILLED", quote.ask)
    fee = commission(D("0.010") * quote.ask, maker=False)
    assert world.account.wallet == D(1000) - fee
    assert world.amount() == D("0.010")
    kinds = [(e["e"], e.get("o", {}).get("x")) for e in world.events]
    assert kinds == [("ORDER_TRADE_UPDATE", "NEW"), ("ORDER_TRADE_UPDATE", "TRADE"), ("ACCOUNT_UPDATE", None)]


def test_a_limit_rests_and_fills_at_its_price_as_a_maker_when_it_is_crossed() -> None:
    world = World()
    order = world.place(type="LIMIT", price="97000", quantity="0.01", timeInForce="GTC")
    assert order.status == "NEW"
    world.exchange.set_price("BTCUSDT", D(96990))
    assert (order.status, order.average) == ("FILLED", D(97000))
    assert world.account.wallet == D(1000) - commission(D(970), maker=True)


@pytest.mark.parametrize(
    ("force", "price", "status"),
    [
        ("IOC", "97000", "EXPIRED"),
        ("FOK", "97000", "EXPIRED"),
        ("IOC", "98000", "FILLED"),
        ("FOK", "98000", "FILLED"),
    ],
)
def test_time_in_force(force: str, price: str, status: str) -> None:
    assert World().place(type="LIMIT", price=price, quantity="0.01", timeInForce=force).status == status


def test_a_post_only_order_that_would_take_is_refused() -> None:
    assert World().refused(type="LIMIT", price="98000", quantity="0.01", timeInForce="GTX") == -5022


@pytest.mark.parametrize(("kind", "price"), [("STOP_MARKET", "96000"), ("TAKE_PROFIT_MARKET", "99000")])
@pytest.mark.parametrize("working", ["CONTRACT_PRICE", "MARK_PRICE"])
def test_protective_orders_trigger_on_their_price_and_close(kind: str, price: str, working: str) -> None:
    world = World()
    world.place(quantity="0.01")
    order = world.place(
        side="SELL", type=kind, stopPrice=price, quantity="0.01", reduceOnly="true", workingType=working
    )
    assert order.status == "NEW"
    world.exchange.set_price("BTCUSDT", D(price))
    assert order.status == "FILLED"
    assert world.amount() == 0
    last = world.events[-2]["o"]
    assert (last["o"], last["ot"], last["x"]) == ("MARKET", kind, "TRADE")


def test_a_protective_order_of_a_position_that_is_gone_expires_and_opens_nothing() -> None:
    world = World()
    world.place(quantity="0.01")
    order = world.place(
        side="SELL", type="STOP_MARKET", stopPrice="96000", quantity="0.01", reduceOnly="true"
    )
    world.place(side="SELL", quantity="0.01", reduceOnly="true")
    world.exchange.set_price("BTCUSDT", D(95000))
    assert order.status == "EXPIRED"
    assert world.amount() == 0


def test_close_position_closes_what_is_there_when_it_triggers() -> None:
    world = World()
    world.place(quantity="0.01")
    world.place(quantity="0.02")
    order = world.place(side="SELL", type="STOP_MARKET", stopPrice="96000", closePosition="true")
    world.exchange.set_price("BTCUSDT", D(96000))
    assert (order.status, order.executed, world.amount()) == ("FILLED", D("0.03"), D(0))


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbol": ""}, -1102),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"side": ""}, -1102),
        ({"side": "HOLD"}, -1117),
        ({"type": ""}, -1102),
        ({"type": "MAGIC"}, -1116),
        ({"type": "TRAILING_STOP_MARKET", "quantity": "0.01"}, -1102),
        ({"type": "TRAILING_STOP_MARKET", "quantity": "0.01", "callbackRate": "6"}, -1130),
        ({"type": "TRAILING_STOP_MARKET", "quantity": "0.01", "callbackRate": "-1"}, -1130),
        (
            {
                "type": "TRAILING_STOP_MARKET",
                "quantity": "0.01",
                "callbackRate": "1",
                "activationPrice": "99000",
            },
            -2021,
        ),
        ({"type": "STOP", "quantity": "0.01", "stopPrice": "98000"}, -1102),
        ({"type": "STOP", "quantity": "0.01", "stopPrice": "96000", "price": "98000"}, -2021),
        ({"quantity": "0.01", "callbackRate": "1"}, -1106),
        ({"quantity": ""}, -1102),
        ({"quantity": "many"}, -1102),
        ({"quantity": "1e3"}, -1102),
        ({"quantity": "NaN"}, -1102),
        ({"quantity": "-1"}, -4003),
        ({"quantity": "0"}, -4003),
        ({"quantity": "0.0004"}, -4004),
        ({"quantity": "121"}, -4005),
        ({"quantity": "0.0105"}, -4023),
        ({"quantity": "0.01000001"}, -1111),
        ({"quantity": "1.0"}, -2019),
        ({"quantity": "0.01", "price": "97000"}, -1106),
        ({"quantity": "0.01", "stopPrice": "97000"}, -1106),
        ({"quantity": "0.01", "positionSide": "LONG"}, -4061),
        ({"quantity": "0.01", "positionSide": "UP"}, -4060),
        ({"quantity": "0.01", "newClientOrderId": "no spaces"}, -4015),
        ({"quantity": "0.01", "newOrderRespType": "FULL"}, -1136),
        ({"quantity": "0.01", "reduceOnly": "maybe"}, -1130),
        ({"quantity": "0.01", "reduceOnly": "true"}, -2022),
        ({"quantity": "0.01", "closePosition": "true"}, -4020),
        ({"type": "LIMIT", "quantity": "0.01", "price": "97000"}, -1102),
        ({"type": "LIMIT", "quantity": "0.01", "price": "97000", "timeInForce": "DAY"}, -1115),
        ({"type": "LIMIT", "quantity": "0.01", "price": "97000.05", "timeInForce": "GTC"}, -4014),
        ({"type": "LIMIT", "quantity": "0.01", "price": "-5", "timeInForce": "GTC"}, -4001),
        ({"type": "LIMIT", "quantity": "0.01", "price": "2000000", "timeInForce": "GTC"}, -4002),
        ({"type": "LIMIT", "quantity": "0.01", "price": "130000", "timeInForce": "GTC"}, -4016),
        (
            {"side": "SELL", "type": "LIMIT", "quantity": "0.01", "price": "50000", "timeInForce": "GTC"},
            -4024,
        ),
        ({"type": "STOP_MARKET", "quantity": "0.01", "stopPrice": "90000"}, -2021),
        ({"type": "STOP_MARKET", "quantity": "0.01", "stopPrice": "98000", "workingType": "X"}, -4031),
        ({"type": "STOP_MARKET", "quantity": "0.01", "stopPrice": "98000", "closePosition": "true"}, -4137),
        ({"symbol": "XRPUSDT", "quantity": "1"}, -4164),
    ],
)
def test_every_refusal_has_the_venues_code_and_changes_nothing(params: dict[str, str], code: int) -> None:
    world = World()
    before = world.exchange.state()
    assert world.refused(**params) == code
    assert world.exchange.state() == before
    assert world.events == []


def test_a_reduce_only_order_is_exempt_from_the_smallest_notional() -> None:
    world = World()
    world.place(symbol="XRPUSDT", quantity="10")
    assert world.place(symbol="XRPUSDT", side="SELL", quantity="1", reduceOnly="true").status == "FILLED"


def test_a_test_order_checks_everything_and_reaches_nothing() -> None:
    world = World()
    asked = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert world.exchange.place(world.user, asked, test=True) is None
    assert (world.events, world.amount(), world.exchange.executed_orders) == ([], D(0), 0)
    with pytest.raises(VenueError):
        world.exchange.place(world.user, {**asked, "quantity": "1.0"}, test=True)


def test_client_ids_are_unique_among_open_orders_only() -> None:
    world = World()
    world.place(quantity="0.001", newClientOrderId="a")
    world.place(quantity="0.001", newClientOrderId="a")
    world.place(type="LIMIT", price="97000", quantity="0.01", timeInForce="GTC", newClientOrderId="a")
    assert world.refused(quantity="0.001", newClientOrderId="a") == -4116


def test_leverage_binds_margin_and_is_told() -> None:
    world = World()
    world.exchange.set_leverage(world.user, "BTCUSDT", 1)
    assert world.refused(quantity="0.02") == -2019
    world.exchange.set_leverage(world.user, "BTCUSDT", 10)
    world.place(quantity="0.02")
    with pytest.raises(VenueError) as raised:
        world.exchange.set_leverage(world.user, "BTCUSDT", 1)
    assert raised.value.code == -2028
    with pytest.raises(VenueError) as raised:
        world.exchange.set_leverage(world.user, "BTCUSDT", 126)
    assert raised.value.code == -4028


def test_a_large_order_walks_the_book_and_the_rest_of_a_thin_one_expires() -> None:
    world = World(balance=D(10**9), depth=D(100))
    order = world.place(quantity="5")
    assert order.status == "EXPIRED"
    assert 0 < order.executed < 5
    assert order.average > world.exchange.market.quote("BTCUSDT").ask


def test_the_same_seed_is_the_same_market_and_another_is_not() -> None:
    def walk(seed: int) -> list[str]:
        world = World(seed=seed, volatility=D(1), positions=3)
        for _ in range(50):
            world.exchange.step()
        return [str(world.exchange.market.quote("BTCUSDT")), str(world.exchange.state())]

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


def test_start_positions_are_in_different_symbols() -> None:
    world = World(positions=8)
    held = [p for p in world.account.positions.values() if p.amount]
    assert len({p.symbol for p in held}) == 8
    assert len({p.amount > 0 for p in held}) == 2


@pytest.mark.parametrize("seed", range(20))
def test_of_two_start_positions_one_is_long_and_one_is_short(seed: int) -> None:
    longs, shorts = 0, 0
    for account in World(positions=2, accounts=3, seed=seed).exchange.accounts.values():
        longs += sum(p.amount > 0 for p in account.held)
        shorts += sum(p.amount < 0 for p in account.held)
        assert len({abs(p.amount) for p in account.held}) == 2
    assert longs == shorts == 3


fills = st.lists(
    st.tuples(
        st.integers(-50, 50).filter(bool).map(lambda n: D(n) / 1000),
        st.integers(1, 2_000_000).map(lambda n: D(n) / 10),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(fills)
def test_the_wallet_is_start_plus_realized_minus_fees_and_equity_is_kept(
    told: list[tuple[D, D, bool]],
) -> None:
    account = Account("0xa", "0xA", "a", D(1000))
    realized = fees = cash = held = D(0)
    for quantity, price, maker in told:
        gained, fee = account.fill("BTCUSDT", "BOTH", quantity, price, maker=maker)
        realized, fees = realized + gained, fees + fee
        cash, held = cash - quantity * price, held + quantity
    position: Position = account.position("BTCUSDT")
    assert account.wallet == D(1000) + realized - fees
    assert position.amount == held
    # Independently: money paid and received, plus what is held at any price, is what the account is worth.
    mark = D("12345.6")
    worth = account.wallet + position.amount * mark - position.cost
    assert worth == D(1000) + cash + held * mark - fees
    if not held:
        assert position.cost == 0


moves = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.integers(80_000, 110_000)),
        st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 30)),
        st.tuples(st.sampled_from(["reduce BUY", "reduce SELL"]), st.integers(1, 60)),
        st.tuples(st.sampled_from(["stop BUY", "stop SELL"]), st.integers(1, 60)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(moves)
def test_orders_never_overfill_and_reduce_only_never_grows_or_flips(steps: list[tuple[str, int]]) -> None:
    world = World(balance=D(100_000))
    seen = []
    for kind, value in steps:
        before = world.amount()
        reducing = kind.startswith(("reduce", "stop"))
        try:
            if kind == "price":
                world.exchange.set_price("BTCUSDT", D(value))
                continue
            side = kind.split()[-1]
            params = {"side": side, "quantity": str(D(value) / 1000)}
            if reducing:
                params["reduceOnly"] = "true"
            if kind.startswith("stop"):
                away = D("0.99") if side == "SELL" else D("1.01")
                stop = (world.exchange.market.quote("BTCUSDT").last * away).quantize(D("0.1"))
                params |= {"type": "STOP_MARKET", "stopPrice": str(stop)}
            seen.append(world.place(**params))
        except VenueError:
            assert world.amount() == before
            continue
        if reducing:
            assert abs(world.amount()) <= abs(before)
            assert world.amount() * before >= 0
    assert all(D(0) <= order.executed <= order.quantity for order in seen)
    signed = sum((o.executed if o.side == "BUY" else -o.executed for o in seen), D(0))
    assert world.amount() == signed

"""An account ends up the same whatever the stream does to the order of its events."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.accounts import AccountState
from aster_tui.domain.checks import OpenOrders
from aster_tui.domain.events import (
    AccountSnapshot,
    AccountUpdate,
    LeverageChanged,
    OrderUpdate,
    PositionChange,
    StreamMissed,
    StreamOpened,
)
from aster_tui.domain.trading import Order, Position

D = Decimal


def order(number: int, status: str, at: int, executed: str = "0") -> OrderUpdate:
    return OrderUpdate(
        "0xA",
        at,
        Order(
            symbol="BTCUSDT",
            order_id=number,
            client_order_id=f"c{number}",
            side="BUY",
            order_type="LIMIT",
            status=status,
            quantity=D(2),
            executed=D(executed),
            updated_at=at,
        ),
    )


def update(at: int, quantity: str, wallet: str = "1000") -> AccountUpdate:
    change = PositionChange("BTCUSDT", D(quantity), D(100))
    return AccountUpdate("0xA", at, "ORDER", {"USDT": D(wallet)}, (change,))


def take(state: AccountState, event: OrderUpdate | AccountUpdate | AccountSnapshot) -> bool:
    if isinstance(event, OrderUpdate):
        return state.apply_order(event)
    if isinstance(event, AccountUpdate):
        return state.apply_update(event)
    return state.apply_snapshot(event)


LIFE = [
    order(1, "NEW", 10),
    order(1, "PARTIALLY_FILLED", 20, "1"),
    update(20, "1", "999.9"),
    order(1, "FILLED", 30, "2"),
    update(30, "2", "999.8"),
    order(2, "NEW", 40),
    order(3, "NEW", 50),
    order(3, "CANCELED", 60),
    update(70, "-3", "1010"),
]


@given(st.permutations(LIFE), st.lists(st.sampled_from(LIFE), max_size=6))
def test_shuffled_and_repeated_events_end_in_the_same_state(
    shuffled: list[OrderUpdate | AccountUpdate], again: list[OrderUpdate | AccountUpdate]
) -> None:
    state = AccountState()
    for event in [*shuffled, *again]:
        take(state, event)
    assert set(state.orders) == {2}
    assert state.positions["BTCUSDT", "BOTH"].quantity == D(-3)
    assert state.wallet == D(1010)


def snapshot(at: int, quantity: str, open_orders: tuple[OrderUpdate, ...] = ()) -> AccountSnapshot:
    positions = (Position("BTCUSDT", D(quantity), D(100), updated_at=at),) if D(quantity) else ()
    return AccountSnapshot("0xA", at, D(1000), D(900), positions, tuple(o.order for o in open_orders))


@given(st.permutations(LIFE), st.integers(0, len(LIFE)))
def test_a_snapshot_of_the_end_wins_wherever_it_comes(
    shuffled: list[OrderUpdate | AccountUpdate], position: int
) -> None:
    state = AccountState()
    events: list[OrderUpdate | AccountUpdate | AccountSnapshot] = [*shuffled]
    events.insert(position, snapshot(80, "-3", (order(2, "NEW", 40),)))
    for event in events:
        take(state, event)
    assert set(state.orders) == {2}
    assert state.positions["BTCUSDT", "BOTH"].quantity == D(-3)
    assert state.wallet == D(1000)


def test_an_old_snapshot_does_not_undo_what_the_stream_said_since() -> None:
    state = AccountState()
    take(state, order(1, "NEW", 100))
    take(state, update(120, "5", "990"))
    take(state, order(2, "FILLED", 130, "2"))
    take(state, snapshot(90, "1", (order(2, "NEW", 80),)))
    assert state.positions["BTCUSDT", "BOTH"].quantity == D(5)
    assert state.wallet == D(990)
    assert set(state.orders) == {1}, "order 2 is known to be filled, order 1 is newer than the snapshot"


def test_what_the_snapshot_does_not_list_is_gone() -> None:
    state = AccountState()
    take(state, order(1, "NEW", 10))
    take(state, update(10, "5"))
    take(state, snapshot(20, "0"))
    assert not state.orders
    assert not state.positions
    assert not state.opened_at


def test_new_and_filled_in_one_millisecond_end_filled_in_either_order() -> None:
    for events in (
        [order(1, "NEW", 10), order(1, "FILLED", 10, "2")],
        [order(1, "FILLED", 10, "2"), order(1, "NEW", 10)],
    ):
        state = AccountState()
        for event in events:
            take(state, event)
        assert not state.orders


def test_leverage_is_kept_through_position_events_and_a_flip_restarts_the_clock() -> None:
    state = AccountState()
    state.apply_leverage(LeverageChanged("0xA", 5, "BTCUSDT", 7))
    take(state, update(10, "1"))
    take(state, update(20, "2"))
    assert state.positions["BTCUSDT", "BOTH"].leverage == 7
    assert state.opened_at["BTCUSDT", "BOTH"] == 10
    take(state, update(30, "-1"))
    assert state.opened_at["BTCUSDT", "BOTH"] == 30


def opened() -> AccountState:
    state = AccountState()
    state.apply_stream(StreamOpened("0xA", 5))
    state.apply_snapshot(snapshot(10, "1"))
    return state


def test_what_the_stream_never_told_is_missed_after_a_moment() -> None:
    state = opened()
    state.apply_snapshot(snapshot(100, "2"))
    assert state.missed(102, 3) == []
    assert state.missed(104, 3) == ["BTCUSDT"]
    state.apply_missed(StreamMissed("0xA", 104))
    assert state.missed(10_000, 3) == []


def test_a_stream_that_only_comes_later_missed_nothing() -> None:
    state = opened()
    state.apply_snapshot(snapshot(100, "2"))
    state.apply_update(update(99, "2"))
    assert state.missed(10_000, 3) == []


def test_a_changed_balance_and_a_position_that_is_gone_are_noticed_too() -> None:
    state = opened()
    state.apply_snapshot(AccountSnapshot("0xA", 100, D(777), D(700), ()))
    assert state.missed(10_000, 3) == ["BTCUSDT", "the balance"]


def test_the_gap_before_the_stream_opened_is_not_its_fault() -> None:
    state = opened()
    state.apply_stream(StreamOpened("0xA", 200))
    state.apply_snapshot(snapshot(190, "2"))  # asked before it opened
    state.apply_snapshot(snapshot(210, "3"))
    assert state.missed(10_000, 3) == []
    state.apply_snapshot(snapshot(220, "4"))
    assert state.missed(10_000, 3) == ["BTCUSDT"]


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), max_size=20))
def test_a_stream_that_tells_everything_is_never_blamed(steps: list[tuple[int, bool]]) -> None:
    state = opened()
    at = 100
    for quantity, snapshot_first in steps:
        at += 10
        told = update(at, str(quantity), "1000")
        if snapshot_first:
            state.apply_snapshot(snapshot(at + 1, str(quantity)))
            state.apply_update(told)
        else:
            state.apply_update(told)
            state.apply_snapshot(snapshot(at + 1, str(quantity)))
        assert state.missed(at + 10_000, 3) == []


def test_open_orders_are_counted_by_symbol_and_by_whether_they_wait() -> None:
    state = AccountState()
    for number, (symbol, kind) in enumerate(
        [
            ("BTCUSDT", "LIMIT"),
            ("BTCUSDT", "STOP_MARKET"),
            ("BTCUSDT", "TRAILING_STOP_MARKET"),
            ("ETHUSDT", "STOP"),
        ]
    ):
        event = order(number, "NEW", 5)
        state.apply_order(replace(event, order=replace(event.order, symbol=symbol, order_type=kind)))
    assert state.open_of("BTCUSDT") == OpenOrders(3, 2)
    assert state.open_of("ETHUSDT") == OpenOrders(1, 1)
    assert state.open_of("XRPUSDT") == OpenOrders(0, 0)


def test_when_the_exchanges_clock_is_set_back_news_are_news_again() -> None:
    state = AccountState()
    ahead = 3_600_000
    state.apply_snapshot(snapshot(ahead, "0.5"))
    state.apply_order(order(7, "NEW", ahead + 5))
    late = order(7, "PARTIALLY_FILLED", 10, "1")
    assert not state.apply_order(late)
    assert not state.apply_snapshot(snapshot(10, "0"))
    state.set_back(8)
    assert state.apply_order(late)
    assert state.apply_snapshot(snapshot(10, "0"))
    assert state.positions == {}


def test_events_of_one_millisecond_that_differ_are_unclear_until_a_snapshot() -> None:
    def update(at: int, quantity: str, wallet: str = "1000") -> AccountUpdate:
        return AccountUpdate(
            "0xA", at, "ORDER", {"USDT": D(wallet)}, (PositionChange("BTCUSDT", D(quantity), D(100)),)
        )

    state = AccountState()
    for event in (update(5, "1"), update(5, "1"), update(6, "2"), update(4, "9")):
        state.apply_update(event)
    assert not state.unclear
    state.apply_stream(StreamOpened("0xA", 1))
    state.apply_snapshot(snapshot(3, "0"))
    # Closed and half closed in one millisecond: which came last? If it is closed, no stream was silent.
    state.apply_update(update(6, "0"))
    state.apply_update(update(6, "2"))
    assert state.unclear
    state.apply_snapshot(snapshot(7, "0"))
    assert not state.unclear
    assert state.missed(10_000, 3) == []
    state.apply_update(update(8, "0", "1001"))
    state.apply_update(update(8, "0", "1002"))
    assert state.unclear

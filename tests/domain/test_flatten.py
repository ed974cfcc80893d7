"""Close-all as a machine: an end always, never a position opened or turned over, never a wrong "flat"."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aster_tui.domain.flatten.machine import FINAL_MS, Flatten
from aster_tui.domain.flatten.parts import Leg, adds_risk, parts_of
from aster_tui.domain.flatten.steps import (
    AskClose,
    CancelOrders,
    Failure,
    FenceNonce,
    LegKey,
    ReadOrders,
    ReadPositions,
    SendCloses,
    Stray,
)
from aster_tui.domain.trading import Order, Position
from tests.domain.flatten_model import MARK, Faults, Play, Venue, rules_of

D = Decimal
SYMBOLS = [f"{name}USDT" for name in ("AA", "BB", "CC", "DD", "EE", "FF", "GG")]
RULES = {symbol: rules_of(symbol) for symbol in SYMBOLS}
DEADLINE = 60_000


def order(
    number: int,
    symbol: str,
    side: Any,
    kind: str = "LIMIT",
    *,
    reduces: bool = False,
    position_side: Any = "BOTH",
    quantity: int = 5,
) -> Order:
    return Order(
        symbol,
        number,
        f"order-{number}",
        side,
        kind,
        "NEW",
        D(quantity),
        reduce_only=reduces,
        position_side=position_side,
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[bool, dict[LegKey, Decimal], dict[int, Order]]:
    """Mode, positions and open orders of an account."""
    hedge = draw(st.booleans())
    positions: dict[LegKey, Decimal] = {}
    for symbol in draw(st.lists(st.sampled_from(SYMBOLS), unique=True, max_size=7)):
        size = D(draw(st.integers(1, 100)))
        if hedge:
            positions[symbol, "LONG"] = size
            if draw(st.booleans()):
                positions[symbol, "SHORT"] = -D(draw(st.integers(1, 100)))
        else:
            positions[symbol, "BOTH"] = size * draw(st.sampled_from((1, -1)))
    orders: dict[int, Order] = {}
    for number in range(1, 1 + draw(st.integers(0, 8))):
        symbol = draw(st.sampled_from(SYMBOLS))
        side = draw(st.sampled_from(("BUY", "SELL")))
        kind = draw(st.sampled_from(("LIMIT", "STOP_MARKET")))
        where = draw(st.sampled_from(("LONG", "SHORT"))) if hedge else "BOTH"
        reduces = not hedge and draw(st.booleans())
        orders[number] = order(number, symbol, side, kind, reduces=reduces, position_side=where)
    return hedge, positions, orders


CHANCES = st.sampled_from((0.0, 0.0, 0.05, 0.3))


@st.composite
def faults(draw: st.DrawFn) -> Faults:
    chosen = {
        name: draw(CHANCES)
        for name in ("unsent", "refused503", "lost_reply", "late", "doubled", "limited", "clock", "partial")
    }
    few = st.frozensets(st.sampled_from(SYMBOLS), max_size=1)
    return Faults(
        **chosen,
        hung=draw(CHANCES),
        fills=draw(CHANCES),
        grows=draw(st.sampled_from((0, 0, 4))),
        closed=draw(st.just(frozenset()) | few),
        bounds=draw(st.just(frozenset()) | few),
        key=draw(st.sampled_from((False, False, False, True))),
    )


def play(
    situation: tuple[bool, dict[LegKey, Decimal], dict[int, Order]],
    wrong: Faults,
    seed: int = 1,
    **more: Any,
) -> Play:
    hedge, positions, orders = situation
    venue = Venue(random.Random(seed), wrong, hedge, dict(positions), dict(orders), RULES)
    return Play(Flatten(0, deadline=DEADLINE, rules=RULES, **more), venue)


def test_nothing_goes_wrong() -> None:
    positions: dict[LegKey, Decimal] = {("AAUSDT", "BOTH"): D(40), ("BBUSDT", "BOTH"): D(-7)}
    orders = {
        1: order(1, "AAUSDT", "BUY"),
        2: order(2, "AAUSDT", "SELL", "STOP_MARKET", reduces=True),
        3: order(3, "CCUSDT", "SELL"),
    }
    run = play((False, positions, orders), Faults())
    run.run()
    report = run.machine.report()
    assert report.flat
    assert (report.positions_before, report.orders_cancelled, report.rounds) == (2, 3, 1)
    sent = [close for step in run.sent for close in step.closes]
    # The symbol's largest market order is 30.
    assert [(c.symbol, c.side, c.quantity) for c in sent] == [
        ("AAUSDT", "SELL", D(30)),
        ("AAUSDT", "SELL", D(10)),
        ("BBUSDT", "BUY", D(7)),
    ]
    assert all(made.status == "FILLED" for made in report.closes)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(situation=situations(), wrong=faults(), seed=st.integers(0, 2**32), thorough=st.booleans())
def test_an_end_always_no_turn_over_and_no_wrong_flat(
    situation: tuple[bool, dict[LegKey, Decimal], dict[int, Order]],
    wrong: Faults,
    seed: int,
    thorough: bool,
) -> None:
    run = play(situation, wrong, seed, thorough=thorough)
    ended_at = run.run()
    report = run.machine.report()
    venue = run.venue
    assert ended_at <= DEADLINE + FINAL_MS
    assert not venue.wrong, venue.wrong
    if report.flat:
        assert not any(venue.positions.values())
        assert not venue.orders
        assert not report.remaining
        assert not report.doubtful
        run.settle()  # what was under way arrives now
        assert not any(venue.positions.values()), "something came late and opened a position"
        assert not venue.wrong, venue.wrong
        return
    assert report.errors
    before = {leg: q for leg, q in venue.positions.items() if q}
    run.settle()
    after = {leg: q for leg, q in venue.positions.items() if q}
    if before != after:
        assert report.doubtful, "what came late was not named"
    elif report.positions_known and not wrong.fills and not wrong.grows and ended_at < DEADLINE:
        assert {(r.symbol, r.position_side): r.quantity for r in report.remaining} == after


@settings(max_examples=300, deadline=None)
@given(situation=situations(), seed=st.integers(0, 2**32), chance=st.sampled_from((0.0, 0.2, 0.5)))
def test_it_ends_flat_where_nothing_but_answers_is_lost(
    situation: tuple[bool, dict[LegKey, Decimal], dict[int, Order]], seed: int, chance: float
) -> None:
    run = play(situation, Faults(refused503=chance, lost_reply=chance / 2, doubled=chance), seed)
    run.run()
    assert run.machine.report().flat, run.machine.report()
    assert not run.venue.wrong


@settings(max_examples=300, deadline=None)
@given(situation=situations(), seed=st.integers(0, 2**32))
def test_stops_stay_until_their_symbol_is_flat(
    situation: tuple[bool, dict[LegKey, Decimal], dict[int, Order]], seed: int
) -> None:
    run = play(situation, Faults(partial=0.5), seed)
    cancel = run.venue.cancel

    def watched(order_ids: tuple[int, ...]) -> Any:
        for number in order_ids:
            known = run.venue.orders.get(number)
            if known is not None and known.order_type == "STOP_MARKET" and not adds_risk(known):
                legs = [q for (symbol, _), q in run.venue.positions.items() if symbol == known.symbol]
                assert not any(legs), f"{known.symbol} lost its stop while it was open"
        return cancel(order_ids)

    run.venue.cancel = watched  # type: ignore[method-assign]
    run.run()
    assert run.machine.report().flat


def test_a_closed_symbol_is_said_and_the_rest_goes_on_with_its_stop_left_alone() -> None:
    positions: dict[LegKey, Decimal] = {("AAUSDT", "BOTH"): D(4), ("BBUSDT", "BOTH"): D(5)}
    orders = {1: order(1, "AAUSDT", "SELL", "STOP_MARKET", reduces=True)}
    run = play((False, positions, orders), Faults(closed=frozenset({"AAUSDT"})))
    assert run.run() < 5_000
    report = run.machine.report()
    assert not report.flat
    assert [(r.symbol, r.quantity, r.why) for r in report.remaining] == [
        ("AAUSDT", D(4), "the symbol is closed")
    ]
    assert report.errors == ("AAUSDT: the symbol is closed",)
    assert report.open_orders == 1


def test_what_is_wrong_with_all_positions_is_said_once_and_names_them() -> None:
    positions: dict[LegKey, Decimal] = {("AAUSDT", "BOTH"): D(4), ("BBUSDT", "BOTH"): D(5)}
    run = play((False, positions, {}), Faults(closed=frozenset({"AAUSDT", "BBUSDT"})))
    run.run()
    report = run.machine.report()
    assert report.errors == ("AAUSDT, BBUSDT: the symbol is closed",)
    assert [r.why for r in report.remaining] == ["the symbol is closed"] * 2


def test_out_of_bounds_a_limit_inside_the_band_closes() -> None:
    positions: dict[LegKey, Decimal] = {("AAUSDT", "BOTH"): D(40)}
    run = play((False, positions, {}), Faults(bounds=frozenset({"AAUSDT"})))
    run.run()
    assert run.machine.report().flat
    limit = run.sent[-1].closes[0]
    assert limit.order_type == "LIMIT"
    assert limit.price is not None
    assert MARK * D("0.85") < limit.price < MARK


def test_a_refused_key_ends_it_soon_and_names_what_is_left() -> None:
    run = play((False, {("AAUSDT", "BOTH"): D(4)}, {}), Faults(key=True))
    assert run.run() < 5_000
    report = run.machine.report()
    assert [(r.symbol, r.quantity) for r in report.remaining] == [("AAUSDT", D(4))]
    assert "no permission" in report.errors


def test_a_scope_leaves_the_rest_alone() -> None:
    positions: dict[LegKey, Decimal] = {("AAUSDT", "BOTH"): D(4), ("BBUSDT", "BOTH"): D(5)}
    orders = {1: order(1, "AAUSDT", "BUY"), 2: order(2, "BBUSDT", "BUY")}
    run = play((False, positions, orders), Faults(), symbols=frozenset({"AAUSDT"}))
    run.run()
    assert run.machine.report().flat
    assert run.venue.positions == {("AAUSDT", "BOTH"): D(0), ("BBUSDT", "BOTH"): D(5)}
    assert list(run.venue.orders) == [2]


def test_what_a_stream_knows_is_closed_before_the_exchange_was_asked() -> None:
    machine = Flatten(0, deadline=DEADLINE, rules=RULES, hints=[Position("AAUSDT", D(4), MARK)])
    kinds = [type(step) for step in machine.next(0)]
    assert kinds == [SendCloses, ReadPositions, ReadOrders]


def test_without_filters_the_first_closes_wait_a_little_and_then_go() -> None:
    machine = Flatten(0, deadline=DEADLINE, hints=[Position("AAUSDT", D(400), MARK)])
    assert not [s for s in machine.next(0) if isinstance(s, SendCloses)]
    (step,) = [s for s in machine.next(500) if isinstance(s, SendCloses)]
    assert [c.quantity for c in step.closes] == [D(400)]
    machine.closed(step, [Failure("refused", "too large", -4005)], 510)
    (read,) = [s for s in machine.next(510) if isinstance(s, ReadPositions)]
    machine.positions(read, [Position("AAUSDT", D(400), MARK)], 550)
    (step,) = [s for s in machine.next(550) if isinstance(s, SendCloses)]
    assert [c.quantity for c in step.closes] == [D(200), D(200)]


def test_a_lost_close_of_hedge_mode_is_not_sent_again_before_it_is_certain() -> None:
    there = [Position("AAUSDT", D(4), MARK, "LONG")]
    machine = Flatten(0, deadline=DEADLINE, rules=RULES, hints=there)
    send, read, orders = machine.next(0)
    assert isinstance(send, SendCloses)
    machine.closed(send, Failure("unknown", "HTTP 503"), 50, nonce=9, expires_at=11_000)
    assert isinstance(read, ReadPositions)
    assert isinstance(orders, ReadOrders)
    machine.orders(orders, [], 50)
    steps = machine.next(60)
    fence, ask, again = steps
    assert isinstance(fence, FenceNonce)
    assert isinstance(ask, AskClose)
    assert isinstance(again, ReadPositions)
    machine.positions(again, there, 100)  # it says: still open
    machine.asked(ask, None, 100)
    machine.fenced(fence, Failure("unknown", "lost"), 100)
    for now in range(200, 5_000, 100):
        steps = machine.next(now)
        assert not [s for s in steps if isinstance(s, SendCloses)]
        for step in steps:
            if isinstance(step, FenceNonce) and now > 3_000:
                machine.fenced(step, "burned", now)
            elif isinstance(step, ReadPositions):
                machine.positions(step, there, now)
                if now > 3_000:
                    assert [s for s in machine.next(now) if isinstance(s, SendCloses)]
                    return
            elif isinstance(step, FenceNonce):
                machine.fenced(step, Failure("unknown", "lost"), now)
            elif isinstance(step, AskClose):
                machine.asked(step, None, now)
    raise AssertionError("it was never sent again")


def test_a_stray_entry_keeps_flat_from_being_said_until_it_cannot_come() -> None:
    machine = Flatten(0, deadline=DEADLINE, rules=RULES, strays_within_ms=1_000)
    machine.strays([Stray(77, expires_at=9_000)], 0)
    now, fences = 0, 0
    while not machine.ended and now < 30_000:
        for step in machine.next(now):
            if isinstance(step, ReadPositions):
                machine.positions(step, [], now + 1)
            elif isinstance(step, ReadOrders):
                machine.orders(step, [], now + 1)
            elif isinstance(step, FenceNonce):
                fences += 1
                machine.fenced(step, Failure("unknown", "lost"), now + 1)
        now = max(now + 2, min(machine.wakes(now + 1), now + 500))
    assert machine.report().flat
    assert now >= 9_000
    assert fences > 3


def test_own_resting_close_is_cancelled_and_what_is_left_is_closed_anew() -> None:
    there = [Position("AAUSDT", D(4), MARK)]
    machine = Flatten(0, deadline=DEADLINE, rules=RULES, hints=there)
    send, *_ = machine.next(0)
    assert isinstance(send, SendCloses)
    resting = order(500, "AAUSDT", "SELL", "MARKET", reduces=True)
    machine.closed(send, [resting], 10, nonce=1, expires_at=5_000)
    cancelled = False
    for now in range(20, 10_000, 50):
        for step in machine.next(now):
            if isinstance(step, ReadPositions):
                machine.positions(step, there, now)
            elif isinstance(step, ReadOrders):
                machine.orders(step, [], now)
            elif isinstance(step, AskClose):
                known = replace(resting, status="CANCELED") if cancelled else resting
                machine.asked(step, known, now)
            elif isinstance(step, CancelOrders):
                assert step.order_ids == (500,)
                assert now >= 2_000
                cancelled = True
                machine.cancelled(step, [replace(resting, status="CANCELED")], now)
            elif isinstance(step, SendCloses):
                assert cancelled
                return
    raise AssertionError("it was never closed anew")


def test_resting_limits_make_room_for_a_refused_close_and_stops_stay() -> None:
    there = [Position("AAUSDT", D(4), MARK)]
    machine = Flatten(0, deadline=DEADLINE, rules=RULES, hints=there)
    send, read, orders = machine.next(0)
    assert isinstance(send, SendCloses)
    assert isinstance(read, ReadPositions)
    assert isinstance(orders, ReadOrders)
    resting = [
        order(1, "AAUSDT", "SELL", reduces=True),
        order(2, "AAUSDT", "SELL", "STOP_MARKET", reduces=True),
        order(3, "BBUSDT", "SELL", reduces=True),
    ]
    machine.positions(read, there, 5)
    machine.orders(orders, resting, 5)
    # BBUSDT has no position: what rests there goes at once. AAUSDT keeps what only reduces.
    assert [s.order_ids for s in machine.next(6) if isinstance(s, CancelOrders)] == [(3,)]
    machine.closed(send, [Failure("refused", "reduce-only", -2022)], 10)
    assert [s.order_ids for s in machine.next(11) if isinstance(s, CancelOrders)] == [(1,)]


def test_a_limit_goes_where_a_market_order_is_too_coarse() -> None:
    rules = {"AAUSDT": rules_of("AAUSDT", market_step_size=D(10), step_size=D("0.1"))}
    leg = Leg("AAUSDT", "BOTH", quantity=D("7.3"), mark=MARK)
    assert list(parts_of(leg, rules)) == [(D("7.3"), D("85.3"))]


def test_orders_that_add_risk_are_told_from_those_that_only_close() -> None:
    assert adds_risk(order(1, "AAUSDT", "BUY"))
    assert adds_risk(order(1, "AAUSDT", "SELL", "STOP_MARKET"))
    assert not adds_risk(order(1, "AAUSDT", "SELL", "STOP_MARKET", reduces=True))
    assert not adds_risk(order(1, "AAUSDT", "SELL", position_side="LONG"))
    assert adds_risk(order(1, "AAUSDT", "BUY", position_side="LONG"))
    assert not adds_risk(order(1, "AAUSDT", "BUY", position_side="SHORT"))


def limited(retry_ms: int, patience_ms: int) -> Flatten:
    """A machine whose first readings were answered with "too many requests"."""
    machine = Flatten(0, deadline=DEADLINE, rules=RULES, patience_ms=patience_ms)
    wait = Failure("limited", "too many requests", -1003, retry_ms)
    for step in machine.next(0):
        if isinstance(step, ReadPositions):
            machine.positions(step, wait, 10)
        elif isinstance(step, ReadOrders):
            machine.orders(step, wait, 10)
    return machine


def test_what_the_exchange_wants_waited_for_is_no_time_of_the_closes() -> None:
    machine = limited(70_000, 150_000)
    assert machine.next(DEADLINE + 1) == ()
    assert not machine.ended
    position = Position("AAUSDT", D(5), MARK, mark_price=MARK)
    (first, second) = machine.next(70_020)
    assert isinstance(first, ReadPositions)
    assert isinstance(second, ReadOrders)
    machine.positions(first, (position,), 70_050)
    assert any(isinstance(step, SendCloses) for step in machine.next(70_060))
    # Held for 70 s, it has 70 s more.
    machine.next(DEADLINE + 70_009)
    assert not machine.ended
    machine.next(DEADLINE + 70_010)
    assert "the deadline passed" in machine.report().errors


def test_a_ban_longer_than_anybody_waits_is_said_at_once() -> None:
    for machine in (limited(300_000, 150_000), limited(61_000, 0)):
        now = 20
        while not machine.ended:
            machine.next(now)
            now += 500
        assert now < 20 + FINAL_MS + 1_000
        assert machine.report().phase == "not flat"
        assert any("takes nothing" in word for word in machine.report().errors)


def test_orders_that_take_up_the_room_of_a_close_are_cleared_away() -> None:
    for code in (-2022, -4118):
        machine = Flatten(0, deadline=DEADLINE, rules=RULES)
        resting = order(9, "AAUSDT", "SELL", reduces=True)
        stop = order(8, "AAUSDT", "SELL", "STOP_MARKET", reduces=True)
        position = Position("AAUSDT", D(5), MARK, mark_price=MARK)
        for step in machine.next(0):
            if isinstance(step, ReadPositions):
                machine.positions(step, (position,), 5)
            elif isinstance(step, ReadOrders):
                machine.orders(step, (resting, stop), 5)
        (send,) = machine.next(6)
        assert isinstance(send, SendCloses)
        machine.closed(send, [Failure("refused", "no room", code)], 10)
        cancels = [step for step in machine.next(11) if isinstance(step, CancelOrders)]
        assert [step.order_ids for step in cancels] == [(9,)]


def test_where_single_symbols_are_not_told_of_all_orders_are_read() -> None:
    machine = Flatten(0, deadline=DEADLINE, rules=RULES, symbols=frozenset({"AAUSDT", "GONEUSDT"}))
    reading = next(step for step in machine.next(0) if isinstance(step, ReadOrders))
    assert reading.symbols == ("AAUSDT", "GONEUSDT")
    machine.orders(reading, Failure("refused", "no such symbol", -1121), 5)
    again = next(step for step in machine.next(10) if isinstance(step, ReadOrders))
    assert again.symbols == ()
    machine.orders(again, [order(1, "AAUSDT", "BUY"), order(2, "BBUSDT", "BUY")], 15)
    assert [o.order_id for o in machine.report().orders_left] == [1]

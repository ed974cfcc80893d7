"""Candles, the day and the trades of the simulated market: before it was opened, and since."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from aster_tui.practice.exchange import Exchange
from aster_tui.practice.history import INTERVALS, MINUTE_MS, Candle, SymbolHistory
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.options import PracticeOptions

D = Decimal
START = 1_790_000_000_000


class World:
    def __init__(self, **options: object) -> None:
        self.now = START
        chosen = PracticeOptions(accounts=1, **options)  # type: ignore[arg-type]
        self.exchange = Exchange(chosen, lambda: self.now, lambda user, event: None)

    def go(self, steps: int, step_ms: int = 250) -> None:
        for _ in range(steps):
            self.now += step_ms
            self.exchange.step()


def sound(candles: list[Candle], minutes: int) -> None:
    for candle in candles:
        assert candle.opened % (minutes * MINUTE_MS) == 0
        assert (
            0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
        )
    for before, after in pairwise(candles):
        assert after.opened - before.opened == minutes * MINUTE_MS
        assert before.close == after.open or after.opened > START


@pytest.mark.parametrize("asked_after", [0, 1_000])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "1000PEPEUSDT"])
def test_there_is_a_past_without_a_gap_whenever_it_is_asked_for(symbol: str, asked_after: int) -> None:
    world = World()
    world.go(asked_after)
    history = world.exchange.history[symbol]
    for name, minutes in INTERVALS.items():
        if minutes < 60:
            sound(history.every(minutes), minutes)
            assert len(history.every(minutes)) >= 23 * 60 // minutes, name
        assert history.latest(minutes) == history.every(minutes)[-1], name
    hours = history.every(60)
    sound(hours, 60)
    assert len(hours) >= 14 * 24
    # An hour says what its minutes say.
    minutes_of = [c for c in history.every(1) if c.opened // 3_600_000 == hours[-3].opened // 3_600_000]
    assert (hours[-3].open, hours[-3].close) == (minutes_of[0].open, minutes_of[-1].close)
    assert hours[-3].volume == sum((c.volume for c in minutes_of), D(0))
    assert history.every(1)[-1].close == world.exchange.market.quote(symbol).last


def test_asking_late_or_early_gives_the_same_past() -> None:
    early, late = World(), World()
    first = early.exchange.history["ETHUSDT"].every(1)[:1000]
    for world in (early, late):
        world.go(2_000)
    assert late.exchange.history["ETHUSDT"].every(1)[:1000] == first
    assert late.exchange.history["ETHUSDT"].every(60) == early.exchange.history["ETHUSDT"].every(60)
    assert late.exchange.history["ETHUSDT"].day() == early.exchange.history["ETHUSDT"].day()


def test_hours_that_end_while_it_is_open_are_kept() -> None:
    world = World()
    world.go(400, 30_000)  # more than three hours
    hours = world.exchange.history["BTCUSDT"].every(60)
    sound(hours[:-4], 60)
    world.go(400, 30_000)
    assert world.exchange.history["BTCUSDT"].every(60)[: len(hours) - 1] == hours[:-1]
    assert len(world.exchange.history["BTCUSDT"].every(60)) >= len(hours) + 3


def test_where_prices_stand_still_nothing_was_before_and_only_oneself_trades() -> None:
    world = World(volatility=D(0))
    world.go(100)
    history = world.exchange.history["BTCUSDT"]
    assert len(history.every(1)) == 1
    assert (history.day().volume, [*history.trades]) == (D(0), [])


def test_where_they_move_others_trade_within_the_candles() -> None:
    world = World()
    world.go(200)
    for symbol, history in world.exchange.history.items():
        assert history.trades
        low, high = (
            f(getattr(c, n) for c in history.every(1)[-3:]) for f, n in ((min, "low"), (max, "high"))
        )
        for trade in history.trades:
            assert low <= trade.price <= high
            assert trade.quantity % LISTINGS[symbol].step == 0
            assert trade.quantity > 0
    numbers = [t.trade_id for h in world.exchange.history.values() for t in h.trades]
    assert len(numbers) == len(set(numbers))


def test_a_history_begins_with_a_candle() -> None:
    history = SymbolHistory(START, D(5))
    assert [c.open for c in history.every(1)] == [D(5)]
    assert history.day().close == D(5)

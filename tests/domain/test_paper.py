"""Paper fills and figures, recomputed by the existing system's rules; metrics."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.decisions import Decision
from aster_tui.domain.documents import parse_position, parse_trade
from aster_tui.domain.metrics import measure, quantile
from aster_tui.domain.paper import PaperCosts, entry_document, exit_fields, figures, leave, triggered
from tests.domain.test_drift import done

D = Decimal
COSTS = PaperCosts(D(2), D("0.0004"))


def position(signal: Any, entry: Decimal, size: Decimal, **more: Any) -> Any:
    decision = Decision("d", "a", "BTC", signal, 1, size, **more)
    return parse_position({**entry_document(decision, "A", entry, size, 5), "_id": "p"})


prices = st.decimals(D(1), D(200_000), places=2)


@given(st.sampled_from(["long", "short"]), prices, prices, st.decimals(D(1), D(5000), places=2))
def test_what_an_exit_earned_by_hand(signal: str, entry: Decimal, mark: Decimal, size: Decimal) -> None:
    opened = position(signal, entry, size)
    found = leave(opened, mark, COSTS)
    worse = D("0.9998") if signal == "long" else D("1.0002")
    price = float(mark * worse)
    quantity = float(size / entry)
    gross = (price - float(entry)) * quantity * (1 if signal == "long" else -1)
    fees = (float(size) + price * quantity) * 0.0004
    assert float(found.earned) == pytest.approx(gross - fees, rel=1e-6, abs=1e-6)
    fields = exit_fields(opened, found, 9)
    assert fields["pnl"] == pytest.approx(fields["pnlAbsolute"] / float(size) * 100)


def test_stops_and_targets_trigger_on_the_mark() -> None:
    long = position("long", D(100), D(50), stop_loss=D(95), profit_target=D(110))
    short = position("short", D(100), D(50), stop_loss=D(105), profit_target=D(90))
    bare = position("long", D(100), D(50))
    for held, mark, word in (
        (long, 95, "stop"),
        (long, 96, None),
        (long, 110, "target"),
        (short, 105, "stop"),
        (short, 90, "target"),
        (short, 100, None),
        (bare, 1, None),
    ):
        assert triggered(held, D(mark)) == word


trades = st.lists(
    st.tuples(st.sampled_from(["entry", "exit"]), st.integers(-500, 500), st.integers(0, 2)), max_size=20
)


@given(trades, prices)
def test_figures_follow_the_rules(told: list[tuple[str, int, int]], mark: Decimal) -> None:
    now = 3 * 86_400_000
    rows = [
        parse_trade(
            {
                "_id": str(n),
                "agentId": "a",
                "agentName": "A",
                "pair": "BTC",
                "side": "long",
                "amount": 1.0,
                "price": 1.0,
                "pnl": 0.0,
                "pnlAbsolute": float(earned),
                "timestamp": now - days * 86_400_000 - 1,
                "tradeType": kind,
                "size_usd": 100.0,
            }
        )
        for n, (kind, earned, days) in enumerate(told)
    ]
    held = position("short", D(50_000), D(200))
    found = figures(D(1000), rows, [held], {"BTCUSDT": mark}, now)
    exits = [e for kind, e, _ in told if kind == "exit"]
    unrealized = -float((mark - 50_000) / 50_000) * 200
    assert found["balance"] == pytest.approx(1000 + sum(exits) + unrealized)
    assert found["totalTrades"] == len(exits)
    assert found["winRate"] == pytest.approx(100 * sum(e > 0 for e in exits) / len(exits) if exits else 50)
    assert found["volume24h"] == 100 * sum(days == 0 for _, _, days in told)


def test_metrics_of_a_window() -> None:
    hour = 3_600_000
    good = replace(done("BUY", "1", "101", 10 * hour), answered_at=10 * hour + 40)
    refused = replace(good, client_order_id="x", state="refused", executed=D(0), intent_at=10 * hour)
    late = replace(good, client_order_id="y", answered_at=10 * hour + 90, average_price=D(103), doubted=True)
    old = replace(good, client_order_id="z", intent_at=1)
    errors = [(10 * hour, "A", "-2019"), (10 * hour, "A", "HTTP 503"), (5, "A", "-1")]
    found = measure([good, refused, late, old], errors, 10 * hour + 1000, window_ms=hour, agent="A")
    assert (found.orders, found.placed, found.doubted) == (3, 2, 1)
    assert found.success == D(2) / 3
    assert (found.slippage_average, found.slippage_p95) == (D(200), D(300))
    assert (found.latency_p50, found.latency_p99) == (40, 40)
    assert found.errors == {"-2019": 1, "HTTP 503": 1}
    assert found.error_rate == D(2) / 3
    empty = measure([], [], 0)
    assert (empty.success, empty.error_rate, empty.latency_p95) == (None, None, None)


@given(st.lists(st.integers(), min_size=1, max_size=50), st.integers(1, 100))
def test_quantiles(values: list[int], percent: int) -> None:
    ordered = sorted(values)
    found = quantile(ordered, percent)
    assert found is not None
    assert sum(v <= found for v in values) * 100 >= percent * len(values)

"""The figures of orders: what is added up one by one is what is gone through at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.lifecycle import Kind, OrderRecord, applied
from aster_tui.domain.metrics import Tally, measure
from tests.domain.test_lifecycle import DOUBT, INTENT, LIFE

D = Decimal
NEWS = [*LIFE, *DOUBT, ("refused", {"code": "-1"}), ("resolved", {"word": "never-placed"})]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(NEWS)), max_size=40))
def test_a_tally_that_follows_every_change_is_the_measure_of_the_end(
    steps: list[tuple[int, tuple[Kind, dict[str, Any]]]],
) -> None:
    tally = Tally()
    records: dict[int, OrderRecord] = {}
    for at, (which, (kind, data)) in enumerate(steps, start=2000):
        before = records.get(which)
        if before is None:
            kinds = "MARKET" if which % 2 else "LIMIT"
            price = D(90 + which)
            first = replace(INTENT, client_order_id=f"o{which}", order_type=kinds, mark_price=price)
            records[which] = first
            tally.add(first)
            continue
        records[which] = applied(before, kind, at, data)
        tally.remove(before)
        tally.add(records[which])
    errors = [(5, "A", "-1"), (6, "A", "-2"), (7, "B", "-1")]
    assert tally.figures(Counter({"-1": 2, "-2": 1})) == measure(records.values(), errors, 9000)
    again = Tally()
    again.add_all(records.values())
    assert again == tally


def test_the_figures_of_a_window_and_an_agent() -> None:
    filled = INTENT
    for at, (kind, data) in enumerate([("answered", LIFE[6][1]), LIFE[1]], start=1200):
        filled = applied(filled, kind, at, data)
    refused = applied(replace(INTENT, client_order_id="b", intent_at=5000), "refused", 5050, {"code": "-1"})
    other = replace(INTENT, client_order_id="c", agent="B")
    errors = [(5050, "A", "-1"), (900, "A", "-2"), (5050, "B", "-3")]
    found = measure([filled, refused, other], errors, 6000, agent="A")
    assert (found.orders, found.placed, found.success, found.doubted) == (2, 1, D("0.5"), 0)
    assert (found.slippage_average, found.latency_p50, found.latency_p99) == (D(100), 50, 200)
    assert (found.commission, found.realized) == (D("0.1"), D(1))
    assert (found.error_rate, found.errors) == (D(1), {"-1": 1, "-2": 1})
    last = measure([filled, refused, other], errors, 6000, window_ms=2000)
    assert (last.orders, last.placed, last.errors) == (1, 0, {"-1": 1, "-3": 1})
    assert measure([], [], 6000).success is None

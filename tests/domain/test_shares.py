"""Whose position it is, after a close-all too."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.flattened_costs import corrections
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.shares import Share, divided, parts, shares, shares_and_taken
from tests.domain.test_lifecycle import INTENT

D = Decimal


def filled(agent: str, side: Any, quantity: str, at: int, **more: Any) -> OrderRecord:
    return replace(
        INTENT,
        client_order_id=f"{agent}-{at}",
        agent_id=agent,
        side=side,
        executed=D(quantity),
        average_price=D(100),
        executed_at=at,
        intent_at=at,
        state="done",
        **{"account": "0xAA", "symbol": "BTCUSDT", "purpose": "entry", **more},
    )


def quantities(*records: OrderRecord) -> dict[str, Decimal]:
    return {agent: share.quantity for (agent, _), share in shares(records).items()}


def test_a_close_all_takes_from_everybody_on_the_account_and_from_nobody_else() -> None:
    opened = (
        filled("a", "BUY", "2", 1),
        filled("b", "BUY", "3", 2, account="0xaa"),
        filled("c", "BUY", "4", 3, account="0xBB"),
        filled("a", "BUY", "5", 4, symbol="ETHUSDT"),
    )
    close = filled("a", "SELL", "5", 9, purpose="flatten")
    assert quantities(*opened, close) == {"a": D(5), "c": D(4)}


def test_a_part_of_it_is_taken_from_the_largest_share() -> None:
    opened = (filled("a", "BUY", "2", 1), filled("b", "BUY", "3", 2))
    assert quantities(*opened, filled("a", "SELL", "4", 9, purpose="flatten")) == {"a": D(1)}


def test_what_was_long_here_and_short_there_is_flat_when_the_account_is() -> None:
    opened = (filled("a", "BUY", "5", 1), filled("b", "SELL", "2", 2))
    assert quantities(*opened, filled("a", "SELL", "3", 9, purpose="flatten")) == {}


def test_closing_what_nobody_here_opened_is_nobody_s_share() -> None:
    assert quantities(filled("a", "SELL", "3", 9, purpose="flatten")) == {}
    reopened = filled("a", "BUY", "1", 10)
    assert quantities(filled("a", "SELL", "3", 9, purpose="flatten"), reopened) == {"a": D(1)}


def test_what_a_close_all_took_is_whose_figures_it_goes_into() -> None:
    opened = (filled("a", "BUY", "2", 1), filled("b", "BUY", "3", 2), filled("c", "SELL", "1", 3))
    close = filled("a", "SELL", "4", 9, purpose="flatten", commission=D(1), realized=D(-7))
    _, taken = shares_and_taken([*opened, close])
    assert taken == {close.client_order_id: {"b": D(3), "a": D(1)}}
    found = corrections(close, taken, {"b": "B"}, PaperCosts())
    assert [(c.agent, c.commission, c.realized) for c in found] == [
        ("A", D("-0.75"), D("5.25")),
        ("B", D("0.75"), D("-5.25")),
    ]
    assert corrections(opened[0], taken, {}, PaperCosts()) == []
    alone = filled("a", "SELL", "2", 9, purpose="flatten")
    assert corrections(alone, shares_and_taken([opened[0], alone])[1], {}, PaperCosts()) == []
    nobodys = filled("z", "SELL", "9", 9, purpose="flatten")
    assert corrections(nobodys, shares_and_taken([nobodys])[1], {}, PaperCosts()) == []


@given(
    amount=st.integers(-(10**14), 10**14).map(lambda n: D(n) / 10**8),
    weights=st.lists(st.integers(1, 10**9).map(lambda n: D(n) / 1000), min_size=1, max_size=6),
)
def test_the_parts_come_to_the_whole(amount: Decimal, weights: list[Decimal]) -> None:
    parts_of = divided(amount, {str(n): weight for n, weight in enumerate(weights)})
    assert sum(parts_of.values(), D(0)) == amount
    for n, weight in enumerate(weights):
        assert abs(parts_of[str(n)] - amount * weight / sum(weights, D(0))) < D("1e-11")


@given(sizes=st.lists(st.integers(-9, 9).filter(bool), min_size=1, max_size=5), seed=st.integers(0, 2**16))
def test_after_a_close_all_in_any_number_of_parts_nobody_has_a_share(sizes: list[int], seed: int) -> None:
    opened = [
        filled(f"agent{n}", "BUY" if size > 0 else "SELL", str(abs(size)), n + 1)
        for n, size in enumerate(sizes)
    ]
    total, rng, closes = sum(sizes), random.Random(seed), []
    while total:
        part = rng.randint(1, abs(total))
        side = "SELL" if total > 0 else "BUY"
        closes.append(filled("agent0", side, str(part), 100 + len(closes), purpose="flatten"))
        total -= part if total > 0 else -part
    if closes:
        assert quantities(*opened, *closes) == {}


def test_what_is_missing_is_what_was_opened_first() -> None:
    older, newer = Share("a", "BTCUSDT", D(2), opened_at=1), Share("b", "BTCUSDT", D(1), opened_at=2)
    assert parts([older, newer], D(3)) == {"a": D(2), "b": D(1)}
    assert parts([older, newer], D(1)) == {"b": D(1)}
    assert parts([older, newer], D(2)) == {"a": D(1), "b": D(1)}
    assert parts([older, newer], D(-1)) == parts([older, newer], D(0)) == {}


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 3)), max_size=5),
    st.integers(-20, 20),
)
def test_all_parts_together_are_never_more_than_there_is_nor_more_than_each_bought(
    told: list[tuple[int, int]], there: int
) -> None:
    held = [Share(str(n), "BTCUSDT", D(q), opened_at=at) for n, (q, at) in enumerate(told)]
    found = parts(held, D(there))
    assert abs(sum(found.values())) <= abs(there)
    for share in held:
        mine = found.get(share.agent_id, D(0))
        assert abs(mine) <= abs(share.quantity)
        assert mine * there >= 0
        assert mine * share.quantity >= 0
    same = sum(s.quantity for s in held if s.quantity * there > 0)
    if abs(same) <= abs(there):
        assert found == {s.agent_id: s.quantity for s in held if s.quantity * there > 0}

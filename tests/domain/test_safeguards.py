"""Every safeguard trips on its own, says so, and lets closing through where it only bounds risk."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.safeguards import ALWAYS, RULES, Limits, Proposal, Situation, evaluate, refusals

D = Decimal
NOW = 1_000_000
GOOD = Situation(
    now=NOW,
    balance=D(1000),
    balance_at=NOW - 1000,
    available=D(900),
    mark=D(100),
    mark_at=NOW - 500,
    held={"ETHUSDT": D(150)},
)
ORDER = Proposal("BTCUSDT", "BUY", D(200), 5, price=D(101))

TRIPS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "halted": ({}, {"halted": "the fleet is HALTED"}, {}),
    "permission": ({}, {"forbidden": "the signer may only reduce"}, {}),
    "symbols": ({}, {}, {"deny": frozenset({"BTCUSDT"})}),
    "price age": ({}, {"mark_at": NOW - 6000}, {}),
    "balance age": ({}, {"balance_at": NOW - 121_000}, {}),
    "order size": ({"notional": D("200.01")}, {}, {}),
    "margin": ({}, {"available": D("39.99")}, {}),
    "positions": ({}, {"held": {str(n): D(1) for n in range(5)}}, {}),
    "exposure": ({}, {"held": {"ETHUSDT": D("6800.01")}}, {}),
    "leverage": ({"leverage": 11}, {}, {}),
    "price collar": ({"price": D("102.01")}, {}, {}),
    "daily loss": ({}, {"lost_today": D(112)}, {}),
    "orders per minute": ({}, {"recent": tuple((NOW - n, "X", "BUY") for n in range(20))}, {}),
    "duplicate": ({}, {"recent": ((NOW - 29_000, "BTCUSDT", "BUY"),)}, {}),
}


def test_a_sound_order_passes_all_of_them() -> None:
    verdicts = evaluate(ORDER, GOOD, Limits())
    assert [v.name for v in verdicts] == list(RULES)
    assert refusals(verdicts) == ()


@pytest.mark.parametrize("name", list(RULES))
def test_each_trips_alone_with_its_own_words(name: str) -> None:
    order, now, limits = TRIPS[name]
    case = replace(ORDER, **order), replace(GOOD, **now), replace(Limits(), **limits)
    verdicts = evaluate(*case)
    assert [v.name for v in verdicts if not v.ok] == [name]
    assert len(next(v.message for v in verdicts if not v.ok)) > 10
    closing = evaluate(replace(case[0], reduces=True), case[1], case[2])
    # What only bounds risk does not hold up what reduces it; a signer without permission sends nothing.
    assert bool(refusals(closing)) == (name == "permission")


@pytest.mark.parametrize(("reducing", "by_person", "passes"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)])
def test_a_complete_halt_stops_agents_also_from_closing_and_never_a_person(
    reducing: int, by_person: int, passes: int
) -> None:
    order = replace(ORDER, reduces=True, by_person=bool(by_person))
    now = replace(GOOD, halted="storm", reducing=bool(reducing))
    assert (refusals(evaluate(order, now, Limits())) == ()) == bool(passes)
    opening = replace(order, reduces=False)
    assert [v.name for v in evaluate(opening, now, Limits()) if not v.ok] == ["halted"]


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity"])
def test_a_price_that_is_no_number_is_refused_and_breaks_nothing(price: str) -> None:
    verdicts = evaluate(replace(ORDER, price=D(price)), GOOD, Limits())
    assert [v.name for v in verdicts if not v.ok] == ["price collar"]


def test_several_are_all_reported() -> None:
    verdicts = evaluate(replace(ORDER, notional=D(900), leverage=50), replace(GOOD, halted="x"), Limits())
    assert {v.name for v in verdicts if not v.ok} == {"halted", "order size", "leverage"}


def test_what_is_not_known_is_not_assumed() -> None:
    unknown = replace(GOOD, balance=None, balance_at=0, mark=None, mark_at=0)
    refused = "; ".join(refusals(evaluate(ORDER, unknown, Limits())))
    for words in ("no mark price", "balance is not known", "order size"):
        assert words in refused


def test_lists_of_symbols() -> None:
    assert refusals(evaluate(ORDER, GOOD, Limits(allow=frozenset({"BTCUSDT"})))) == ()
    assert "not on the list" in refusals(evaluate(ORDER, GOOD, Limits(allow=frozenset({"ETHUSDT"}))))[0]


@given(st.decimals(D(0), D(10_000), places=2), st.decimals(D(0), D(10_000), places=2))
def test_no_order_above_a_fifth_of_the_balance_ever_passes(notional: Decimal, balance: Decimal) -> None:
    order, now = replace(ORDER, notional=notional), replace(GOOD, balance=balance, held={})
    passed = not refusals(evaluate(order, now, Limits(max_positions=100)))
    if passed:
        assert notional * 5 <= balance


def test_those_that_closing_must_pass_are_there() -> None:
    assert set(RULES) >= ALWAYS

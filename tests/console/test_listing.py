"""Filters and sorting, without a screen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.console.listing import FIELDS, facts, ordered, parse_filter

BTC = facts(agent="NeuralSniper", symbol="BTCUSDT", status="FILLED", side="BUY")
ETH = facts(agent="VoltCrane", symbol="ETHUSDT", status="REJECTED", side="SELL")


@pytest.mark.parametrize(
    ("typed", "btc", "eth"),
    [
        ("", True, True),
        ("btc", True, False),
        ("USDT", True, True),
        ("neural filled", True, False),
        ("neural rejected", False, False),
        ("agent:volt", False, True),
        ("symbol:volt", False, False),
        ("Agent:VOLT status:rej", False, True),
        ("!rejected", True, False),
        ("!agent:neural status:filled", False, True),
        ("! ", True, True),
        ("!", True, True),
        ("agent:", True, True),
        ("nofield:x", False, False),
    ],
)
def test_a_filter_shows_what_has_all_its_terms(typed: str, btc: bool, eth: bool) -> None:
    found = parse_filter(typed)
    assert (found.shows(BTC), found.shows(ETH)) == (btc, eth)


@given(st.text(max_size=40), st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=10)))
def test_an_inverse_filter_shows_exactly_the_others(typed: str, said: dict[str, str]) -> None:
    plain = parse_filter(typed.replace("!", ""))
    inverse = parse_filter("!" + typed.replace("!", ""))
    row = facts(**said)
    assert plain.shows(row) != inverse.shows(row) or not plain


@given(
    st.lists(st.tuples(st.text(max_size=3), st.none() | st.decimals(allow_nan=False, allow_infinity=False)))
)
def test_what_is_unknown_is_last_in_both_directions(rows: list[tuple[str, Decimal | None]]) -> None:
    for descending in (False, True):
        found = ordered(rows, lambda r: r[1], descending=descending)
        assert sorted(found, key=str) == sorted(rows, key=str)
        known = [r[1] for r in found if r[1] is not None]
        assert found[len(known) :] == [r for r in found if r[1] is None]
        assert known == sorted(known, reverse=descending)

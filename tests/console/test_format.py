"""How numbers and ages are written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.console import format as fmt

D = Decimal
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=D("-1e12"), max_value=D("1e12"))


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (D("64012.4"), 1, "64,012.4"),
        (D("-3.1"), 2, "−3.10"),
        (D("1e-9"), 2, "0.00"),
        (None, 2, "–"),
        (D("NaN"), 2, "–"),
        (D("Infinity"), 2, "–"),
    ],
)
def test_numbers(value: Decimal | None, places: int, text: str) -> None:
    assert fmt.number(value, places) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(D("12.334"), "+12.33"), (D("-3.1"), "−3.10"), (D(0), "0.00"), (D("-0.001"), "0.00"), (None, "–")],
)
def test_signed(value: Decimal | None, text: str) -> None:
    assert fmt.signed(value) == text


@given(decimals)
def test_a_sign_is_always_that_of_what_is_shown(value: Decimal) -> None:
    text = fmt.signed(value)
    shown = D(text.replace(",", "").replace("−", "-"))
    assert abs(shown - value) <= D("0.005")
    assert text.startswith("+") == (shown > 0)
    assert text.startswith("−") == (shown < 0)
    assert "E" not in text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "–"), (-500, "0 s"), (999, "0 s"), (59_999, "59 s"), (60_000, "1 m"), (172_800_000, "2 d")],
)
def test_ages(ms: int | None, text: str) -> None:
    assert fmt.age(ms) == text


@given(st.text())
def test_foreign_text_stays_on_one_line(text: str) -> None:
    line = fmt.one_line(text)
    assert len(line) == len(text)
    assert all(c.isprintable() for c in line)

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


@pytest.mark.parametrize(
    ("text", "width", "said"),
    [
        ("97,302.2    ", 11, "97,302.2"),  # the zeros that align it go first
        ("1,000,000.00", 11, "1000000.00"),  # then what groups the thousands
        ("1,000,000.00", 9, "1000000"),
        ("123,456.789", 9, "123456.7…"),  # then decimals, and that is said
        ("+1,234.56", 8, "+1234.56"),
        ("−1,020.45 %", 8, "−1020 %"),
        ("−11,020.45 %", 10, "−11020 %"),
        ("−1,020.45?", 8, "−1020?"),  # a sum that lacks a part still says so
        ("12,345,678", 7, "#######"),  # and no number rather than another one
        ("never synced", 7, "never synced"),
        ("·", 7, "·"),
    ],
)
def test_a_number_that_does_not_fit(text: str, width: int, said: str) -> None:
    assert fmt.fitted(text, width) == said


@given(decimals, st.integers(0, 8), st.integers(1, 24), st.sampled_from(["", " %", "×", "?"]))
def test_a_number_that_is_cut_never_reads_as_another(
    value: Decimal, places: int, width: int, unit: str
) -> None:
    text = fmt.signed(value, places) + unit
    said = fmt.fitted(text + " " * 3, width).rstrip()
    assert len(said) <= width
    if set(said) <= {"#"}:
        return
    shown, meant = said.removesuffix(unit), text.removesuffix(unit).replace(",", "")
    cut = "…" in shown
    shown = shown.replace(",", "").rstrip("…")
    assert shown == meant or (meant.startswith(shown) and shown.split(".")[0] == meant.split(".")[0])
    assert cut == ("." in shown and shown != meant)


@pytest.mark.parametrize(
    ("value", "name"),
    [("0.01", "profit"), ("-0.01", "loss"), ("-0.004", ""), ("0.004", ""), ("0", ""), (None, "")],
)
def test_a_colour_never_says_what_the_sign_does_not(value: str | None, name: str) -> None:
    assert fmt.tone(None if value is None else D(value)) == name

"""Rounding and splitting never invent or lose quantity."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.symbols import (
    SymbolRules,
    coin_of,
    decimal_places,
    plain,
    round_down,
    round_nearest,
    round_up,
    split_quantity,
    symbol_among,
    symbol_of,
)

STEPS = st.sampled_from([Decimal(s) for s in ("0.001", "0.01", "0.1", "1", "10", "0.0005", "2.5")])
QUANTITIES = st.decimals("0", "100000", places=6)


def rules(**changes: object) -> SymbolRules:
    values: dict[str, object] = {
        "symbol": "BTCUSDT", "base_asset": "BTC", "status": "TRADING",
        "tick_size": Decimal("0.1"), "min_price": Decimal("1"), "max_price": Decimal("1000000"),
        "step_size": Decimal("0.001"), "min_quantity": Decimal("0.001"), "max_quantity": Decimal("1000"),
        "market_step_size": Decimal("0.001"), "market_min_quantity": Decimal("0.001"),
        "market_max_quantity": Decimal("120"), "min_notional": Decimal("5"),
    }  # fmt: skip
    return SymbolRules(**{**values, **changes})  # type: ignore[arg-type]


@given(QUANTITIES, STEPS)
def test_rounding_lands_on_the_step_and_on_the_right_side(value: Decimal, step: Decimal) -> None:
    down, up, near = round_down(value, step), round_up(value, step), round_nearest(value, step)
    assert all(x % step == 0 for x in (down, up, near))
    assert down <= value <= up
    assert up - down in (0, step)
    assert abs(near - value) <= step / 2


@given(QUANTITIES, st.sampled_from([Decimal("0.5"), Decimal(7), Decimal("120")]))
def test_a_split_adds_up_and_no_part_is_too_large(quantity: Decimal, largest: Decimal) -> None:
    parts = split_quantity(quantity, rules(market_max_quantity=largest))
    assert sum(parts, Decimal(0)) == round_down(quantity, Decimal("0.001"))
    assert all(0 < part <= largest for part in parts)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**9), max_value=10**9))
def test_plain_is_the_same_number_without_exponent(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert text != "-0"


@pytest.mark.parametrize(("step", "places"), [("0.010", 2), ("0.001", 3), ("1", 0), ("10", 0)])
def test_decimal_places(step: str, places: int) -> None:
    assert decimal_places(Decimal(step)) == places


def test_a_coin_and_its_symbol() -> None:
    assert symbol_of("btc") == "BTCUSDT"
    assert symbol_of("BTCUSDT") == "BTCUSDT"
    assert coin_of("BTCUSDT") == "BTC"
    assert symbol_of(coin_of("USDT")) == "USDTUSDT"


@pytest.mark.parametrize(
    ("name", "symbol"), [("btc", "BTCUSDT"), ("BTCUSDT", "BTCUSDT"), ("btcusd1", "BTCUSD1"), ("x", "XUSDT")]
)
def test_a_symbol_of_another_quote_is_meant_where_the_exchange_has_it(name: str, symbol: str) -> None:
    assert symbol_among(name, {"BTCUSDT", "BTCUSD1"}) == symbol

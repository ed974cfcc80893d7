"""The order ticket: whatever is typed is either read or refused with its reason, and never passes a
safeguard."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.safeguards import Limits, Situation
from aster_tui.domain.symbols import SymbolRules
from aster_tui.domain.ticket import FORCES, TYPES, Facts, Ticket, examine, read_number, read_ticket

D = Decimal
NOW = 1_790_000_000_000
RULES = SymbolRules(
    "BTCUSDT", "BTC", "TRADING", D("0.1"), D("1"), D("1000000"), D("0.001"), D("0.001"), D(1000),
    D("0.001"), D("0.001"), D(50), D(5), D("1.05"), D("0.95"),
)  # fmt: skip
GOOD = Situation(
    NOW, D(1000), NOW - 1000, D(900), D(60000), NOW - 500, {"ETHUSDT": D(100)}
)  # fmt: skip
FACTS = Facts(RULES, GOOD, Limits(), leverage=5)
NUMBERS = ("quantity", "size_usd", "price", "stop_price", "callback_rate", "activation_price")
FIELDS = {"symbol": "btc", "side": "buy", "type": "market", "quantity": "0.003"}


def test_a_sound_ticket_with_its_cost() -> None:
    typed = read_ticket(FIELDS)
    assert typed.ticket == Ticket("BTCUSDT", "BUY", "market", quantity=D("0.003"))
    seen = examine(typed.ticket, FACTS)
    assert seen.ok, seen.reasons
    assert (seen.notional, seen.margin, seen.share) == (D(180), D(36), D(18))
    assert (seen.fee, seen.slippage) == (D("0.072"), D("0.036"))


def test_a_size_in_usd_is_rounded_down_to_the_step() -> None:
    ticket = Ticket("BTCUSDT", "BUY", size_usd=D(199))
    assert examine(ticket, FACTS).quantity == D("0.003")
    small = examine(replace(ticket, size_usd=D(30)), FACTS)
    assert small.problems[0].nearest == D(60)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": D("0.0035")}, "nearest is 0.003"),
        ({"quantity": None}, "either a quantity or a size"),
        ({"size_usd": D(100)}, "either a quantity or a size"),
        ({"price": D(60000)}, "takes no price"),
        ({"order_type": "limit"}, "needs a price"),
        ({"order_type": "limit", "price": D("60000.04")}, "ticks of 0.1; nearest is 60000"),
        ({"order_type": "limit", "price": D(60000), "time_in_force": "NOW"}, "one of GTC"),
        ({"order_type": "stop-market"}, "needs a stop price"),
        ({"order_type": "stop-market", "stop_price": D(59000)}, "would trigger at once"),
        (
            {"order_type": "trailing-stop-market", "callback_rate": D(9)},
            "from 0.1 to 5 percent; nearest is 5",
        ),
        ({"quantity": D("0.004")}, "order size: 240.00 USD is more than 20 %"),
        ({"order_type": "vwap"}, "must be one of"),
    ],
)
def test_what_speaks_against_it_is_said(changes: dict[str, Any], words: str) -> None:
    ticket = replace(Ticket("BTCUSDT", "BUY", quantity=D("0.003")), **changes)
    seen = examine(ticket, FACTS)
    assert not seen.ok
    assert words in "; ".join(seen.reasons)


def test_what_only_reduces_passes_what_bounds_risk() -> None:
    ticket = Ticket("BTCUSDT", "SELL", quantity=D("0.5"), reduce_only=True)
    assert examine(ticket, FACTS).ok
    halted = replace(FACTS, situation=replace(GOOD, halted="the fleet is HALTED", reducing=False))
    assert examine(ticket, halted).ok  # a person may always reduce
    assert not examine(replace(ticket, quantity=D("0.003"), reduce_only=False), halted).ok


@given(st.text(max_size=80))
def test_a_text_is_a_finite_number_or_none(text: str) -> None:
    try:
        number = read_number(text)
    except ValueError:
        return
    assert number is None or number.is_finite()


@pytest.mark.parametrize("text", ["NaN", "inf", "1e9", "٣", "1" * 41, "0x10", "--1", "1.2.3", "1 000"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        read_number(text)


amounts = st.one_of(
    st.none(), st.decimals(allow_nan=True, allow_infinity=True), st.decimals("0.0001", "100000", places=4)
)


@given(
    st.sampled_from([*TYPES, "odd"]),
    st.sampled_from(["BUY", "SELL"]),
    st.fixed_dictionaries(dict.fromkeys(NUMBERS, amounts)),
    st.sampled_from(["", *FORCES, "x"]),
    st.booleans(),
    st.one_of(st.none(), st.decimals("1", "100000", places=2)),
)
def test_whatever_is_asked_ends_in_a_sound_order_or_a_reason(
    kind: str, side: Any, numbers: dict[str, Any], force: str, only: bool, mark: Decimal | None
) -> None:
    ticket = Ticket("BTCUSDT", side, kind, time_in_force=force, reduce_only=only, **numbers)
    seen = examine(ticket, replace(FACTS, situation=replace(GOOD, mark=mark)))
    if seen.ok:
        assert seen.quantity.is_finite()
        assert seen.quantity > 0
        assert seen.quantity % RULES.step_size == 0
        assert only or seen.notional <= D(200)
    else:
        assert all(reason for reason in seen.reasons)


@given(st.dictionaries(st.sampled_from([*FIELDS, "price", "tif", "reduce_only", "stop_price"]), st.text()))
def test_whatever_is_typed_is_read_or_refused_by_field(fields: dict[str, str]) -> None:
    typed = read_ticket(fields)
    assert (typed.ticket is None) == bool(typed.wrong)
    if typed.ticket is not None:
        examine(typed.ticket, FACTS)


def test_the_words_of_a_ticket_say_the_same_again() -> None:
    ticket = Ticket("BTCUSDT", "SELL", "limit", quantity=D("0.003"), price=D(61000), time_in_force="GTX")
    words = ticket.words()
    options = dict(zip(words[::2], words[1::2], strict=True))
    fields = {
        "symbol": options["--symbol"],
        "side": options["--side"],
        "type": options["--type"],
        "quantity": options["--quantity"],
        "price": options["--price"],
        "tif": options["--tif"],
    }
    assert read_ticket(fields).ticket == ticket

"""Foreign documents load whatever they hold, and say what was wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aster_tui.domain.documents import (
    paper_balance,
    paper_unrealized,
    parse_agent,
    parse_position,
    parse_trade,
)
from aster_tui.domain.keys import PrivateKey

AGENT: dict[str, Any] = {
    "_id": "a1",
    "name": "VoltCrane",
    "strategy": "breakout",
    "balance": 1012.5,
    "pnl": 1.25,
    "pnlAbsolute": 12.5,
    "winRate": 50,
    "totalTrades": 3,
    "volume24h": 100,
    "activePositions": [],
    "status": "active",
}
POSITION: dict[str, Any] = {
    "_id": "p1",
    "agentId": "a1",
    "agentName": "VoltCrane",
    "coin": "BTC",
    "signal": "short",
    "entry_price": 64000.0,
    "profit_target": 60000.0,
    "stop_loss": 66000.0,
    "leverage": 5,
    "size_usd": 640.0,
    "confidence": 0.8,
    "opened_at": 1_700_000_000_000,
    "status": "open",
    "pnl": 0,
    "pnlAbsolute": 0,
}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=8)
    | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_whole_documents_load_without_a_word() -> None:
    agent, position = parse_agent(AGENT), parse_position(POSITION)
    assert agent.balance == Decimal("1012.5")
    assert agent.warnings == ()
    assert (position.signal, position.size_usd, position.warnings) == ("short", Decimal(640), ())


@pytest.mark.parametrize(
    ("value", "paper", "warned"),
    [(False, False, False), (True, True, False), (None, True, False), (0, True, True), ("false", True, True)],
)
def test_an_agent_is_real_only_when_the_flag_is_exactly_false(value: Any, paper: bool, warned: bool) -> None:
    agent = parse_agent({**AGENT, "isPaperTrading": value})
    assert (agent.paper, bool(agent.warnings)) == (paper, warned)


@pytest.mark.parametrize("field", sorted(set(AGENT) - {"_id"}))
@pytest.mark.parametrize("value", ["missing", None, {"a": 1}])
def test_each_broken_field_of_an_agent_is_named(field: str, value: Any) -> None:
    raw = {k: v for k, v in AGENT.items() if k != field} if value == "missing" else {**AGENT, field: value}
    (warning,) = parse_agent(raw).warnings
    assert field in warning
    assert ("a1" if field == "name" else "VoltCrane") in warning


@pytest.mark.parametrize("value", ["0x12", 7, "VoltCrane", "0x" + "g" * 40])
def test_an_address_that_is_none_is_refused(value: Any) -> None:
    agent = parse_agent({**AGENT, "asterUserAddress": value})
    assert agent.user_address is None
    assert "asterUserAddress" in agent.warnings[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "NaN", True, "many"])
def test_a_number_that_is_none_becomes_the_default(value: Any) -> None:
    agent = parse_agent({**AGENT, "balance": value})
    assert agent.balance == 1000
    assert "balance" in agent.warnings[0]


def test_a_number_written_as_text_is_taken_and_told() -> None:
    agent = parse_agent({**AGENT, "balance": "12.5"})
    assert agent.balance == Decimal("12.5")
    assert "instead of a number" in agent.warnings[0]


def test_only_the_word_closed_closes_a_position() -> None:
    assert parse_position({**POSITION, "status": "closed"}).status == "closed"
    assert parse_position({**POSITION, "status": None}).status == "open"


@example(raw={"agentName": ["\n" * 400], "name": "N\n" * 400, "coin": "x" * 400, "_id": "y" * 400})
@given(raw=st.dictionaries(st.sampled_from([*AGENT, *POSITION, "pair", "side", "tradeType"]), anything))
def test_no_document_can_break_the_reader(raw: dict[str, Any]) -> None:
    for parse in (parse_agent, parse_position, parse_trade):
        parsed = parse(raw)
        assert all("\n" not in warning and len(warning) < 300 for warning in parsed.warnings)


def test_paper_arithmetic_follows_the_existing_system() -> None:
    position = parse_position(POSITION)
    # The price fell by 1 %, the agent is short 640 USD: it earned 6.40.
    assert paper_unrealized(position, Decimal(63360)) == Decimal("6.4")
    assert paper_balance(Decimal(1000), [Decimal(5), Decimal(-2)], Decimal("6.4")) == Decimal("1009.4")


def test_a_key_shows_nothing() -> None:
    import copy
    import json
    import pickle

    secret = "4f" * 32
    key = PrivateKey.parse("0x" + secret)
    assert key.reveal().hex() == secret
    shown = f"{key} {key!r} {[key]} {key:>20} %s" % key
    assert secret not in shown.lower()
    for leak in (pickle.dumps, copy.deepcopy, copy.copy, json.dumps):
        with pytest.raises(TypeError) as raised:
            leak(key)  # type: ignore[operator]
        assert secret not in str(raised.value)
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("text", ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32, "4f" * 33])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="not a private key") as raised:
        PrivateKey.parse(text)
    assert not text or text not in str(raised.value)

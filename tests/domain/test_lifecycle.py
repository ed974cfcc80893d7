"""An order's record ends the same whatever order its news comes in, and doubt never leads back to sending."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.client_ids import MOST_EPOCH, agent_tag, client_order_id, parse_client_id
from aster_tui.domain.lifecycle import NEVER_THERE, Kind, OrderRecord, applied, as_data, from_data

D = Decimal
INTENT = OrderRecord(
    client_order_id="a",
    account="0xa",
    agent_id="1",
    agent="A",
    purpose="entry",
    symbol="BTCUSDT",
    side="BUY",
    order_type="MARKET",
    nonce=5,
    intent_at=1000,
    quantity=D(3),
    mark_price=D(100),
)


def update(status: str, executed: int, price: str = "101") -> tuple[Kind, dict[str, Any]]:
    return "update", {"status": status, "order_id": 7, "executed": str(executed), "average_price": price}


def fill(trade: int) -> tuple[Kind, dict[str, Any]]:
    return "fill", {"trade_id": trade, "commission": "0.1", "realized": "1"}


LIFE = [
    update("NEW", 0, "0"),
    fill(1),
    update("PARTIALLY_FILLED", 1),
    fill(2),
    update("PARTIALLY_FILLED", 2),
    fill(3),
    update("FILLED", 3),
]
DOUBT: list[tuple[Kind, dict[str, Any]]] = [
    ("unknown", {"code": "HTTP 503", "message": "?"}),
    ("resolved", {"status": "PARTIALLY_FILLED", "order_id": 7, "executed": "1", "average_price": "101"}),
    ("answered", {"status": "NEW", "order_id": 7, "executed": "0"}),
]


def told(entries: list[tuple[Kind, dict[str, Any]]]) -> OrderRecord:
    record = INTENT
    for at, (kind, data) in enumerate(entries, start=2000):
        record = applied(record, kind, at, data)
    return record


@given(st.permutations([*LIFE, *DOUBT]), st.lists(st.sampled_from([*LIFE, *DOUBT]), max_size=8))
def test_news_in_any_order_and_again_ends_in_the_same_record(first: list[Any], again: list[Any]) -> None:
    record = told([*first, *again])
    assert (record.state, record.status, record.executed, record.average_price) == (
        "done",
        "FILLED",
        D(3),
        D(101),
    )
    assert (record.commission, record.realized, sorted(record.trade_ids)) == (D("0.3"), D(3), [1, 2, 3])
    assert record.slippage_bp == 100


@given(st.lists(st.sampled_from([*LIFE, *DOUBT, ("resolved", {"word": "never-placed"})]), max_size=12))
def test_what_was_once_placed_is_never_forgotten(entries: list[Any]) -> None:
    record, seen = INTENT, False
    for at, (kind, data) in enumerate(entries, start=2000):
        record = applied(record, kind, at, data)
        seen |= record.state in ("open", "done")
        if seen:
            assert record.state in ("open", "done")
        if record.state in NEVER_THERE and "status" not in data:
            assert record.executed == 0


def test_a_refusal_is_the_end_and_keeps_its_reason() -> None:
    record = told([("refused", {"code": "-2019", "message": "the margin is too low"}), DOUBT[0]])
    assert (record.state, record.error_code, record.error) == ("refused", "-2019", "the margin is too low")
    assert not record.live


def test_latency_is_only_told_where_it_was_measured() -> None:
    assert told([DOUBT[2]]).latency_ms == 1000
    assert told([DOUBT[0], DOUBT[1]]).latency_ms is None


def test_a_record_survives_json_and_fields_of_later_versions() -> None:
    record = told([*DOUBT, *LIFE])
    data = json.loads(json.dumps(as_data(record)))
    assert from_data({**data, "unheard_of": 1}) == record


@given(
    st.text(min_size=1, max_size=40),
    st.sampled_from(["entry", "stop", "target", "close", "operator", "flatten"]),
    st.integers(0, MOST_EPOCH),
    st.text(max_size=40),
)
def test_client_ids_are_the_venues_and_say_whose_they_are(
    agent: str, purpose: Any, epoch: int, seed: str
) -> None:
    import re

    name = client_order_id(agent, purpose, epoch, seed)
    assert re.fullmatch(r"[.A-Z:/a-z0-9_-]{1,36}", name)
    found = parse_client_id(name)
    assert found is not None
    assert (found.tag, found.purpose, found.epoch) == (agent_tag(agent), purpose, epoch)
    assert client_order_id(agent, purpose, epoch, seed + "x") != name


def test_other_ids_are_not_ours() -> None:
    for text in ("", "practice-1", "at-1-2-3", "autoclose-123", "at-aaaaaaaaaa-x1-bbbbbbbbbbbbb", "x" * 36):
        assert parse_client_id(text) is None

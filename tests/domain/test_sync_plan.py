"""What a sync writes, and that writing it once is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.documents import PositionDocument, parse_position
from aster_tui.domain.exits import Closing, closings
from aster_tui.domain.sync_plan import SyncPlan, plan_sync
from aster_tui.domain.trading import Order, Position
from tests.domain.test_shares import filled

D = Decimal
NOW = 1_790_000_000_000
MARKS = {"BTCUSDT": D(64000), "ETHUSDT": D(3100), "SOLUSDT": D(150)}


def document(**changes: Any) -> dict[str, Any]:
    base = {
        "_id": "d1",
        "agentId": "a1",
        "agentName": "VoltCrane",
        "coin": "BTC",
        "signal": "long",
        "entry_price": 63000.0,
        "profit_target": 66000.0,
        "stop_loss": 61000.0,
        "leverage": 5,
        "size_usd": 630.0,
        "opened_at": NOW - 1000,
        "status": "open",
    }
    return {**base, **changes}


def plan(documents: list[dict[str, Any]], positions: list[Position], **more: Any) -> SyncPlan:
    parsed = [parse_position(d) for d in documents]
    return plan_sync("a1", "VoltCrane", parsed, positions, MARKS, NOW, **more)


LONG = Position("BTCUSDT", D("0.01"), D(63000), leverage=5)


def test_nothing_differs() -> None:
    found = plan([document()], [LONG])
    assert (found.inserts, found.updates, found.closes, found.drift) == ((), (), (), ())
    assert found.active[0]["stop_loss"] == 61000.0


def test_a_missing_position_is_inserted_and_named() -> None:
    found = plan([], [LONG])
    assert found.inserts[0]["size_usd"] == 630.0
    assert found.drift == ("BTCUSDT: missing in MongoDB: long 0.01",)
    assert plan([], [LONG], expected={"BTCUSDT"}).drift == ()


def test_an_extra_position_is_closed_at_the_mark_with_its_pnl() -> None:
    found = plan([document()], [])
    ((document_id, fields),) = found.closes
    assert (document_id, fields["status"], fields["exit_price"]) == ("d1", "closed", 64000.0)
    assert (fields["pnlAbsolute"], fields["exit_price_from"]) == (10.0, "mark")
    assert "extra in MongoDB" in found.drift[0]


def test_an_extra_position_is_closed_at_what_closed_it() -> None:
    old = Closing("BTCUSDT", "SELL", D("0.01"), D(1), NOW - 2000)
    first = Closing("BTCUSDT", "SELL", D("0.004"), D(65000), NOW - 500)
    last = Closing("BTCUSDT", "SELL", D("0.006"), D(66000), NOW - 400)
    others = [
        Closing("ETHUSDT", "SELL", D(1), D(2), NOW),
        Closing("BTCUSDT", "BUY", D(1), D(2), NOW),
        Closing("BTCUSDT", "SELL", D(1), D(2), NOW, "SHORT"),
    ]
    ((_, fields),) = plan([document()], [], closings=[old, last, first, *others]).closes
    assert (fields["exit_price"], fields["exit_price_from"]) == (65600.0, "fills")
    assert fields["pnlAbsolute"] == pytest.approx(26)
    ((_, fields),) = plan([document()], [], closings=[old, *others]).closes
    assert (fields["exit_price"], fields["exit_price_from"]) == (64000.0, "mark")
    ((_, fields),) = plan([document()], [], closings=[old, last]).closes
    assert fields["exit_price"] == 66000.0


def test_who_closed_what() -> None:
    mine, other = filled("a", "SELL", "1", 5), filled("b", "SELL", "2", 6)
    all_of_it = filled("b", "SELL", "3", 7, purpose="flatten")
    elsewhere = filled("a", "SELL", "4", 8, account="0xBB")
    records = [mine, other, all_of_it, elsewhere]
    by_hand = Order("BTCUSDT", 9, "web_1", "SELL", "MARKET", "FILLED", D(5), D(5), average_price=D(7))
    ours = replace(by_hand, client_order_id=mine.client_order_id)
    for alone, expected in ((True, [1, 3, 5]), (False, [1, 3])):
        found = closings(records, [by_hand, ours], "a", "0xaa", alone=alone)
        assert [c.quantity for c in found] == expected


def test_another_side_is_a_close_and_an_insert() -> None:
    found = plan([document(signal="short")], [LONG])
    assert (len(found.inserts), len(found.closes), len(found.drift)) == (1, 1, 2)


def test_another_size_and_entry_are_corrected_and_named() -> None:
    found = plan([document(size_usd=700.0, entry_price=62000.0)], [LONG])
    assert found.updates == (("d1", {"entry_price": 63000.0, "size_usd": 630.0}),)
    assert [line.split()[1:3] for line in found.drift] == [["different", "entry:"], ["different", "size:"]]


def test_stop_and_target_come_from_the_protective_orders() -> None:
    stop = Order("BTCUSDT", 1, "s", "SELL", "STOP_MARKET", "NEW", D("0.01"), stop_price=D(62000))
    target = Order("BTCUSDT", 2, "t", "SELL", "TAKE_PROFIT_MARKET", "NEW", D("0.01"), stop_price=D(65000))
    found = plan([document()], [LONG], orders=[stop, target])
    assert found.updates == (("d1", {"stop_loss": 62000.0, "profit_target": 65000.0}),)
    assert found.drift == ()


positions = st.dictionaries(
    st.sampled_from(sorted(MARKS)),
    st.tuples(
        st.integers(-500, 500).filter(bool).map(lambda n: D(n) / 1000),
        st.integers(1, 10**7).map(lambda n: D(n) / 100),
        st.integers(1, 50),
    ),
    max_size=3,
).map(lambda found: [Position(s, q, e, leverage=lev) for s, (q, e, lev) in found.items()])
documents = st.lists(
    st.fixed_dictionaries(
        {
            "coin": st.sampled_from(["BTC", "ETH", "SOL", "DOGE"]),
            "signal": st.sampled_from(["long", "short"]),
            "size_usd": st.floats(0, 1e5) | st.none(),
            "entry_price": st.floats(0, 1e5) | st.just("wrong"),
            "leverage": st.integers(1, 50) | st.none(),
            "opened_at": st.integers(0, NOW),
        }
    ),
    max_size=6,
)


def written(existing: list[dict[str, Any]], found: SyncPlan) -> list[PositionDocument]:
    """What the database holds after a plan."""
    by_id: dict[str, Mapping[str, Any]] = {d["_id"]: d for d in existing}
    for document_id, fields in (*found.updates, *found.closes):
        by_id[document_id] = {**by_id[document_id], **fields}
    for number, inserted in enumerate(found.inserts):
        by_id[f"new{number}"] = {**inserted, "_id": f"new{number}"}
    return [parse_position(d) for d in by_id.values()]


@given(documents, positions)
def test_after_a_sync_the_next_one_finds_nothing(told: list[dict[str, Any]], held: list[Position]) -> None:
    existing = [document(_id=f"d{n}", **fields) for n, fields in enumerate(told)]
    first = plan(existing, held)
    after = written(existing, first)
    second = plan_sync("a1", "VoltCrane", after, held, MARKS, NOW)
    assert (second.inserts, second.updates, second.closes, second.drift) == ((), (), (), ())
    still_open = {(d.coin, d.signal) for d in after if d.status == "open"}
    assert still_open == {(p.symbol.removesuffix("USDT"), p.side) for p in held}
    assert len(first.active) == len(held)

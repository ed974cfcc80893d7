"""The history in documents of ``orders``, and how it joins what the exchange tells."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aster_tui.domain import events as ev
from aster_tui.domain.fleet import STEPS, FleetState
from aster_tui.domain.fleet_views import snapshot
from aster_tui.domain.records import parse_order_record
from aster_tui.domain.trading import Order

D = Decimal
NOW = 1_790_000_000_000


def document(**more: Any) -> dict[str, Any]:
    return {
        "_id": "c1",
        "clientOrderId": "c1",
        "agentName": "A",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "status": "FILLED",
        "quantity": 1.0,
        "timestamp": NOW,
        **more,
    }


def test_a_history_is_read_in_its_order_with_what_was_said() -> None:
    history = [
        {
            "at": NOW + 41,
            "kind": "answered",
            "journal": "j",
            "seq": 2,
            "status": "FILLED",
            "executed": "0.01",
            "average_price": "64000",
        },
        {"at": NOW, "kind": "intent", "journal": "j", "seq": 1},
        {
            "at": NOW + 50,
            "kind": "refused",
            "journal": "j",
            "seq": 3,
            "code": "-2019",
            "message": "no margin",
        },
    ]
    steps = parse_order_record(document(history=history)).history
    assert [(s.at - NOW, s.kind, s.words) for s in steps] == [
        (0, "intent", ""),
        (41, "answered", "FILLED executed 0.01 at 64000"),
        (50, "refused", "-2019 no margin"),
    ]
    assert steps[0].raw == ""
    assert '"average_price": "64000"' in steps[1].raw
    assert "journal" not in steps[1].raw


@pytest.mark.parametrize("history", [None, "x", 5, [None, 5, {}, {"at": "soon"}, {"at": None, "kind": 3}]])
def test_what_is_no_history_is_none(history: Any) -> None:
    assert parse_order_record(document(history=history)).history == ()


def test_an_orders_life_joins_its_sender_and_the_exchange_and_stays_bounded() -> None:
    state = FleetState(network="PRACTICE", read_only=False, initial_balance=D(1000))
    order = Order("BTCUSDT", 7, "c1", "BUY", "LIMIT", "NEW", D(1), price=D(64000), updated_at=NOW + 30)
    state.apply(ev.OrderUpdate("0x1", NOW + 30, order))
    state.apply(ev.OrderUpdate("0x1", NOW + 31, order))  # the same again is no moment of its own
    state.apply(parse_order_record(document(history=[{"at": NOW, "kind": "intent"}])))
    for number in range(1, 100):
        part = Order(
            "BTCUSDT",
            7,
            "c1",
            "BUY",
            "LIMIT",
            "PARTIALLY_FILLED",
            D(1),
            executed=D(number) / 100,
            price=D(64000),
            updated_at=NOW + 100 + number,
        )
        state.apply(ev.OrderUpdate("0x1", NOW + 100 + number, part))
    (view,) = snapshot(state, NOW).orders
    assert view.history[0].kind == "intent"
    assert [s.at for s in view.history] == sorted(s.at for s in view.history)
    assert view.history[-1].words == "PARTIALLY_FILLED 0.99 of 1, limit 64000"
    assert len(view.history) <= STEPS + 1

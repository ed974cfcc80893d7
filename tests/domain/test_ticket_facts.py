"""What a ticket is judged by, from a snapshot: what the console shows before the engine judges."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from aster_tui.domain.client_ids import client_order_id
from aster_tui.domain.ticket import Ticket, examine
from aster_tui.domain.ticket_facts import facts_of, leverage_of
from aster_tui.domain.views import FleetSnapshot
from tests.console.scripted import NOW, agent, fleet, order, position, rules

D = Decimal


def seen(**changes: Any) -> FleetSnapshot:
    told = fleet(
        agents=0,
        positions=0,
        orders=0,
        rules=rules(),
        marks={"BTCUSDT": D("64012.4")},
        marks_at={"BTCUSDT": NOW},
        clock_offset_ms=1000,
    )
    mine = agent(0, wallet_at=NOW, available=D(900), balance=D(1000))
    return replace(told, agents=(mine, agent(5)), **changes)


def test_the_exchanges_clock_and_the_agents_account_are_what_counts() -> None:
    facts = facts_of(
        seen(positions=(position(0), position(8, symbol="ETHUSDT", notional=None))), "a0", "BTCUSDT", NOW
    )
    now = facts.situation
    assert (now.now, now.balance, now.available, now.mark) == (NOW + 1000, D(1000), D(900), D("64012.4"))
    assert now.held == {"BTCUSDT": D(100), "ETHUSDT": position(8).quantity * position(8).entry_price}
    assert facts.leverage == 5
    assert facts.rules is not None
    assert leverage_of(seen(), "a0", "BTCUSDT") is None


def test_an_ordinary_order_passes_and_a_large_one_does_not() -> None:
    facts = facts_of(seen(), "a0", "BTCUSDT", NOW)
    assert examine(Ticket("BTCUSDT", "BUY", size_usd=D(150)), facts).ok
    refused = examine(Ticket("BTCUSDT", "BUY", size_usd=D(500)), facts)
    assert any("20 % of the balance" in reason for reason in refused.reasons)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"trading": "HALTED", "halt_reason": "news"}, "NeuralSniper is HALTED: news"),
        ({"mode": "paper"}, "trades on paper"),
        ({"wallet_at": 0}, "the balance is not known"),
        ({"wallet_at": NOW - 600_000}, "the balance is"),
    ],
)
def test_what_speaks_against_it_is_said(changes: dict[str, Any], word: str) -> None:
    told = seen()
    told = replace(told, agents=(replace(told.agents[0], **changes),))
    found = examine(Ticket("BTCUSDT", "BUY", size_usd=D(150)), facts_of(told, "a0", "BTCUSDT", NOW))
    assert any(word in reason for reason in found.reasons)


def test_the_fleets_halt_is_called_the_fleets() -> None:
    told = seen(trading="HALTED", halt_reason="drill")
    told = replace(told, agents=(replace(told.agents[0], trading="HALTED", halt_reason="drill"),))
    assert facts_of(told, "a0", "BTCUSDT", NOW).situation.halted == "the fleet is HALTED: drill"


def test_only_our_own_orders_that_add_risk_are_recent() -> None:
    ours = client_order_id("a0", "operator", 0, "seed")
    lines = (
        order(0, key=ours, at=NOW - 5000, side="BUY", status="FILLED"),
        order(8, key=client_order_id("a0", "stop", 0, "x"), at=NOW - 5000, reduce_only=True),
        order(16, key=client_order_id("a0", "entry", 0, "y"), at=NOW - 700_000),
        order(24, key="somebody-elses", at=NOW - 100),
        order(1, key=client_order_id("a1", "operator", 0, "z"), at=NOW - 100),
    )
    told = seen(orders=lines)
    recent = facts_of(told, "a0", "BTCUSDT", NOW).situation.recent
    assert recent == ((NOW - 5000, "BTCUSDT", "BUY"),)
    again = examine(Ticket("BTCUSDT", "BUY", size_usd=D(150)), facts_of(told, "a0", "BTCUSDT", NOW))
    assert any("the same was ordered" in reason for reason in again.reasons)


def test_nobody_and_nothing_are_said_so() -> None:
    facts = facts_of(FleetSnapshot(), "nobody", "BTCUSDT", NOW)
    found = examine(Ticket("BTCUSDT", "BUY", quantity=D(1)), facts)
    assert found.reasons == ("BTCUSDT is not traded here",)

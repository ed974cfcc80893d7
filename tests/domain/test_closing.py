"""What a close-all would do, from a snapshot."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.closing import plan_close
from aster_tui.domain.fleet_views import user_feed
from aster_tui.domain.views import FeedView, FleetSnapshot
from tests.console.scripted import NOW, agent, order, position, rules, trading

D = Decimal


def account(number: int) -> str:
    return f"0x{number:040x}"


def seen(**changes: Any) -> FleetSnapshot:
    feeds = tuple(FeedView(user_feed(account(n)), "live", NOW) for n in range(3))
    return trading(feeds=feeds, orders=(), **changes)


def test_everything_is_every_account_and_nothing_of_paper() -> None:
    lines = (order(0, open=True, account=account(1)), order(1, open=False, account=account(1)))
    plan = plan_close(replace(seen(), orders=lines))
    assert [a.agents for a in plan.accounts] == [("NeuralSniper",), ("QuantumVortex",), ("VoltCrane",)]
    assert len(plan.positions) == 6
    assert plan.orders == 1
    assert plan.notional == D(600)
    assert plan.untouched == ("5 paper positions: computed, no account holds them",)
    assert all(not a.doubts and not a.refused for a in plan.accounts)


def test_agents_and_symbols_narrow_it_and_shared_agents_are_named() -> None:
    shared = agent(1, account=account(0), shared_with=("NeuralSniper",))
    told = seen(
        agents=(agent(0, shared_with=("QuantumVortex",)), shared),
        positions=(position(0, agent_id="a0+a1"), position(8, agent_id="a0+a1", symbol="ETHUSDT")),
    )
    plan = plan_close(told, ("a0",), ("ETHUSDT",))
    (only,) = plan.accounts
    assert [p.symbol for p in only.positions] == ["ETHUSDT"]
    assert only.others == ("QuantumVortex",)
    assert plan_close(told).accounts[0].others == ()


def test_what_cannot_be_closed_and_what_may_be_otherwise_are_said() -> None:
    told = seen()
    off = FeedView(user_feed(account(0)), "off", None, "the key of NeuralSniper is not there")
    stale = FeedView(user_feed(account(1)), "stale", NOW)
    known = rules()
    known["ASTERUSDT"] = replace(known["ASTERUSDT"], status="BREAK")
    plan = plan_close(replace(told, feeds=(off, stale), rules=known))
    by_name = {a.agents[0]: a for a in plan.accounts}
    assert by_name["NeuralSniper"].refused == "the key of NeuralSniper is not there"
    assert "stream is stale" in by_name["QuantumVortex"].doubts[0]
    assert any("ASTERUSDT is not trading (BREAK)" in d for d in by_name["VoltCrane"].doubts)
    assert any("not known yet" in d for d in by_name["VoltCrane"].doubts)
    assert len(plan.positions) == 4
    assert plan.notional == D(400)


def test_what_only_this_machine_knows_is_in_everything_and_asked_of_the_exchange() -> None:
    there = (("NeuralSniper", account(0)), ("Lone", account(9)), ("Twin", account(9).upper()))
    plan = plan_close(seen(known_here=there))
    assert [a.agents for a in plan.accounts][-1] == ("Lone", "Twin")
    assert len(plan.accounts) == 4
    assert "the exchange is asked" in plan.accounts[-1].doubts[0]
    assert len(plan_close(seen(known_here=there), ("a0",)).accounts) == 1


def test_an_agent_on_paper_that_left_positions_behind_is_closed_too() -> None:
    told = seen(agents=(agent(0, mode="paper", watched=True), agent(1, account=None)))
    plan = plan_close(told)
    assert [a.agents for a in plan.accounts] == [("NeuralSniper",)]
    assert "QuantumVortex: no account is known" in plan.untouched


@given(
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=30),
    st.sets(st.sampled_from([f"a{n}" for n in range(8)])),
    st.sets(st.sampled_from(["BTCUSDT", "ETHUSDT", "ASTERUSDT"])),
)
def test_a_narrower_scope_closes_a_part_and_never_more(
    held: list[tuple[int, bool]], agents: set[str], symbols: set[str]
) -> None:
    positions = tuple(position(owner, key=f"p{n}") for n, (owner, _) in enumerate(held))
    told = seen(positions=positions)
    whole = plan_close(told)
    part = plan_close(told, tuple(agents), tuple(symbols))
    assert set(part.positions) <= set(whole.positions)
    assert set(whole.positions) == {p for p in positions if p.mode == "real"}
    assert part.notional <= whole.notional
    assert part.estimate_ms <= whole.estimate_ms

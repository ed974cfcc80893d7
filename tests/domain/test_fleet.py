"""The fleet state: what each event changes, and what the views say of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain import events as ev
from aster_tui.domain.documents import AgentDocument, parse_agent, parse_position, parse_trade
from aster_tui.domain.fleet import ORDER_LINES, FleetState
from aster_tui.domain.fleet_views import snapshot, user_feed
from aster_tui.domain.trading import Order, Position
from aster_tui.domain.views import FleetSnapshot

D = Decimal
NOW = 1_700_000_100_000
USER = "0x" + "Ab" * 20
REAL = AgentDocument("a1", "NeuralSniper", paper=False, user_address=USER)
PAPER = AgentDocument("a2", "DataSage")


def fleet(*agents: AgentDocument) -> FleetState:
    state = FleetState(network="PRACTICE", read_only=False, initial_balance=D(1000))
    state.apply(ev.AgentsLoaded(NOW, agents or (REAL, PAPER)))
    for feed in ("mongo", "marks", "exchange", user_feed(USER)):
        state.apply(ev.FeedChanged(feed, "live", NOW))
    return state


def account(at: int = NOW, wallet: str = "1010", **changes: Any) -> ev.AccountSnapshot:
    position = Position("BTCUSDT", D("0.01"), D(64000), leverage=5)
    told: dict[str, Any] = {"positions": (position,), "open_orders": (), **changes}
    return ev.AccountSnapshot(USER, at, D(wallet), D(900), **told)


def paper_document(**changes: Any) -> dict[str, Any]:
    return {
        "_id": "p1",
        "agentId": "a2",
        "agentName": "DataSage",
        "coin": "ETH",
        "signal": "short",
        "entry_price": 3000.0,
        "leverage": 2,
        "size_usd": 300.0,
        "opened_at": NOW,
        "status": "open",
        **changes,
    }


def order(number: int, **changes: Any) -> Order:
    base = Order("BTCUSDT", number, f"c{number}", "BUY", "MARKET", "FILLED", D("0.01"), updated_at=NOW)
    return replace(base, **changes)


def view(state: FleetState, at: int = NOW) -> FleetSnapshot:
    return snapshot(state, at)


def test_a_real_agent_shows_the_exchanges_balance_and_moves_with_the_mark() -> None:
    state = fleet()
    state.apply(account())
    state.apply(ev.MarkPrices(NOW, {"BTCUSDT": D(65000)}))
    seen = view(state)
    agent, position = seen.agents[0], seen.positions[0]
    assert (agent.balance, agent.pnl_absolute, agent.pnl_percent) == (D(1010), D(10), D(1))
    assert (position.unrealized_pnl, position.side, position.quantity) == (D(10), "long", D("0.01"))
    assert not position.stale
    state.apply(ev.MarkPrices(NOW + 1, {"BTCUSDT": D(63000)}))
    assert view(state).positions[0].unrealized_pnl == D(-10)


def test_a_real_agent_keeps_its_last_known_balance_and_says_that_it_is_stale() -> None:
    state = fleet()
    state.apply(account())
    state.apply(ev.FeedChanged(user_feed(USER), "down", NOW, "connection refused"))
    seen = view(state)
    assert seen.agents[0].balance == D(1010)
    assert seen.agents[0].stale
    assert seen.positions[0].stale


def test_a_paper_agent_is_computed_by_the_existing_rules() -> None:
    state = fleet()
    state.apply(ev.PaperLoaded(NOW, (parse_position(paper_document()),), {"a2": D(20)}))
    state.apply(ev.MarkPrices(NOW, {"ETHUSDT": D(2970)}))
    agent = next(a for a in view(state).agents if a.name == "DataSage")
    # 1000 + 20 realized + 1 % of 300 on a short whose price fell by 1 %.
    assert agent.balance == D(1023)
    assert agent.positions == 1
    state.apply(ev.PaperPosition(NOW, parse_position(paper_document(status="closed"))))
    state.apply(ev.ExitPnl(NOW, "a2", D(23)))
    closed = next(a for a in view(state).agents if a.name == "DataSage")
    assert (closed.balance, closed.positions) == (D(1023), 0)


def test_a_paper_balance_that_lacks_a_mark_is_not_computed_as_if_it_were_whole() -> None:
    state = fleet()
    state.apply(ev.FeedChanged("mongo", "live", NOW))
    state.apply(ev.PaperLoaded(NOW, (parse_position(paper_document()),), {"a2": D(20)}))
    agent = next(a for a in view(state).agents if a.name == "DataSage")
    assert agent.stale
    assert agent.balance != D(1020)  # realized alone, as if the position had moved nothing
    state.apply(ev.MarkPrices(NOW, {"ETHUSDT": D(2970)}))
    agent = next(a for a in view(state).agents if a.name == "DataSage")
    assert (agent.stale, agent.balance) == (False, D(1023))


def test_the_order_log_joins_what_the_venue_and_the_sender_know() -> None:
    state = fleet()
    state.apply(ev.MarkPrices(NOW, {"BTCUSDT": D(64000)}))
    filled = order(7, executed=D("0.01"), average_price=D(64064))
    state.apply(ev.OrderUpdate(USER, NOW, filled, "TRADE"))
    record = ev.OrderRecorded(
        NOW + 5,
        "NeuralSniper",
        "c7",
        "BTCUSDT",
        "BUY",
        "MARKET",
        "FILLED",
        D("0.01"),
        mark_price=D(64000),
        latency_ms=41,
    )
    state.apply(record)
    (line,) = view(state).orders
    assert (line.agent, line.mode, line.status, line.latency_ms) == ("NeuralSniper", "real", "FILLED", 41)
    assert line.slippage_bp == D(10)


def test_a_rejected_order_is_in_the_log_by_its_senders_word() -> None:
    state = fleet()
    record = ev.OrderRecorded(NOW, "NeuralSniper", "c9", "BTCUSDT", "BUY", "MARKET", "REJECTED", D(5))
    state.apply(record)
    assert [o.status for o in view(state).orders] == ["REJECTED"]


def test_the_order_log_is_newest_first_and_bounded() -> None:
    state = fleet()
    for number in range(ORDER_LINES + 50):
        state.apply(ev.OrderUpdate(USER, NOW + number, order(number, updated_at=NOW + number), "TRADE"))
    orders = view(state).orders
    assert len(orders) == ORDER_LINES
    assert orders[0].at == NOW + ORDER_LINES + 49
    assert view(state).orders is orders  # nothing changed: nothing was built again


def test_an_old_order_that_changes_is_news() -> None:
    state = fleet()
    stop = order(1, order_type="STOP_MARKET", status="NEW")
    state.apply(ev.OrderUpdate(USER, NOW, stop, "NEW"))
    state.apply(ev.OrderUpdate(USER, NOW + 10, order(2), "TRADE"))
    assert [o.key for o in view(state).orders] == ["c2", "c1"]
    filled = replace(stop, status="FILLED", executed=D("0.01"))
    state.apply(ev.OrderUpdate(USER, NOW + 3_600_000, filled, "TRADE"))
    assert [(o.key, o.status) for o in view(state).orders] == [("c1", "FILLED"), ("c2", "FILLED")]


def test_paper_trades_are_orders_of_the_log() -> None:
    state = fleet()
    raw = {
        "_id": "t1",
        "agentId": "a2",
        "agentName": "DataSage",
        "pair": "ETH",
        "side": "short",
        "amount": 0.1,
        "price": 3000.0,
        "timestamp": NOW,
        "tradeType": "entry",
    }
    state.apply(ev.TradeSeen(NOW, parse_trade(raw)))
    (line,) = view(state).orders
    assert (line.mode, line.side, line.symbol, line.status) == ("paper", "SELL", "ETHUSDT", "FILLED")


def test_a_broken_document_warns_once_and_breaks_nothing_else() -> None:
    broken = parse_agent({"_id": "a3", "name": "VoltCrane", "balance": None})
    state = fleet(REAL, PAPER, broken)
    first = view(state)
    assert [a.name for a in first.agents] == ["NeuralSniper", "DataSage", "VoltCrane"]
    texts = [e.message for e in first.errors]
    assert any("balance is null" in text for text in texts)
    state.apply(ev.AgentChanged(NOW, replace(broken, pnl=D(1))))
    assert [e.count for e in view(state).errors] == [1] * len(texts)


def test_the_same_error_again_is_counted_not_repeated() -> None:
    state = fleet()
    for at in (NOW, NOW + 1, NOW + 2):
        state.apply(ev.ErrorRaised(at, "exchange", "no answer", code="HTTP 503"))
    (error,) = view(state).errors
    assert (error.count, error.at) == (3, NOW + 2)


def test_agents_that_share_an_account_say_so() -> None:
    other = replace(REAL, agent_id="a4", name="NovaHawk")
    state = fleet(REAL, other)
    state.apply(account())
    seen = view(state)
    assert [a.shared_with for a in seen.agents] == [("NovaHawk",), ("NeuralSniper",)]
    assert len(seen.positions) == 1
    assert seen.positions[0].agent == "NeuralSniper+NovaHawk"


@pytest.mark.parametrize(
    ("finished", "state_word"),
    [
        (ev.SyncFinished("a1", NOW), "in-sync"),
        (ev.SyncFinished("a1", NOW, ("BTCUSDT: missing",)), "drift"),
        (ev.SyncFinished("a1", NOW, error="no answer"), "never"),
    ],
)
def test_sync_states(finished: ev.SyncFinished, state_word: str) -> None:
    state = fleet()
    state.apply(account())
    state.apply(ev.SyncStarted("a1", NOW))
    assert view(state).agents[0].sync.running
    state.apply(finished)
    sync = view(state).agents[0].sync
    assert (sync.state, sync.running, sync.error) == (state_word, False, finished.error)


def test_an_old_sync_is_stale() -> None:
    state = fleet()
    state.apply(account())
    state.apply(ev.SyncFinished("a1", NOW))
    assert view(state, NOW + 3_600_000).agents[0].sync.state == "stale"


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from(["61000", "62000", "63000"])), min_size=1, max_size=20
    )
)
def test_the_newest_mark_price_wins_whatever_the_order(told: list[tuple[int, str]]) -> None:
    state = fleet()
    by_time = {}
    for at, price in told:
        by_time.setdefault(at, price)
    for at, _ in told:
        state.apply(ev.MarkPrices(at, {"BTCUSDT": D(by_time[at])}))
    assert state.marks["BTCUSDT"] == D(by_time[max(by_time)])

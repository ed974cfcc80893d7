"""Each kind of difference between exchange and journal has its own name, and agreement has none."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.client_ids import client_order_id
from aster_tui.domain.drift import journal_drift
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.shares import shares
from aster_tui.domain.trading import Order, Position
from tests.domain.test_lifecycle import INTENT

D = Decimal


def done(side: str, quantity: str, price: str, at: int, agent: str = "1", **more: object) -> OrderRecord:
    return replace(
        INTENT,
        client_order_id=f"{agent}-{at}",
        agent_id=agent,
        side=side,
        state="done",
        status="FILLED",
        quantity=D(quantity),
        executed=D(quantity),
        average_price=D(price),
        intent_at=at,
        executed_at=at,
        **more,
    )  # type: ignore[arg-type]


def held(quantity: str) -> Position:
    return Position("BTCUSDT", D(quantity), D(100))


def order(name: str, kind: str = "STOP_MARKET", symbol: str = "BTCUSDT") -> Order:
    return Order(symbol, 1, name, "SELL", kind, "NEW", D(1), stop_price=D(90), reduce_only=True)


ENTRY = done("BUY", "2", "100", 10, decision_id="d")
STOP = replace(
    done("SELL", "0", "0", 11, decision_id="d"),
    client_order_id=client_order_id("1", "stop", 1, "d"),
    purpose="stop",
    state="open",
    status="NEW",
)


def drift(
    positions: tuple[Position, ...], orders: tuple[Order, ...] | None, *records: OrderRecord
) -> tuple[str, ...]:
    return journal_drift(positions, orders, records, shares(records).values())


def test_agreement_is_no_drift() -> None:
    assert drift((held("2"),), (order(STOP.client_order_id),), ENTRY, STOP) == ()


def test_each_difference_has_its_name() -> None:
    ours = order(STOP.client_order_id)
    assert "3 at the exchange, 2 by the journal" in drift((held("3"),), (ours,), ENTRY, STOP)[0]
    assert "0 at the exchange, 2 by the journal" in drift((), (), ENTRY, STOP)[0]
    assert "naked position: its stop is gone" in drift((held("2"),), (), ENTRY, STOP)[0]
    foreign = drift((held("2"),), (ours, order("abc", "LIMIT")), ENTRY, STOP)
    assert foreign == ("BTCUSDT: foreign order SELL LIMIT abc: it was not sent from here",)
    flat = done("SELL", "2", "101", 20)
    (orphan,) = drift((), (ours,), ENTRY, STOP, flat)
    assert "orphan protective order" in orphan


def test_positions_of_others_and_unknown_orders_are_not_judged() -> None:
    assert drift((held("5"),), None) == ()
    assert drift((held("5"),), ()) == ()
    assert journal_drift((held("3"),), (), [ENTRY], shares([ENTRY]).values(), expected={"BTCUSDT"}) == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["BUY", "SELL"]), st.integers(1, 9), st.integers(1, 99)
        ),
        max_size=30,
    )
)
def test_shares_add_up_to_the_account_and_their_cost_is_kept(fills: list[tuple[str, str, int, int]]) -> None:
    records = [
        done(side, str(quantity), str(price), at, agent)
        for at, (agent, side, quantity, price) in enumerate(fills, start=1)
    ]
    found = shares(reversed(records))
    for agent in "ab":
        signed = sum((r.signed for r in records if r.agent_id == agent), D(0))
        share = found.get((agent, "BTCUSDT"))
        assert (share.quantity if share else D(0)) == signed
        if share is not None:
            mine = [r.average_price for r in records if r.agent_id == agent and r.signed * signed > 0]
            assert min(mine) <= share.entry_price <= max(mine)

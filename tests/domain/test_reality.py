"""What reality costs, per order and in all, recomputed by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.metrics import Tally, measure
from aster_tui.domain.order_costs import order_cost
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.reality import compare
from aster_tui.domain.records import order_document, order_record
from aster_tui.domain.shares import Share
from tests.domain.test_drift import done

D = Decimal
COSTS = PaperCosts(D(2), D("0.0004"))
ENTRY = replace(done("BUY", "2", "101", 10, decision_id="d"), commission=D("0.08"))


def test_an_entry_pays_the_spread_and_its_fee_and_its_twin_what_is_set() -> None:
    found = order_cost(ENTRY, COSTS)
    assert found is not None
    # Two coins, a dollar worse than the mark of 100; the twin pays 2 bp and 0.04 % of 200.
    assert (found.slippage, found.fee) == (D(2), D("0.08"))
    assert (found.paper_slippage, found.paper_fee) == (D("0.04"), D("0.08"))
    assert found.total == D("1.96")
    better = order_cost(replace(ENTRY, average_price=D(99)), COSTS)
    assert better is not None
    assert better.total == D("-2.04")


def test_a_stop_slips_against_its_own_price() -> None:
    stop = replace(done("SELL", "2", "89.5", 10, decision_id="d"), order_type="STOP_MARKET", stop_price=D(90))
    found = order_cost(stop, COSTS)
    assert found is not None
    assert found.slippage == D(1)
    assert stop.slippage_bp == D("0.5") / D(90) * 10_000


def test_what_did_not_execute_or_nobody_decided_has_no_twin() -> None:
    assert order_cost(replace(ENTRY, executed=D(0)), COSTS) is None
    assert order_cost(replace(ENTRY, decision_id=""), COSTS) is None
    assert order_cost(replace(ENTRY, mark_price=None), COSTS) is None


def test_the_whole_comparison_by_hand() -> None:
    closed = replace(
        done("SELL", "2", "104", 20, decision_id="e"), commission=D("0.08"), realized=D(6), mark_price=D(105)
    )
    bought = replace(done("BUY", "1", "104", 30, decision_id="f"), commission=D("0.04"), mark_price=D(104))
    records = [ENTRY, closed, bought]
    funding = [(15, "A", D("-0.5")), (16, "B", D(9))]
    figures = measure(records, [], 100, agent="A", costs=COSTS, funding=funding)
    found = compare(figures, [Share("1", "BTCUSDT", D(1), D(104))], {"BTCUSDT": D(107)}, D(12))
    # 6 realized, 0.20 of fees, 0.50 of funding paid, and 3 that are open.
    assert found.real_pnl == D("8.3")
    assert found.cost == D("3.7")
    # 2 + 2 of slippage and 0.20 of fees; on paper 0.04, 0.042 and 0.0208 and their fees.
    paper = D("0.04") + D("0.042") + D("0.0208") + D("0.08") + D("0.084") + D("0.0416")
    assert found.orders_cost == D("4.2") - paper
    assert (found.fees, found.funding) == (D("0.20"), D("-0.5"))


amounts = st.decimals(D("0.001"), D(1000), places=3)


@given(st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), amounts, amounts), max_size=12), st.data())
def test_adding_and_removing_is_the_same_as_never_having_added(
    told: list[tuple[str, Decimal, Decimal]], data: st.DataObject
) -> None:
    records = [
        done(side, str(quantity), str(price), n, decision_id="d")
        for n, (side, quantity, price) in enumerate(told)
    ]
    tally = Tally(COSTS)
    tally.add_all(records)
    gone = (
        data.draw(st.lists(st.sampled_from(records), unique_by=lambda r: r.client_order_id))
        if records
        else []
    )
    for record in gone:
        tally.remove(record)
    left = [r for r in records if r not in gone]
    assert tally.orders_cost == sum((c.total for r in left if (c := order_cost(r, COSTS))), D(0))


def test_an_order_reads_back_from_its_document() -> None:
    record = replace(ENTRY, trade_ids=(3, 4), traded=D(2), price=None, stop_price=D(90), owner="")
    document = order_document(record, COSTS)
    assert document["costOfReality"] == order_cost(record, COSTS).total  # type: ignore[union-attr]
    assert order_record(document) == replace(record, updated_at=record.intent_at)
    for missing in ("purpose", "nonce", "timestamp"):
        assert order_record({k: v for k, v in document.items() if k != missing}) is None

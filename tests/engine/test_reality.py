"""The real account beside its paper one: fees, slippage and funding, from the exchange to the screen."""

from __future__ import annotations

from decimal import Decimal

from aster_tui.domain.commands import CloseAll, Request
from aster_tui.domain.metrics import Metrics
from aster_tui.engine.status import status_document
from tests import rig
from tests.engine.desk import LONG, PROTECTED, Desk, desk

__all__ = ["desk"]

D = Decimal


async def test_what_reality_cost_is_on_the_screen_and_with_each_order(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    held = desk.exchange.exchange.accounts[account["user"].lower()]
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Real", **PROTECTED))
        before = held.wallet
        desk.exchange.exchange.risk.fund(desk.exchange.exchange.now(), at_once=True)
        paid = held.wallet - before
        assert paid
        await desk.ended(desk.decide("Real", coin="BTC", signal="close"))

        def shown() -> bool:
            agent = rig.agent(engine, "Real")
            found = agent.reality if agent else None
            done = found is not None and found.funding and found.real_pnl == held.wallet - D(1000)
            return bool(done)

        await rig.until(shown, "the comparison is whole")
        agent = rig.agent(engine, "Real")
        assert agent is not None
        found = agent.reality
        assert found is not None
        assert found.funding == paid
        assert found.fees > 0
        # Prices stand still: what the orders cost is the spread and the fees, less what paper pays for both.
        orders = list(desk.database.orders.find({"costOfReality": {"$ne": None}}))
        assert {o["purpose"] for o in orders} == {"entry", "close"}
        assert sum(o["costOfReality"].to_decimal() for o in orders) == found.orders_cost
        assert agent.paper_balance is not None
        assert found.paper_pnl == agent.paper_balance - 1000
        assert abs(found.cost - found.orders_cost + paid) < D("0.0001")
        row = next(a for a in status_document(engine.snapshot())["agents"] if a["name"] == "Real")
        assert D(row["reality"]["cost"]) == round(found.cost, 8)
        line = next(o for o in engine.snapshot().orders if o.purpose == "entry")
        assert line.cost is not None


async def test_funding_of_a_shared_account_is_divided_by_the_parts(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("One", account)
    desk.add("Two", account)
    held = desk.exchange.exchange.accounts[account["user"].lower()]
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        await desk.ended(desk.decide("One", **{**LONG, "coin": "DOGE", "size_usd": 120.0}))
        await desk.ended(desk.decide("Two", **{**LONG, "coin": "DOGE", "size_usd": 60.0}))
        before = held.wallet
        desk.exchange.exchange.risk.fund(desk.exchange.exchange.now(), at_once=True)
        paid = held.wallet - before
        metrics = await rig.until(
            lambda: (m := engine.snapshot().metrics) and m.get(("", "all")) and m[("", "all")].funding and m
        )
        parts = [metrics[name, "all"].funding for name in ("One", "Two")]
        assert sum(parts) == metrics["", "all"].funding
        assert abs(sum(parts) - paid) < D("1e-12")
        assert D("1.9") < parts[0] / parts[1] < D("2.1")


async def test_a_close_all_of_a_shared_account_is_divided_by_what_it_closed_of_each(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("One", account)
    desk.add("Two", account)
    held = desk.exchange.exchange.accounts[account["user"].lower()]
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        await desk.ended(desk.decide("One", **{**LONG, "coin": "DOGE", "size_usd": 120.0}))
        await desk.ended(desk.decide("Two", **{**LONG, "coin": "DOGE", "size_usd": 60.0}))
        await rig.until(lambda: desk.database.positions.count_documents({"status": "open"}) == 2)
        desk.exchange.exchange.set_price("DOGEUSDT", held.position("DOGEUSDT").entry / 2)
        engine.submit(Request("all", CloseAll(), "console"))

        def told() -> dict[str, Metrics] | None:
            found = {name: engine.snapshot().metrics.get((name, "all")) for name in ("", "One", "Two")}
            fleet = found[""]
            whole = fleet is not None and fleet.realized - fleet.commission == held.wallet - D(1000)
            known = {name: figures for name, figures in found.items() if figures is not None}
            return known if whole and fleet and fleet.realized < -80 and len(known) == 3 else None

        figures = await rig.until(told, "all fills are told")
        assert desk.amount(account, "DOGEUSDT") == 0
        fleet, one, two = (figures[name] for name in ("", "One", "Two"))
        assert one.realized + two.realized == fleet.realized
        assert one.commission + two.commission == fleet.commission
        assert D("1.9") < one.realized / two.realized < D("2.1")
        assert D("1.9") < one.commission / two.commission < D("2.1")
        # And each position's document was left at what the close-all filled at.
        order = await rig.until(lambda: desk.database.orders.find_one({"purpose": "flatten"}))
        closed = await rig.until(
            lambda: len(f := [*desk.database.positions.find({"status": "closed"})]) == 2 and f
        )
        price = float(order["averagePrice"].to_decimal())
        assert [(d["exit_price"], d["exit_price_from"]) for d in closed] == [(price, "fills")] * 2


async def test_drift_says_since_when_and_is_told_once(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Real", **PROTECTED))
        (stop,) = [o for o in desk.open_orders(account) if o.original == "STOP_MARKET"]
        query = {"symbol": "BTCUSDT", "origClientOrderId": stop.client_id}
        desk.exchange.exchange.cancel(account["user"].lower(), query)
        drifted = await rig.until(
            lambda: (a := rig.agent(engine, "Real")) and a.sync.state == "drift" and a.sync, "naked"
        )
        assert "naked position: its stop is gone" in drifted.drift[0]
        await rig.until(lambda: "naked: Real: drift: BTCUSDT: naked position" in rig.errors(engine))
        again = await rig.until(
            lambda: (
                (a := rig.agent(engine, "Real")) and a.sync.at > drifted.at and not a.sync.running and a.sync
            )
        )
        assert again.drifted_at == drifted.drifted_at == drifted.at
        (line,) = [e for e in engine.snapshot().errors if e.source == "naked"]
        assert line.count == 1

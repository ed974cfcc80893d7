"""Decisions become trades: queue, safeguards, orders with their protection, paper and shadow, the
database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from bson import ObjectId

from tests import rig
from tests.engine.desk import LONG, PROTECTED, Desk, desk

__all__ = ["desk"]

D = Decimal


async def test_a_long_with_its_protection_and_its_close(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        key = desk.decide("Real", **PROTECTED)
        done = await desk.ended(key)
        assert (done["state"], done["reasons"]) == ("done", []), done
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        kinds = {(o.original, o.stop, o.reduce_only, o.quantity) for o in desk.open_orders(account)}
        assert kinds == {
            ("STOP_MARKET", D(95000), True, D("0.001")),
            ("TAKE_PROFIT_MARKET", D(99000), True, D("0.001")),
        }
        assert desk.exchange.exchange.accounts[account["user"].lower()].leverage("BTCUSDT") == 5
        await rig.until(lambda: desk.database.orders.count_documents({"agentName": "Real"}) == 3)
        entry = desk.database.orders.find_one({"purpose": "entry"})
        await rig.until(
            lambda: desk.database.orders.find_one({"purpose": "entry", "commission": {"$ne": None}})
        )
        assert (entry["state"], entry["status"], entry["decisionId"]) == ("done", "FILLED", str(key))
        assert entry["executed"].to_decimal() == D("0.001")
        assert entry["slippageBp"].to_decimal() > 0
        assert entry["latencyMs"] >= 0
        assert entry["nonce"] > 10**15
        # The shadow was filled beside it.
        shadow = await rig.until(lambda: desk.database.shadows.find_one({"decisionId": str(key)}))
        assert (shadow["status"], shadow["coin"], shadow["signal"]) == ("open", "BTC", "long")

        closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closed["state"] == "done", closed
        assert desk.amount(account, "BTCUSDT") == 0
        assert desk.open_orders(account) == []
        await rig.until(lambda: desk.database.shadows.find_one({"status": "closed"}), "the shadow closes")
        await rig.until(
            lambda: {o["state"] for o in desk.database.orders.find()} == {"done"}, "all orders ended"
        )
        assert "Real" not in rig.errors(engine)


async def test_a_stop_that_fills_takes_its_target_with_it(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    with rig.running(desk.settings, desk.environment, working=True):
        await desk.ended(desk.decide("Real", **PROTECTED))
        desk.exchange.exchange.set_price("BTCUSDT", D(94900))
        await rig.until(lambda: desk.amount(account, "BTCUSDT") == 0)
        await rig.until(lambda: not desk.open_orders(account), "the target is cancelled")
        await rig.until(
            lambda: desk.database.orders.find_one({"purpose": "target", "status": "CANCELED"}), "and told"
        )
        stop = desk.database.orders.find_one({"purpose": "stop"})
        assert stop["status"] == "FILLED"


async def test_a_position_that_cannot_be_protected_is_closed_at_once(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.sync.at)
        api = desk.exchange._api
        real_place = api._exchange.place

        def place(user: str, params: Any, *, test: bool = False) -> Any:
            from aster_tui.practice.errors import refuse

            if params.get("type") == "STOP_MARKET":
                raise refuse(-2021)
            return real_place(user, params, test=test)

        api._exchange.place = place  # type: ignore[method-assign]
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "failed"
        assert "stop was not placed: it would trigger at once" in done["reasons"][0]
        assert desk.amount(account, "BTCUSDT") == 0
        assert desk.open_orders(account) == []
        await rig.until(lambda: "BTCUSDT is not protected" in rig.errors(engine))
        await rig.until(
            lambda: desk.database.agents.find_one({"name": "Real"})["isPaperTrading"] is True, "falls back"
        )


async def test_paper_decisions_by_the_existing_rules(desk: Desk) -> None:
    desk.add("Paper", extra={"kept": 1})
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(desk.decide("Paper", **PROTECTED))
        assert done["state"] == "done", done
        position = await rig.until(lambda: desk.database.positions.find_one({"status": "open"}))
        mark = desk.exchange.exchange.market.quote("BTCUSDT").mark
        assert position["entry_price"] == pytest.approx(float(mark * D("1.0002")))
        assert position["size_usd"] == pytest.approx(0.001 * position["entry_price"])
        assert isinstance(position["_id"], ObjectId)
        desk.exchange.exchange.set_price("BTCUSDT", D(99100))
        closed = await rig.until(lambda: desk.database.positions.find_one({"status": "closed"}), "target")
        await rig.until(lambda: desk.database.trades.count_documents({"tradeType": "exit"}) == 1)
        exit_trade = desk.database.trades.find_one({"tradeType": "exit"})
        assert exit_trade["pnlAbsolute"] == closed["pnlAbsolute"] > 0
        agent = await rig.until(
            lambda: desk.database.agents.find_one({"name": "Paper", "totalTrades": 1}), "figures"
        )
        assert agent["balance"] == pytest.approx(1000 + exit_trade["pnlAbsolute"])
        assert (agent["winRate"], agent["extra"], agent["activePositions"]) == (100.0, {"kept": 1}, [])
        await rig.until(lambda: desk.database.balancesnapshots.find_one({"agentName": "Paper"}))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"coin": "BTC", "signal": "long"}, "size_usd is missing"),
        ({**LONG, "size_usd": "180"}, "must be a number, not the text"),
        ({**LONG, "coin": "NOPE"}, "NOPE is unknown"),
        ({**LONG, "leverage": -2}, "leverage must be a whole number from 1"),
        ({**LONG, "stop_loss": 99000.0}, "stop_loss 99000 is on the wrong side: it must be below"),
        ({**LONG, "size_usd": 3.0}, "smallest quantity is 0.001"),
        ({**LONG, "size_usd": 5000.0}, "order size: 4959.75 USD is more than 20 % of the balance"),
        ({**LONG, "signal": "maybe"}, "the signal must be one of"),
        ({"coin": "BTC", "signal": "close"}, "no BTC position of this agent"),
        ({**LONG, "leverage": 50}, "leverage 50 is above the cap of 10"),
    ],
)
async def test_what_is_wrong_is_refused_recorded_and_the_agent_goes_on(
    desk: Desk, arguments: dict[str, Any], reason: str
) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    desk.add("Paper")
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        for name in ("Real", "Paper"):
            done = await desk.ended(desk.decide(name, **arguments))
            assert done["state"] == "refused"
            assert reason in "; ".join(done["reasons"])
            await rig.until(lambda: reason in rig.errors(engine))
            await rig.until(lambda n=name: desk.database.errors.find_one({"agentName": n}))  # type: ignore[misc]
            assert (await desk.ended(desk.decide(name, **LONG)))["state"] == "done"
        assert desk.database.agents.find_one({"name": "Real"})["isPaperTrading"] is False


@pytest.mark.parametrize("state", ["REDUCING", "HALTED"])
async def test_what_is_halted_opens_nothing_and_closes_only_while_reducing(desk: Desk, state: str) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Real", **LONG)))["state"] == "done"
        desk.database.controls.insert_one({"_id": "fleet", "state": state, "reason": "storm"})
        await rig.until(lambda: engine.snapshot().trading == state, "the halt is known")
        refused = await desk.ended(desk.decide("Real", **LONG))
        assert f"halted: the fleet is {state}: storm" in refused["reasons"][0]
        closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closed["state"] == ("done" if state == "REDUCING" else "refused")


async def test_an_old_decision_is_stale(desk: Desk) -> None:
    desk.add("Paper")
    key = desk.decide("Paper", **LONG)
    desk.database.decisions.update_one({"_id": key}, {"$inc": {"timestamp": -120_000}})
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert done["state"] == "stale"
        assert " s old, more than 60 s" in done["reasons"][0]


async def test_a_decision_of_the_future_is_stale(desk: Desk) -> None:
    desk.add("Paper")
    key = desk.decide("Paper", **LONG)
    desk.database.decisions.update_one({"_id": key}, {"$inc": {"timestamp": 3_600_000}})
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert done["state"] == "stale"
        assert "a clock is wrong" in done["reasons"][0]
        assert desk.database.positions.count_documents({}) == 0


async def test_a_close_of_what_is_flat_at_the_exchange_closes_the_shadow(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("Real", account)
    settings = desk.settings.model_copy(update={"fall_back_to_paper": False})
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Real"))
        shadow = {"coin": "ETH", "signal": "long", "size_usd": 100.0}
        api = desk.exchange._api
        real_place = api._exchange.place

        def place(user: str, params: Any, *, test: bool = False) -> Any:
            from aster_tui.practice.errors import refuse

            if params.get("symbol") == "ETHUSDT":
                raise refuse(-2019)
            return real_place(user, params, test=test)

        api._exchange.place = place  # type: ignore[method-assign]
        assert (await desk.ended(desk.decide("Real", **shadow)))["state"] == "failed"
        await rig.until(lambda: desk.database.shadows.find_one({"coin": "ETH", "status": "open"}))
        closed = await desk.ended(desk.decide("Real", coin="ETH", signal="close"))
        assert closed["state"] == "refused", closed
        await rig.until(lambda: desk.database.shadows.find_one({"coin": "ETH", "status": "closed"}))


async def test_agents_of_a_shared_account_close_their_own_part_only(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.add("One", account)
    desk.add("Two", account)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        first = await desk.ended(desk.decide("One", **LONG))
        second = await desk.ended(desk.decide("Two", **{**LONG, "size_usd": 99.0}))
        assert (first["state"], second["state"]) == ("done", "done"), (first, second)
        assert desk.amount(account, "BTCUSDT") == D("0.002")
        closed = await desk.ended(desk.decide("One", coin="BTC", signal="close"))
        assert closed["state"] == "done", closed
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        again = await desk.ended(desk.decide("One", coin="BTC", signal="close"))
        assert "no BTC position of this agent" in again["reasons"][0]


async def test_an_account_in_hedge_mode_is_traded_by_position_side(desk: Desk) -> None:
    account = desk.exchange.ready_document()["accounts"][0]
    desk.exchange.exchange.set_hedge(account["user"].lower(), True)
    desk.add("Real", account)
    with rig.running(desk.settings, desk.environment, working=True):
        short = {"coin": "BTC", "signal": "short", "size_usd": 150.0, "stop_loss": 99000.0}
        done = await desk.ended(desk.decide("Real", **short))
        assert done["state"] == "done", done
        held = desk.exchange.exchange.accounts[account["user"].lower()].held
        assert [(p.side, p.amount) for p in held] == [("SHORT", D("-0.001"))]
        closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closed["state"] == "done", closed
        assert desk.exchange.exchange.accounts[account["user"].lower()].held == []
        assert desk.open_orders(account) == []

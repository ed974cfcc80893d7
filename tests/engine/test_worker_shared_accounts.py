"""Agents that share an account: judged together, in turn, and none closes what another opened."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from bson import ObjectId

from aster_tui.engine.trade import turns
from tests import rig
from tests.engine.desk import LONG, Desk, Held, desk, first, market, trader

__all__ = ["desk"]

D = Decimal


def begun(desk: Desk, key: ObjectId) -> bool:
    return "claim" in desk.decision(key)


async def test_after_a_close_by_hand_nobody_closes_what_another_opened_since(desk: Desk) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        assert (await desk.ended(desk.decide("Two", **LONG)))["state"] == "done"
        async with trader(desk, account) as other:
            await other.place_order(market("SELL", "0.001", "by-hand-1", reduce_only=True))
        await rig.until(lambda: desk.amount(account, "BTCUSDT") == 0)
        assert (await desk.ended(desk.decide("One", **LONG)))["state"] == "done"
        closed = await desk.ended(desk.decide("Two", coin="BTC", signal="close"))
        assert closed["state"] == "refused", closed
        assert "no BTC position of this agent" in closed["reasons"][0]
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        closed = await desk.ended(desk.decide("One", coin="BTC", signal="close"))
        assert (closed["state"], desk.amount(account, "BTCUSDT")) == ("done", 0)


async def test_the_exposure_of_a_shared_account_is_that_of_all_its_agents(desk: Desk) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    # A balance of 1000 then carries 200 in all.
    settings = desk.settings.model_copy(update={"max_exposure_percent": D(20), "max_leverage": 1})
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        small = {"coin": "ETH", "signal": "long", "size_usd": 150.0}
        assert (await desk.ended(desk.decide("One", **small)))["state"] == "done"
        refused = await desk.ended(desk.decide("Two", **small))
        assert refused["state"] == "refused", refused
        assert any(reason.startswith("exposure: ") for reason in refused["reasons"]), refused


async def test_what_two_agents_of_an_account_open_at_once_is_judged_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    # A balance of 1000 carries 200 in all: each alone may have its 150, both together not.
    settings = desk.settings.model_copy(update={"max_exposure_percent": D(20), "max_leverage": 1})
    small = {"coin": "ETH", "signal": "long", "size_usd": 150.0}
    held = Held(monkeypatch, account["user"])
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        keys = [desk.decide("One", **small), desk.decide("Two", **small)]
        await rig.until(held.there.is_set, "one is on its way")
        await rig.until(lambda: all(begun(desk, key) for key in keys), "the other waits")
        held.go.set()
        ends = [await desk.ended(key) for key in keys]
        assert sorted(d["state"] for d in ends) == ["done", "refused"], ends
        (refused,) = [d for d in ends if d["state"] == "refused"]
        assert any(reason.startswith("exposure: ") for reason in refused["reasons"]), refused
        (done,) = [d for d in ends if d["state"] == "done"]
        assert desk.amount(account, "ETHUSDT") == D(done["result"]["executed"])


async def test_who_waits_for_an_account_is_told_and_closes_and_other_accounts_do_not_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    other = desk.exchange.ready_document()["accounts"][2]
    desk.add("Three", other)
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.5)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Three"))
        assert (await desk.ended(desk.decide("Two", **LONG)))["state"] == "done"
        held = Held(monkeypatch, account["user"])
        slow = desk.decide("One", **{**LONG, "coin": "ETH"})
        await rig.until(held.there.is_set, "one is on its way")
        refused = await desk.ended(desk.decide("Two", **{**LONG, "coin": "SOL"}))
        assert refused["state"] == "refused", refused
        assert "is still under way" in refused["reasons"][0]
        assert (await desk.ended(desk.decide("Two", coin="BTC", signal="close")))["state"] == "done"
        assert (await desk.ended(desk.decide("Three", **LONG)))["state"] == "done"
        assert "finishedAt" not in desk.decision(slow)
        held.go.set()
        assert (await desk.ended(slow))["state"] == "done"


async def test_a_decision_that_waited_too_long_for_its_account_is_stale(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    settings = desk.settings.model_copy(update={"decision_max_age_seconds": 3})
    held = Held(monkeypatch, account["user"])
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        slow = desk.decide("One", **LONG)
        await rig.until(held.there.is_set, "one is on its way")
        late = desk.decide("Two", **LONG)
        made = time.time()
        await rig.until(lambda: begun(desk, late) and time.time() - made > 3.1, "it waits until it is old")
        held.go.set()
        assert (await desk.ended(slow))["state"] == "done"
        assert (await desk.ended(late))["state"] == "stale"
        assert desk.amount(account, "BTCUSDT") == D("0.001")

"""Decisions in the queue: each begun once and ended once, whatever disk, database or code do meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from bson import ObjectId

from aster_tui.store.base import StoreError, StoreRefused, StoreUnavailable
from aster_tui.store.journal import Journal
from aster_tui.store.trading import TradingStore
from tests import rig
from tests.engine.desk import CLAIM, LONG, Desk, desk, first

__all__ = ["desk"]

D = Decimal


async def test_a_decision_for_nobody_is_refused_and_recorded(desk: Desk) -> None:
    desk.add("Paper")
    desk.agents["Ghost"] = str(ObjectId())
    key = desk.decide("Ghost", **LONG)
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert (done["state"], done["reasons"]) == ("refused", ["no agent has the id in agentId"])
        await rig.until(lambda: desk.database.errors.find_one({"message": {"$regex": str(key)}}))


async def test_a_decision_of_no_known_age_is_stale(desk: Desk) -> None:
    desk.add("Paper")
    row = {"_id": "mine", "agentId": desk.agents["Paper"], "decision": {"trade_signal_args": LONG}}
    desk.database.decisions.insert_one(row)
    with rig.running(desk.settings, desk.environment, working=True):
        await rig.until(lambda: desk.database.decisions.find_one({"_id": "mine", "state": "stale"}))


async def test_what_nobody_expected_ends_its_decision_and_not_the_agent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(desk)
    from aster_tui.engine.trade.executor import Executor

    real = Executor.execute
    broken = [True]

    async def execute(self: Executor, *arguments: Any) -> Any:
        if broken and broken.pop():
            raise RuntimeError("a bug")
        return await real(self, *arguments)

    monkeypatch.setattr(Executor, "execute", execute)
    with rig.running(desk.settings, desk.environment, working=True):
        ends = [await desk.ended(desk.decide("Real", **LONG)) for _ in range(2)]
        assert ends[0]["state"] == "failed"
        assert ends[0]["reasons"] == ["something unexpected: RuntimeError: a bug"]
        assert ends[1]["state"] == "done"


async def test_while_the_disk_takes_nothing_nothing_is_begun_and_no_end_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("Paper")
    real, full = Journal.finish, [True]

    async def finish(self: Journal, *arguments: Any) -> None:
        if full:
            raise StoreError("the journal cannot be used: no space left", remedy="free the disk")
        await real(self, *arguments)

    monkeypatch.setattr(Journal, "finish", finish)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        first_one = desk.decide("Paper", **LONG)
        await rig.until(lambda: "no space left" in rig.errors(engine))
        second = desk.decide("Paper", coin="BTC", signal="close")
        await rig.until(lambda: desk.database.decisions.find_one({"_id": first_one, "state": "claimed"}))
        assert "claim" not in desk.decision(second)
        full.clear()
        assert (await desk.ended(first_one))["state"] == "done"
        assert (await desk.ended(second))["state"] == "done"


async def test_a_claim_whose_answer_was_lost_is_carried_out_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    real, lost = TradingStore.claim_decision, [True]

    async def claim(self: TradingStore, *arguments: Any) -> Any:
        found = await real(self, *arguments)
        if found is not None and lost and lost.pop():
            raise StoreUnavailable("the database cannot be reached")
        return found

    monkeypatch.setattr(TradingStore, "claim_decision", claim)
    with rig.running(desk.settings, desk.environment, working=True):
        ends = [await desk.ended(desk.decide("Real", **LONG)) for _ in range(2)]
        assert [d["state"] for d in ends] == ["done", "done"]
        assert not lost
        assert desk.amount(account, "BTCUSDT") == D("0.002")


async def test_a_decision_queued_here_and_in_the_database_is_carried_out_once(desk: Desk) -> None:
    account = first(desk)
    key = desk.decide("Real", **LONG)
    document = {**desk.decision(key), "_id": str(key)}
    journal = Journal(desk.settings.state_folder)
    await journal.open()
    await journal.queue(str(key), "Real", document)
    with rig.running(desk.settings, desk.environment, working=True):
        assert (await desk.ended(key))["state"] == "done"
        after = await desk.ended(desk.decide("Real", coin="ETH", signal="long", size_usd=150.0))
        assert after["state"] == "done"
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        assert await journal.claim("Real", CLAIM) is None
        assert await journal.begun("Real") == []
    await journal.close()


async def test_a_line_that_the_database_refuses_for_want_of_a_right_waits_for_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("Paper")
    real, refused = TradingStore.finish_decision, [0]

    async def finish(self: TradingStore, *arguments: Any) -> None:
        if refused[0] < 2:
            refused[0] += 1
            raise StoreRefused("the database refused: not authorized", remedy="check the roles")
        await real(self, *arguments)

    monkeypatch.setattr(TradingStore, "finish_decision", finish)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Paper", **LONG)))["state"] == "done"
        await rig.until(lambda: "the database is not told of orders now" in rig.errors(engine))

"""A worker's paper accounts beside what people do to them, and beside the real orders."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from tests import rig
from tests.engine.desk import PROTECTED, Desk, desk, first

__all__ = ["desk"]

D = Decimal


async def test_a_paper_account_that_cannot_be_kept_does_not_hide_what_the_real_orders_did(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    note = Journal.note

    async def refusing(self: Journal, kind: str, *more: Any, **named: Any) -> Any:
        if kind == "paper-entry":
            raise StoreError("the disk is full")
        return await note(self, kind, *more, **named)

    monkeypatch.setattr(Journal, "note", refusing)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert (done["state"], len(done["result"]["orders"])) == ("done", 3), done
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        said = "its paper account is not kept now: the disk is full"
        await rig.until(lambda: said in rig.errors(engine))


async def test_a_paper_position_that_somebody_else_closed_is_closed_once(desk: Desk) -> None:
    desk.add("Paper")
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Paper", **PROTECTED))
        position = await rig.until(lambda: desk.database.positions.find_one({"status": "open"}))
        desk.database.trades.insert_one(
            {
                "agentId": desk.agents["Paper"],
                "agentName": "Paper",
                "pair": "BTC",
                "side": "long",
                "amount": 0.001,
                "price": 98000.0,
                "pnl": 1.0,
                "pnlAbsolute": 7.5,
                "timestamp": time.time_ns() // 1_000_000,
                "tradeType": "exit",
                "size_usd": 97.0,
            }
        )
        desk.database.positions.update_one({"_id": position["_id"]}, {"$set": {"status": "closed"}})
        book = engine._body.room.worker.paper.books[desk.agents["Paper"]]  # type: ignore[union-attr]
        await rig.until(lambda: not book.positions and len(book.trades) == 2)
        closed = await desk.ended(desk.decide("Paper", coin="BTC", signal="close"))
        assert "no BTC position" in closed["reasons"][0]
        agent = await rig.until(lambda: desk.database.agents.find_one({"name": "Paper", "totalTrades": 1}))
        assert agent["balance"] == pytest.approx(1007.5)
        assert agent["lastTrade"]["pnl"] == 1.0
        assert desk.database.trades.count_documents({"tradeType": "exit"}) == 1


async def test_a_stop_that_a_person_moved_is_the_one_that_triggers(desk: Desk) -> None:
    desk.add("Paper")
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Paper", **PROTECTED))
        position = await rig.until(lambda: desk.database.positions.find_one({"status": "open"}))
        desk.database.positions.update_one({"_id": position["_id"]}, {"$set": {"stop_loss": 97000.0}})
        book = engine._body.room.worker.paper.books[desk.agents["Paper"]]  # type: ignore[union-attr]
        await rig.until(lambda: [p.stop_loss for p in book.positions.values()] == [97000])
        desk.exchange.exchange.set_price("BTCUSDT", D(96900))
        closed = await rig.until(lambda: desk.database.positions.find_one({"status": "closed"}), "the stop")
        assert closed["exitTradeId"]

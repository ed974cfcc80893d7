"""What a worker finds that comes after another: dead, away for a while, or of another machine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal
from typing import Any

import pytest

from aster_tui.domain.client_ids import client_order_id
from aster_tui.domain.commands import SyncAgents
from aster_tui.engine.core import now_ms
from aster_tui.store.journal import Journal
from aster_tui.store.trading import TradingStore
from tests import rig
from tests.engine.desk import CLAIM, LONG, PROTECTED, Desk, desk, first, market, trader

__all__ = ["desk"]

D = Decimal


async def test_what_a_dead_worker_bought_gets_its_stop_from_the_next(desk: Desk) -> None:
    account = first(desk)
    agent_id = desk.agents["Real"]
    key = desk.decide("Real", **PROTECTED)
    claim = {"owner": "dead", "epoch": 1, "at": time.time_ns() // 1_000_000}
    desk.database.decisions.update_one({"_id": key}, {"$set": {"state": "claimed", "claim": claim}})
    lost = desk.decide("Real", coin="ETH", signal="long", size_usd=150.0)
    desk.database.decisions.update_one({"_id": lost}, {"$set": {"state": "claimed", "claim": claim}})
    desk.database.leases.insert_one({"_id": agent_id, "owner": "dead", "epoch": 1})
    async with trader(desk, account) as dead:
        name = client_order_id(agent_id, "entry", 1, str(key))
        await dead.place_order(market("BUY", "0.001", name))
    settings = desk.settings.model_copy(update={"nonce_window_s": 1})
    with rig.running(settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert done["state"] == "interrupted"
        assert "died after" in done["reasons"][0]
        assert done["reasons"][1] == "its stop and target were placed now"
        kinds = {(o.original, o.stop, o.reduce_only, o.quantity) for o in desk.open_orders(account)}
        assert kinds == {
            ("STOP_MARKET", D(95000), True, D("0.001")),
            ("TAKE_PROFIT_MARKET", D(99000), True, D("0.001")),
        }
        # Its paper twin stands beside it: the comparison has both.
        shadow = await rig.until(lambda: desk.database.shadows.find_one({"decisionId": str(key)}))
        assert (shadow["status"], shadow["coin"], shadow["stop_loss"]) == ("open", "BTC", 95000.0)
        assert shadow["size_usd"] == pytest.approx(0.001 * shadow["entry_price"])
        other = await desk.ended(lost)
        assert "no order of it is at the exchange" in other["reasons"][0]
        assert desk.amount(account, "ETHUSDT") == 0


async def test_what_was_queued_here_and_begun_by_a_worker_that_died_is_closed(desk: Desk) -> None:
    first(desk)
    key = desk.decide("Real", **LONG)
    document = {**desk.decision(key), "_id": str(key)}
    desk.database.decisions.update_one({"_id": key}, {"$set": {"state": "local"}})
    journal = Journal(desk.settings.state_folder)
    await journal.open()
    await journal.queue(str(key), "Real", document)
    assert await journal.claim("Real", CLAIM)
    await journal.close()
    settings = desk.settings.model_copy(update={"nonce_window_s": 1})
    with rig.running(settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert done["state"] == "interrupted"
        assert "no order of it is at the exchange" in done["reasons"][0]


async def test_what_happened_while_the_worker_was_away_is_found_out_and_put_in_order(desk: Desk) -> None:
    account = first(desk)
    with rig.running(desk.settings, desk.environment, working=True):
        assert (await desk.ended(desk.decide("Real", **PROTECTED)))["state"] == "done"
        await rig.until(lambda: desk.database.orders.count_documents({"state": "open"}) == 2)
    desk.exchange.exchange.set_price("BTCUSDT", D(94900))
    await rig.until(lambda: desk.amount(account, "BTCUSDT") == 0, "the stop executes")
    assert len(desk.open_orders(account)) == 1
    with rig.running(desk.settings, desk.environment, working=True):
        await rig.until(lambda: not desk.open_orders(account), "the orphan is cancelled")
        await rig.until(
            lambda: desk.database.orders.find_one({"purpose": "target", "status": "CANCELED"}), "and told"
        )
        stop = await rig.until(
            lambda: desk.database.orders.find_one({"purpose": "stop", "status": "FILLED", "state": "done"})
        )
        assert stop["executed"].to_decimal() == D("0.001")
        filled = {"purpose": "stop", "tradeIds.0": {"$gt": 0}}
        stop = await rig.until(lambda: desk.database.orders.find_one(filled), "with its fees")
        assert stop["commission"].to_decimal() > 0
        assert stop["realized"].to_decimal() < 0
        # A stop slips against its own price, not against the mark of when it was placed.
        assert 0 <= stop["slippageBp"].to_decimal() < 50


@pytest.mark.parametrize("shared", [False, True])
async def test_another_machine_takes_an_agent_over_with_all_that_was_ordered_for_it(
    desk: Desk, shared: bool
) -> None:
    account = first(desk)
    if shared:
        desk.add("Other", account)
    with rig.running(desk.settings, desk.environment, working=True):
        assert (await desk.ended(desk.decide("Real", **PROTECTED)))["state"] == "done"
        if shared:
            assert (await desk.ended(desk.decide("Other", **LONG)))["state"] == "done"
        ended = {"purpose": "entry", "tradeIds.0": {"$gt": 0}}
        await rig.until(lambda: desk.database.orders.count_documents(ended) == 1 + shared)
        await rig.until(lambda: desk.database.orders.count_documents({"state": "open"}) == 2)
    elsewhere = desk.settings.model_copy(
        update={"state_dir": desk.settings.state_folder.parent / "elsewhere", "duplicate_seconds": 600}
    )
    with rig.running(elsewhere, desk.environment, working=True) as engine:
        again = await desk.ended(desk.decide("Real", **LONG))
        assert "duplicate: the same was ordered" in again["reasons"][0]
        closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closed["state"] == "done", closed
        assert desk.amount(account, "BTCUSDT") == (D("0.001") if shared else 0)
        assert desk.open_orders(account) == []
        states = {"purpose": {"$in": ["stop", "target"]}, "state": "done", "status": "CANCELED"}
        await rig.until(lambda: desk.database.orders.count_documents(states) == 2, "the orders are told")
        await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.sync.state == "in-sync", "in sync")
        assert "by the journal" not in rig.errors(engine)


async def test_what_another_machine_ordered_a_moment_ago_is_no_drift_here(desk: Desk) -> None:
    first(desk)
    folder = desk.settings.state_folder.parent / "elsewhere"
    elsewhere = desk.settings.model_copy(update={"state_dir": folder})
    with rig.running(desk.settings, desk.environment, working=True):
        assert (await desk.ended(desk.decide("Real", **PROTECTED)))["state"] == "done"
        await rig.until(lambda: desk.database.orders.count_documents({"state": "open"}) == 2, "all is told")
        with rig.running(elsewhere, desk.environment) as console:

            def synced(since: int) -> bool:
                agent = rig.agent(console, "Real")
                return agent is not None and (agent.sync.at or 0) > since and not agent.sync.running

            await rig.until(lambda: synced(0), "the first sync")
            closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
            assert closed["state"] == "done", closed
            ended = {"purpose": "close", "state": "done"}
            await rig.until(lambda: desk.database.orders.count_documents(ended) == 1, "the close is told")
            # The first one comes of the fill and takes it as just happened.
            for _ in range(3):
                before = now_ms()
                console.submit(SyncAgents())
                await rig.until(lambda at=before: synced(at), "synced")
            assert "by the journal" not in rig.errors(console)


async def test_a_shadow_that_the_database_was_not_told_of_yet_is_in_the_next_workers_book(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(desk)
    read = asyncio.Event()
    enter_paper, shadows_of = TradingStore.enter_paper, TradingStore.shadows_of

    async def slowly(self: TradingStore, *told: Any, **named: Any) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                await read.wait()
        await enter_paper(self, *told, **named)

    async def reading(self: TradingStore, agent_id: str) -> Any:
        found = await shadows_of(self, agent_id)
        read.set()
        return found

    position = {
        **{"agentId": desk.agents["Real"], "agentName": "Real", "coin": "ETH", "signal": "long"},
        **{"entry_price": 3000.0, "size_usd": 150.0, "leverage": 2, "status": "open", "opened_at": 1},
    }
    journal = Journal(desk.settings.state_folder)
    await journal.open()
    data = {"position": {**position, "_id": "a" * 24}, "trade": {}, "shadow": True}
    await journal.note("paper-entry", 1, data)
    await journal.close()
    monkeypatch.setattr(TradingStore, "enter_paper", slowly)
    monkeypatch.setattr(TradingStore, "shadows_of", reading)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        body: Any = await rig.until(lambda: engine._body)
        books = body.room.worker.paper.books
        book = await rig.until(lambda: books.get(desk.agents["Real"]), "the book is read")
        assert [*book.positions] == ["a" * 24]

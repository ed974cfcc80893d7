"""The outbox: what the journal holds is in MongoDB once, however often and by whomever it is delivered."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.records import order_document
from aster_tui.engine.core import Core
from aster_tui.engine.trade import outbox as module
from aster_tui.engine.trade.outbox import Outbox
from aster_tui.store import journal_files
from aster_tui.store.journal import Journal, added_up
from aster_tui.store.trading import Lease, TradingStore, new_id
from tests import rig
from tests.domain.test_lifecycle import INTENT, fill, update
from tests.store.test_journal import CLAIM


@pytest.fixture
async def store(mongo_uri: str, mongo_database: str) -> AsyncIterator[TradingStore]:
    made = TradingStore(mongo_uri, mongo_database, 5.0)
    await made.prepare()
    yield made
    await made.close()


def delivering(journal: Journal, store: TradingStore) -> Outbox:
    core = Core(network="PRACTICE", read_only=False, initial_balance=Decimal(1000), sync_seconds=30)
    return Outbox(core, journal, store)


def everything(database: Any) -> dict[str, list[Any]]:
    """All documents, but for when they were written."""
    return {
        name: [
            {k: v for k, v in document.items() if k not in ("createdAt", "updatedAt")}
            for document in database[name].find().sort("_id", 1)
        ]
        for name in ("agents", "orders", "errors", "decisions", "positions", "trades", "shadows")
    }


async def written(journals: list[Journal], agent_id: str) -> None:
    """Something of every kind, an order with lines in two files among it."""
    one, two = journals
    decision, position = new_id(), new_id()
    await one.queue(decision, "A", {"_id": decision, "agentId": agent_id, "timestamp": 1})
    assert await two.claim("A", CLAIM) is not None
    for number in range(8):  # each line by the one or the other
        await one.intend(replace(INTENT, client_order_id=f"o{number}", agent_id=agent_id))
        for step, (kind, data) in enumerate([update("NEW", 0), fill(1), update("FILLED", 3)]):
            journal = journals[number >> step & 1]
            await journal.append(f"o{number}", kind, 2000 + step, data)
            await journal.entries_since({}, 1)  # the moment that its owner has is over
    document = {"_id": position, "agentId": agent_id, "coin": "BTC", "status": "open"}
    await two.note("paper-entry", 10, {"position": document, "trade": {"_id": new_id()}, "shadow": False})
    exit_trade = {"_id": new_id(), "tradeType": "exit"}
    fields = {"status": "closed", "exit_price": 5.0}
    leaving = {"position_id": position, "fields": fields, "trade": exit_trade, "shadow": False}
    await two.note("paper-exit", 11, leaving)
    await two.error(ErrorRaised(12, "exchange", "no", "A", code="-1"))
    await two.note("mode", 13, {"agent_id": agent_id, "paper": True})
    await two.note("decision", 14, {"decision_id": decision, "fields": {"state": "done", "finishedAt": 14}})


async def test_delivered_again_by_anybody_at_any_time_nothing_changes(
    tmp_path: Path, store: TradingStore, raw_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_files, "PATIENCE_SECONDS", 0.0)
    agent_id = str(raw_database.agents.insert_one(rig.agent_document("A")).inserted_id)
    journals = [Journal(tmp_path), Journal(tmp_path)]
    for journal in journals:
        await journal.open()
    await written(journals, agent_id)
    outboxes = [delivering(journal, store) for journal in journals]
    await asyncio.gather(*(outbox.step() for outbox in outboxes))
    assert [await outbox.drained() for outbox in outboxes] == [True, True]
    assert raw_database.agents.find_one()["isPaperTrading"] is True
    assert raw_database.decisions.find_one()["state"] == "done"
    assert raw_database.positions.find_one()["status"] == "closed"
    assert {(o["state"], len(o["history"])) for o in raw_database.orders.find()} == {("done", 4)}
    # An operator looks at it, and lets it trade again; then somebody wakes up and delivers all of it again.
    raw_database.agents.update_one({"_id": ObjectId(agent_id)}, {"$set": {"isPaperTrading": False}})
    before = everything(raw_database)
    assert [len(documents) for documents in before.values()] == [1, 8, 1, 1, 1, 2, 0]
    for mark in ("again", "and again"):
        monkeypatch.setattr(module, "MARK", mark)
        assert not await outboxes[0].drained()
        await asyncio.gather(*(outbox.step() for outbox in outboxes))
        assert await outboxes[0].drained()
        assert everything(raw_database) == before
    for journal in journals:
        await journal.close()


async def test_whoever_comes_late_with_less_changes_nothing(
    tmp_path: Path, store: TradingStore, raw_database: Any
) -> None:
    journal = Journal(tmp_path)
    await journal.open()
    await journal.intend(INTENT)
    for at, (kind, data) in enumerate([update("NEW", 0), fill(1), update("FILLED", 3)], start=2000):
        await journal.append("a", kind, at, data)
    lines = (await journal.lines(["a"]))["a"]
    await journal.close()
    for order in itertools.permutations(range(1, len(lines) + 1)):
        raw_database.orders.delete_many({})
        most = 0
        for count in order:
            record, once = added_up(lines[:count])
            assert record is not None
            history = [{"seq": line.seq} for line in once]
            await store.record_order(order_document(record, PaperCosts()), history, count)
            most = max(most, count)
            (document,) = raw_database.orders.find()
            assert [line["seq"] for line in document["history"]] == [line.seq for line in lines[:most]]
        assert document["state"] == "done"


async def test_the_end_of_a_decision_is_told_after_its_beginning_whatever_the_files(
    tmp_path: Path, store: TradingStore, raw_database: Any
) -> None:
    """The process that queued it is slow to be read; the one that carried it out says both."""
    journals = [Journal(tmp_path), Journal(tmp_path)]
    for journal in journals:
        await journal.open()
    decision = new_id()
    await journals[0].queue(decision, "A", {"_id": decision, "agentId": "1", "timestamp": 1})
    await journals[1].claim("A", CLAIM)
    await journals[1].note("decision", 2, {"decision_id": decision, "fields": {"state": "done"}})
    queued = tmp_path / "journal" / "journal-1.sqlite"
    await journals[0].close()
    content = queued.read_bytes()
    queued.write_bytes(b"cannot be read" * 1000)
    outbox = delivering(journals[1], store)
    await outbox.step()
    assert raw_database.decisions.find_one()["state"] == "done"
    queued.write_bytes(content)
    await outbox.step()
    assert [d["state"] for d in raw_database.decisions.find()] == ["done"]
    assert await outbox.drained()
    await journals[1].close()


async def test_a_decision_claimed_on_this_machine_by_a_worker_that_died_is_found_by_the_next(
    tmp_path: Path, store: TradingStore, raw_database: Any
) -> None:
    journals = [Journal(tmp_path), Journal(tmp_path)]
    for journal in journals:
        await journal.open()
    outbox = delivering(journals[1], store)
    next_one, decisions = Lease("1", "other", 4), [new_id(), new_id()]
    for at, decision in enumerate(decisions):
        await journals[0].queue(decision, "A", {"_id": decision, "agentId": "1", "timestamp": at})
    await outbox.step()
    assert await store.interrupted_decisions(next_one) == []
    for _ in decisions:
        assert await journals[1].claim("A", CLAIM) is not None
    await journals[1].note("decision", 2, {"decision_id": decisions[0], "fields": {"state": "done"}})
    await outbox.step()
    (left,) = await store.interrupted_decisions(next_one)
    assert (left.decision_id, left.epoch, left.claimed_at) == (decisions[1], 3, 7)
    assert [d["state"] for d in raw_database.decisions.find().sort("timestamp")] == ["done", "claimed"]
    await store.finish_decision(decisions[1], {"state": "interrupted"})
    for document in ({"state": "local"}, {"state": "claimed", "claim": CLAIM}):  # told again, late
        await store.queue_decision({"_id": decisions[1], "agentId": "1", "timestamp": 1, **document})
    assert [d["state"] for d in raw_database.decisions.find().sort("timestamp")] == ["done", "interrupted"]
    for journal in journals:
        await journal.close()

"""What comes from the journal is written exactly once, with exact decimals; the queue and the leases hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128, ObjectId

from aster_tui.domain.documents import parse_agent
from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.records import decision_document, error_record
from aster_tui.store.trading import TradingStore, new_id, trading_store
from tests.rig import agent_document

D = Decimal


@pytest.fixture
async def store(mongo_uri: str, mongo_database: str) -> AsyncIterator[TradingStore]:
    opened = trading_store(mongo_uri, mongo_database)
    await opened.prepare()
    yield opened
    await opened.close()


async def test_orders_are_one_document_per_client_id_with_exact_decimals_and_a_history(
    store: TradingStore, raw_database: Any
) -> None:
    order: dict[str, Any] = {
        "clientOrderId": "c1",
        "agentName": "A",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quantity": D("0.010"),
        "timestamp": 5,
    }
    price = D("64000.123456789012345678")
    intent, answered = {"seq": 3, "kind": "intent"}, {"seq": 4, "kind": "answered"}
    for _ in range(2):  # what is told again, or late, changes nothing
        await store.record_order({**order, "status": "NEW"}, [intent], 1)
        filled = {**order, "status": "FILLED", "averagePrice": price}
        await store.record_order(filled, [intent, answered], 2)
    (document,) = raw_database.orders.find()
    assert document["averagePrice"] == Decimal128("64000.123456789012345678")
    assert [(line["kind"], line["seq"]) for line in document["history"]] == [("intent", 3), ("answered", 4)]
    (seen,) = await store.recent_orders(10)
    assert (seen.status, seen.average_price) == ("FILLED", price)


async def test_what_one_machine_tells_late_does_not_undo_the_end_that_another_saw(
    store: TradingStore, raw_database: Any
) -> None:
    order = {"clientOrderId": "c1", "agentId": "a", "timestamp": 5}
    await store.record_order({**order, "state": "open"}, [{"kind": "intent"}], 1)
    await store.record_order({**order, "state": "done", "executed": D(2)}, [{"kind": "update"}], 3)
    for lines in (2, 4, 5):
        await store.record_order({**order, "state": "open"}, [{"kind": "update"}], lines)
    (document,) = raw_database.orders.find()
    assert (document["state"], document["executed"]) == ("done", Decimal128("2"))
    await store.record_order({**order, "state": "done", "commission": D(1)}, [{"kind": "fill"}], 4)
    assert raw_database.orders.find_one()["commission"] == Decimal128("1")
    assert len(await store.orders_of("a", since=0, known=["other"])) == 1
    assert await store.orders_of("a", since=0, known=["c1"]) == []
    assert await store.orders_of("a", since=6, known=[]) == []


async def test_decisions_for_nobody_are_refused_once_they_are_old(
    store: TradingStore, raw_database: Any
) -> None:
    agent = str(ObjectId())
    for number, (whose, made) in enumerate([("nobody", 5), (None, "soon"), (agent, 5), ("nobody", 500)]):
        raw_database.decisions.insert_one({"_id": number, "agentId": whose, "timestamp": made})
    assert sorted(await store.refuse_unknown([agent], 100, {"state": "refused"})) == ["0", "1"]
    assert await store.refuse_unknown([agent], 100, {"state": "refused"}) == []
    assert raw_database.decisions.count_documents({"state": "refused"}) == 2


async def test_a_decision_says_when_it_was_made_or_its_id_does(
    store: TradingStore, raw_database: Any
) -> None:
    agent = str(ObjectId())
    lease = await store.take_lease(agent, "me", 5_000)
    assert lease is not None
    at = datetime(2026, 1, 2, tzinfo=UTC)
    expected = int(at.timestamp() * 1000)
    rows: list[dict[str, Any]] = [
        {"_id": "a", "timestamp": float(expected)},
        {"_id": "b", "timestamp": at},
        {"_id": "c", "timestamp": "yesterday", "createdAt": at},
        {"_id": ObjectId.from_datetime(at), "timestamp": True},
        {"_id": "e", "timestamp": float("nan")},
    ]
    made = {}
    for row in rows:
        raw_database.decisions.insert_one({**row, "agentId": agent})
        claimed = await store.claim_decision(lease, 9)
        assert claimed is not None
        made[claimed.decision_id] = claimed.made_at
    assert list(made.values()) == [expected, expected, expected, expected, 0]


async def test_errors_come_back_as_they_went(store: TradingStore) -> None:
    error = ErrorRaised(
        5,
        "exchange",
        "the margin is too low",
        agent="A",
        code="-2019",
        remedy="less",
        raw="{}",
        recorded_at=5,
    )
    for _ in range(2):
        await store.record_error("j-1", error_record(error))
    assert await store.recent_errors(10) == (error,)


async def test_a_paper_position_opens_and_closes_once(store: TradingStore, raw_database: Any) -> None:
    inserted = raw_database.agents.insert_one(agent_document("P", mine=1))
    agent = parse_agent(raw_database.agents.find_one({"_id": inserted.inserted_id}))
    position = {
        "_id": new_id(),
        "agentId": agent.agent_id,
        "agentName": "P",
        "coin": "ETH",
        "signal": "short",
        "entry_price": 3000.0,
        "leverage": 2,
        "size_usd": 300.0,
        "status": "open",
        "opened_at": 5,
    }
    entry, leaving = (
        {"_id": new_id(), "agentId": agent.agent_id, "pair": "ETH", "pnlAbsolute": pnl, "tradeType": kind}
        for kind, pnl in (("entry", 0.0), ("exit", 3.0))
    )
    for _ in range(2):
        await store.enter_paper(position, entry)
    raw_database.positions.update_one({}, {"$set": {"theirs": [1]}})
    closed = {"status": "closed", "exit_price": 2970.0, "pnlAbsolute": 3.0}
    for _ in range(2):
        await store.exit_paper(position["_id"], closed, leaving)
    (document,) = raw_database.positions.find()
    assert (document["status"], document["theirs"]) == ("closed", [1])
    assert isinstance(document["_id"], ObjectId)
    assert raw_database.trades.count_documents({}) == 2
    await store.write_paper_agent(agent.agent_id, {"balance": 1003.0}, [], {})
    written = raw_database.agents.find_one({"name": "P"})
    assert (written["balance"], written["mine"]) == (1003.0, 1)
    assert await store.exit_pnl(agent.agent_id) == 3


async def test_decisions_are_claimed_once_in_their_order(store: TradingStore) -> None:
    agent = str(ObjectId())
    lease = await store.take_lease(agent, "me", 5_000)
    assert lease is not None
    assert await store.take_lease(agent, "you", 5_000) is None
    for number in (3, 1, 2):
        await store.queue_decision(decision_document(new_id(), agent, "A", {"coin": str(number)}, number))
    claimed = [await store.claim_decision(lease, 9) for _ in range(4)]
    assert [c.made_at if c else None for c in claimed] == [1, 2, 3, None]
    await store.release_lease(lease)
    assert not await store.renew_lease(lease, 5_000)  # late: it was given back
    after = await store.take_lease(agent, "you", 5_000)
    assert after is not None
    assert after.epoch == lease.epoch + 1
    assert not await store.renew_lease(lease, 5_000)
    assert await store.renew_lease(after, 5_000)
    assert [q.made_at for q in await store.interrupted_decisions(after)] == [1, 2, 3]


@pytest.mark.parametrize("epoch", ["7", "x", 7.5, None, {}, True])
async def test_a_lease_that_somebody_else_wrote_wrong_keeps_nobody_from_trading(
    store: TradingStore, raw_database: Any, epoch: Any
) -> None:
    raw_database.leases.insert_one({"_id": "a", "owner": "you", "epoch": epoch, "expiresAt": "soon"})
    lease = await store.take_lease("a", "me", 5_000)
    assert lease is not None
    assert lease.epoch >= 1
    assert await store.renew_lease(lease, 5_000)
    assert await store.take_lease("a", "you", 5_000) is None
    again = await store.take_lease("a", "me", 5_000)
    assert again == lease

"""The store against a real mongod."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from aster_tui.domain.sync_plan import plan_sync
from aster_tui.domain.trading import Position
from aster_tui.store.base import StoreChange, StoreError, StoreUnavailable
from aster_tui.store.mongo import MongoReader, MongoWriter, connect
from aster_tui.store.mongod import LocalMongod
from tests.rig import agent_document, until

D = Decimal


@asynccontextmanager
async def opened(uri: str, database: str) -> AsyncIterator[MongoWriter]:
    store = connect(uri, database, writable=True)
    assert isinstance(store, MongoWriter)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(mongo_uri: str, mongo_database: str) -> AsyncIterator[MongoWriter]:
    async with opened(mongo_uri, mongo_database) as found:
        yield found


class Watching:
    """Collects the changes of a store."""

    def __init__(self, store: MongoReader) -> None:
        self.changes: list[StoreChange] = []
        self.states: list[str] = []
        self.error: StoreError | None = None
        self.task = asyncio.create_task(self._watch(store))

    async def _watch(self, store: MongoReader) -> None:
        try:
            async for change in store.watch(self.states.append):
                self.changes.append(change)
        except StoreError as error:
            self.error = error

    async def __aenter__(self) -> Watching:
        await until(lambda: self.states or self.error, "watching")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def seen(self) -> list[tuple[str, str]]:
        return [(c.collection, c.operation) for c in self.changes]


def test_a_reader_has_no_method_that_writes() -> None:
    public = {
        name for name, _ in inspect.getmembers(MongoReader, inspect.isfunction) if not name.startswith("_")
    }
    assert public == {
        *("ping", "load_agents", "open_positions", "exit_pnls", "exit_pnl", "shadows", "watch", "close"),
        *("recent_trades", "recent_orders", "recent_errors"),
        *("load_controls", "recent_audit", "last_audit", "consoles"),
    }
    assert type(connect("mongodb://127.0.0.1:1", "x", writable=False)) is MongoReader


async def test_documents_load_also_broken_ones(store: MongoWriter, raw_database: Any) -> None:
    raw_database.agents.insert_many([agent_document("B"), {"name": "A", "balance": "lots"}])
    raw_database.positions.insert_many(
        [{"coin": "BTC", "agentId": 7}, {"status": "closed"}, {"status": None}]
    )
    agents, positions = await store.load_agents(), await store.open_positions()
    assert [a.name for a in agents] == ["A", "B"]
    assert agents[0].warnings
    assert agents[1].warnings == ()
    assert len(positions) == 2
    assert all(p.warnings for p in positions)


async def test_realized_pnl_is_summed_over_exits_and_ignores_what_is_no_number(
    store: MongoWriter, raw_database: Any
) -> None:
    rows = [
        ("a", "exit", 1.5),
        ("a", "exit", -0.25),
        ("a", "entry", 99.0),
        ("b", "exit", 4),
        ("b", "exit", "x"),
    ]
    raw_database.trades.insert_many([{"agentId": a, "tradeType": t, "pnlAbsolute": p} for a, t, p in rows])
    assert await store.exit_pnls() == {"a": D("1.25"), "b": D(4)}
    assert await store.exit_pnl("a") == D("1.25")
    assert await store.exit_pnl("nobody") == 0


async def test_fields_of_others_stay_in_the_positions_within_an_agent_and_in_its_last_trade(
    store: MongoWriter, raw_database: Any
) -> None:
    element = {"coin": "BTC", "signal": "long", "opened_at": 1, "expected_duration": "2h", "mine": "$kept"}
    last = {"pair": "BTC", "timestamp": 7, "mine": {"deep": 1}}
    inserted = raw_database.agents.insert_one(
        agent_document("A", activePositions=[element, "broken"], lastTrade=last)
    )
    agent_id = str(inserted.inserted_id)
    positions = [Position("BTCUSDT", D("0.01"), D(63000)), Position("ETHUSDT", D(-1), D(3000))]
    await store.apply_sync(agent_id, plan_sync(agent_id, "A", [], positions, {}, 5), 5)
    trade = {"pair": "BTC", "price": 3.0, "timestamp": 7}
    await store._set_agent(agent_id, {"lastTrade": trade})
    agent = raw_database.agents.find_one({"name": "A"})
    btc, eth = agent["activePositions"]
    assert (btc["mine"], btc["expected_duration"], btc["size_usd"]) == ("$kept", "2h", 630.0)
    assert ("mine" in eth, eth["expected_duration"], eth["signal"]) == (False, "", "short")
    assert agent["lastTrade"] == {**trade, "mine": {"deep": 1}}
    await store._set_agent(agent_id, {"lastTrade": {**trade, "timestamp": 8}, "activePositions": []})
    agent = raw_database.agents.find_one({"name": "A"})
    assert (agent["lastTrade"], agent["activePositions"]) == ({**trade, "timestamp": 8}, [])


async def test_every_update_keeps_the_fields_it_does_not_know(store: MongoWriter, raw_database: Any) -> None:
    inserted = raw_database.agents.insert_one(agent_document("A", prompt="long", extra={"deep": [1]}))
    agent_id = str(inserted.inserted_id)
    held = raw_database.positions.insert_one(
        {
            "agentId": agent_id,
            "coin": "BTC",
            "signal": "long",
            "status": "open",
            "entry_price": 1.0,
            "mine": "kept",
        }
    )
    await store.sync_account(agent_id, D("1012.5"), D(1000), 5)
    documents = await store.open_positions(agent_id)
    positions = [Position("BTCUSDT", D("0.01"), D(63000)), Position("ETHUSDT", D(-1), D(3000))]
    plan = plan_sync(agent_id, "A", documents, positions, {}, 5)
    await store.apply_sync(agent_id, plan, 5)
    await store.apply_sync(agent_id, plan, 5)  # twice is once
    agent = raw_database.agents.find_one({"name": "A"})
    assert (agent["extra"], agent["prompt"]) == ({"deep": [1]}, "long")
    assert (agent["balance"], agent["pnlAbsolute"], agent["pnl"]) == (1012.5, 12.5, 1.25)
    assert [a["coin"] for a in agent["activePositions"]] == ["BTC", "ETH"]
    assert agent["updatedAt"]
    kept = raw_database.positions.find_one({"_id": held.inserted_id})
    assert (kept["mine"], kept["size_usd"], kept["entry_price"]) == ("kept", 630.0, 63000.0)
    assert raw_database.positions.count_documents({}) == 2
    again = plan_sync(agent_id, "A", await store.open_positions(agent_id), positions, {}, 5)
    assert (again.inserts, again.updates, again.closes, again.drift) == ((), (), (), ())


async def test_an_agent_that_is_gone_is_said(store: MongoWriter) -> None:
    with pytest.raises(StoreError, match="gone"):
        await store.sync_account(str(ObjectId()), D(1), D(1), 5)


async def test_every_write_of_anybody_is_heard(store: MongoWriter, raw_database: Any) -> None:
    async with Watching(store) as watching:
        assert watching.states == ["stream"]
        inserted = raw_database.agents.insert_one(agent_document("A", prompt="x" * 1000))
        raw_database.agents.update_one({"name": "A"}, {"$set": {"balance": 7.0}})
        raw_database.positions.insert_one({"coin": "BTC"})
        raw_database.balancesnapshots.insert_one({"not": "ours"})
        await until(lambda: len(watching.changes) == 3)
        raw_database.agents.delete_one({"name": "A"})
        await until(lambda: len(watching.changes) == 4)
        assert watching.seen() == [
            ("agents", "insert"),
            ("agents", "update"),
            ("positions", "insert"),
            ("agents", "delete"),
        ]
        assert {c.document_id for c in watching.changes if c.collection == "agents"} == {
            str(inserted.inserted_id)
        }
        assert "prompt" not in (watching.changes[0].document or {})


async def test_twenty_reads_beside_a_stream_are_quick(store: MongoWriter) -> None:
    async with Watching(store):
        started = time.monotonic()
        await asyncio.gather(*(store.load_agents() for _ in range(20)))
        # With a thread pool as small as motor's default each of these can wait a second for a free thread.
        assert time.monotonic() - started < 5


async def test_without_change_streams_it_polls(tmp_path: Path) -> None:
    mongod = LocalMongod(tmp_path, replica_set=False)
    await asyncio.to_thread(mongod.start)
    try:
        async with opened(mongod.uri, "x") as store, Watching(store) as watching:
            assert watching.states == ["polling"]
            with MongoClient[dict[str, Any]](mongod.uri) as client:
                db = client.x
                db.agents.insert_one(agent_document("A"))
                position = db.positions.insert_one({"coin": "BTC", "status": "open"}).inserted_id
                db.trades.insert_one({"pair": "BTC", "timestamp": 5})
                await until(lambda: len(watching.changes) == 3)
                db.agents.update_one({"name": "A"}, {"$set": {"balance": 7.0}})
                db.positions.update_one({"_id": position}, {"$set": {"status": "closed"}})
                await until(lambda: len(watching.changes) == 5)
                db.agents.delete_one({"name": "A"})
                await until(lambda: len(watching.changes) == 6)
            assert sorted(watching.seen()[3:5]) == [("agents", "update"), ("positions", "update")]
            assert watching.seen()[5] == ("agents", "delete")
    finally:
        await asyncio.to_thread(mongod.stop)


async def test_a_killed_server_ends_the_watch_and_a_restarted_one_is_watched_again(tmp_path: Path) -> None:
    mongod = LocalMongod(tmp_path)
    await asyncio.to_thread(mongod.start)
    try:
        async with opened(mongod.uri + "&serverSelectionTimeoutMS=1000", "x") as store:
            async with Watching(store) as watching:
                await asyncio.to_thread(mongod.kill)
                await until(lambda: watching.error, "the end of the watch")
                assert isinstance(watching.error, StoreUnavailable)
            await asyncio.to_thread(mongod.start)
            async with Watching(store) as watching:
                with MongoClient[dict[str, Any]](mongod.uri) as client:
                    client.x.errors.insert_one({"message": "b"})
                await until(lambda: watching.seen() == [("errors", "insert")])
    finally:
        await asyncio.to_thread(mongod.stop)


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://me:geheim@127.0.0.1:1/?serverSelectionTimeoutMS=300",
        "mongodb+srv://me:geheim@nowhere.invalid/x",
        "mongodb://me:ge%heim@[::1",
    ],
)
async def test_an_address_that_leads_nowhere_is_one_line_without_the_password(uri: str) -> None:
    store = connect(uri, "x", writable=False, timeout_s=0.5)
    with pytest.raises(StoreError) as raised:
        await store.load_agents()
    assert raised.value.remedy
    assert "\n" not in str(raised.value)
    assert "heim" not in f"{raised.value} {raised.value.remedy}"
    await store.close()


async def test_looking_a_name_up_does_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    import dns.resolver

    def slow(*arguments: Any, **options: Any) -> Any:
        time.sleep(1)
        raise dns.resolver.NXDOMAIN

    monkeypatch.setattr(dns.resolver, "resolve", slow)
    store = connect("mongodb+srv://me:geheim@nowhere.invalid/x", "x", writable=False)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(StoreUnavailable):
        await store.load_agents()
    ticking.cancel()
    await store.close()
    assert ticks > 10


async def test_closing_while_watching_does_not_hang(mongo_uri: str, mongo_database: str) -> None:
    store = connect(mongo_uri, mongo_database, writable=False)
    async with Watching(store):
        async with asyncio.timeout(5):
            await store.close()

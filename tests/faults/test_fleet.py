"""A fleet at work: exchange, journal, MongoDB and screen agree, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from aster_tui.cli.doing_trade import queue_decision
from aster_tui.config import Settings
from aster_tui.domain.client_ids import parse_client_id
from aster_tui.domain.shares import shares
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.journal import Journal
from aster_tui.store.mongod import LocalMongod
from tests import rig

D = Decimal
DECISIONS, AGENTS, REAL = 200, 8, 3
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX")
LOOSE = {
    "orders_per_minute": 0,
    "duplicate_seconds": 0,
    "max_positions": 20,
    "sync_seconds": 5,
    "decision_max_age_seconds": 600,
}


class Maker:
    """Makes decisions that are mostly sound: opens what is flat, closes what is open."""

    def __init__(self, names: list[str], seed: int) -> None:
        self._random = random.Random(seed)
        self._open: dict[str, set[str]] = {name: set() for name in names}

    def next(self, number: int) -> tuple[str, dict[str, Any]]:
        name = list(self._open)[number % len(self._open)]
        held = self._open[name]
        if held and (len(held) > 3 or self._random.random() < 0.4):
            coin = self._random.choice(sorted(held))
            held.discard(coin)
            return name, {"coin": coin, "signal": "close"}
        coin = self._random.choice([c for c in COINS if c not in held])
        held.add(coin)
        size = float(self._random.randint(110, 150))
        return name, {
            "coin": coin,
            "signal": self._random.choice(("long", "short")),
            "size_usd": size,
            "leverage": self._random.choice((2, 3, 5)),
        }


def names_of() -> list[str]:
    return [f"Agent{n}" for n in range(AGENTS)]


def fill(database: Any, exchange: PracticeExchange) -> dict[str, str]:
    """Eight agents, the first three real; the environment with their keys."""
    accounts = exchange.ready_document()["accounts"]
    environment: dict[str, str] = {}
    for number, name in enumerate(names_of()):
        account = accounts[number] if number < REAL else None
        database.agents.insert_one(rig.agent_document(name, account, myField={"kept": name}))
        if account is not None:
            environment |= rig.keys(**{name: account})
    return environment


def executed_ids(exchange: PracticeExchange) -> Counter[str]:
    return Counter(
        order.client_id
        for book in exchange.exchange.books.values()
        for order in book.by_id.values()
        if order.executed
    )


async def agree(
    exchange: PracticeExchange, database: Any, settings: Settings, environment: dict[str, str]
) -> None:
    """Exchange, journal and MongoDB say the same, to the last decimal."""
    journal = Journal(settings.state_folder)
    await journal.open()
    records = await journal.orders()
    await journal.close()
    assert not [r for r in records if r.unresolved]
    by_agent = shares(records)
    executed = executed_ids(exchange)
    assert all(count == 1 for count in executed.values())
    assert set(executed) == {r.client_order_id for r in records if r.executed}
    stored = {o["clientOrderId"]: o for o in database.orders.find()}
    assert set(stored) == {r.client_order_id for r in records}
    for record in records:
        document = stored[record.client_order_id]
        assert document["executed"].to_decimal() == record.executed
        assert document["state"] == record.state
        assert document["commission"].to_decimal() == record.commission
        sequence = [(line["journal"], line["seq"]) for line in document["history"]]
        assert len(sequence) == len(set(sequence))
        for journal in {name for name, _ in sequence}:
            seqs = [seq for name, seq in sequence if name == journal]
            assert seqs == sorted(seqs)
    accounts = exchange.ready_document()["accounts"]
    for number, name in enumerate(names_of()):
        agent = database.agents.find_one({"name": name})
        assert agent["myField"] == {"kept": name}
        if number >= REAL:
            balance_follows_the_rules(database, exchange, agent)
            continue
        account = exchange.exchange.accounts[accounts[number]["user"].lower()]
        held = {p.symbol: p.amount for p in account.held}
        mine = {s: share.quantity for (a, s), share in by_agent.items() if a == str(agent["_id"])}
        assert held == mine
        assert agent["isPaperTrading"] is False
        assert agent["balance"] == pytest.approx(float(account.wallet))
        paid = sum((r.commission - r.realized for r in records if r.agent == name), D(0))
        # A run may cross the hour at which funding is charged.
        income = exchange.exchange.income[account.user]
        funding = sum((D(row["income"]) for row in income if row["incomeType"] == "FUNDING_FEE"), D(0))
        assert account.wallet == D(1000) - paid + funding


def balance_follows_the_rules(database: Any, exchange: PracticeExchange, agent: dict[str, Any]) -> None:
    whose = {"agentId": str(agent["_id"])}
    trades = [*database.trades.find(whose)]
    exits = [t for t in trades if t["tradeType"] == "exit"]
    opened = [*database.positions.find({**whose, "status": "open"})]
    made = sum(t["pnlAbsolute"] for t in exits)
    for p in opened:
        mark = float(exchange.exchange.market.quote(f"{p['coin']}USDT").mark)
        change = (mark - p["entry_price"]) / p["entry_price"] * 100
        made += (change if p["signal"] == "long" else -change) / 100 * p["size_usd"]
    assert agent["balance"] == pytest.approx(1000.0 + made, abs=1e-6)
    assert agent["pnlAbsolute"] == pytest.approx(made, abs=1e-6)
    assert agent["pnl"] == pytest.approx(made / 1000 * 100, abs=1e-6)
    assert agent["totalTrades"] == len(exits) > 0
    assert agent["winRate"] == pytest.approx(100 * sum(t["pnlAbsolute"] > 0 for t in exits) / len(exits))
    assert agent["volume24h"] == pytest.approx(sum(t["size_usd"] for t in trades))
    shown = [(p["coin"], p["signal"], p["entry_price"], p["size_usd"]) for p in agent["activePositions"]]
    assert sorted(shown) == sorted((p["coin"], p["signal"], p["entry_price"], p["size_usd"]) for p in opened)
    assert agent["lastTrade"]["timestamp"] == max(t["timestamp"] for t in trades)
    for p in database.positions.find({**whose, "status": "closed"}):
        # Both sides pay 2 bp of slippage and 0.04 % of a fee; nothing moves the market here.
        entry, left, size = p["entry_price"], p["exit_price"], p["size_usd"]
        gross = (left - entry) / entry * size * (1 if p["signal"] == "long" else -1)
        worth = size / entry * left
        assert p["pnlAbsolute"] == pytest.approx(gross - 0.0004 * (size + worth), abs=1e-9)
        assert p["pnl"] == pytest.approx(p["pnlAbsolute"] / size * 100, abs=1e-9)


async def test_two_hundred_decisions_with_the_database_away_for_a_third_of_them(tmp_path: Path) -> None:
    mongod = LocalMongod(tmp_path / "m")
    await asyncio.to_thread(mongod.start)
    try:
        async with PracticeExchange(PracticeOptions(accounts=REAL, volatility=D(0))) as exchange:
            uri = mongod.uri + "&serverSelectionTimeoutMS=500"
            settings = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, uri, "x", **LOOSE)
            with MongoClient[dict[str, Any]](mongod.uri) as client:
                environment = fill(client.x, exchange)
            await at_work(exchange, mongod, settings, environment)
    finally:
        await asyncio.to_thread(mongod.stop)


async def at_work(
    exchange: PracticeExchange, mongod: LocalMongod, settings: Settings, environment: dict[str, str]
) -> None:
    maker = Maker(names_of(), 7)
    with rig.running(settings, environment, working=True) as engine:
        body: Any = await rig.until(lambda: engine._body)
        room = body.room
        await rig.until(lambda: room.worker and len(room.worker.paper.books) == AGENTS, "all served")
        made = [maker.next(number) for number in range(DECISIONS)]
        third = DECISIONS // 3

        async def queue(rows: list[tuple[str, dict[str, Any]]]) -> None:
            """Each agent's in their order, agents at the same time."""

            async def of(name: str) -> None:
                for arguments in (a for n, a in rows if n == name):
                    document, code = await queue_decision(settings, name, arguments)
                    assert code == 0, document

            await asyncio.gather(*(of(name) for name in names_of()))

        await queue(made[:third])
        with MongoClient[dict[str, Any]](mongod.uri) as client:
            done = {"finishedAt": {"$exists": True}}
            await rig.until(lambda: client.x.decisions.count_documents(done) == third, "a third is done", 60)
        await asyncio.to_thread(mongod.kill)
        before = exchange.exchange.executed_orders
        await queue(made[third : 2 * third])
        await rig.until(
            lambda: exchange.exchange.executed_orders > before + 20, "trading goes on without it", 60
        )
        await asyncio.to_thread(mongod.start)
        await queue(made[2 * third :])
        with MongoClient[dict[str, Any]](mongod.uri) as client:
            database = client.x
            await finished(database)
            ends = Counter(d["state"] for d in database.decisions.find())
            problems = [d["reasons"] for d in database.decisions.find({"state": {"$ne": "done"}})]
            assert ends == {"done": DECISIONS}, (ends, problems[:5])
            await settle(engine, database)
            await agree(exchange, database, settings, environment)
            seen = engine.snapshot()
            for position in (p for p in seen.positions if p.mode == "real"):
                signed = position.quantity if position.side == "long" else -position.quantity
                accounts = [a for a in exchange.exchange.accounts.values() if position.key.startswith(a.user)]
                assert [a.position(position.symbol).amount for a in accounts] == [signed]


async def finished(database: Any) -> None:
    """Until no decision is left open; otherwise say which are."""
    open_ones = {"finishedAt": {"$exists": False}}
    try:
        await rig.until(lambda: not database.decisions.count_documents(open_ones), "all are finished", 60)
    except AssertionError:
        left = [(d["agentName"], d["state"], d.get("claim")) for d in database.decisions.find(open_ones)]
        raise AssertionError(f"left: {left}") from None
    assert database.decisions.count_documents({}) == DECISIONS


async def settle(engine: Any, database: Any) -> None:
    """Until the database was told everything, and a sync after that found nothing."""
    room = engine._body.room
    loop = engine._loop

    async def drained() -> bool:
        future = asyncio.run_coroutine_threadsafe(room.outbox.drained(), loop)
        return bool(await asyncio.wrap_future(future))

    async with asyncio.timeout(60):
        while not await drained():
            await asyncio.sleep(0.1)
    now = time.time_ns() // 1_000_000 + 3000
    await rig.until(
        lambda: all(
            a.sync.state == "in-sync" and a.sync.at > now
            for a in engine.snapshot().agents
            if a.mode == "real"
        ),
        f"in sync: {[(a.name, a.sync) for a in engine.snapshot().agents if a.mode == 'real']}",
        60,
    )
    written = database.agents.find_one({"name": f"Agent{AGENTS - 1}"})["updatedAt"]
    await rig.until(
        lambda: database.agents.find_one({"name": f"Agent{AGENTS - 1}"})["updatedAt"] > written, "figures"
    )


def worker(settings: Settings, environment: dict[str, str], uri: str, database: str, log: Path) -> Any:
    """``aster-tui worker`` as a process of its own."""
    more = {f"ASTER_TUI_{name.upper()}": str(value) for name, value in LOOSE.items()}
    variables = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("ASTER_", "AGENT_"))},
        **environment,
        **more,
        "ASTER_TUI_PROFILE": "practice",
        "ASTER_TUI_REST_URL": settings.rest_url,
        "ASTER_TUI_WS_URL": settings.ws_url,
        "ASTER_TUI_STATE_DIR": str(settings.state_dir),
        "ASTER_TUI_MONGODB_DATABASE": database,
        "MONGODB_URI": uri,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "aster_tui", "worker"],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=log.open("ab"),
        cwd=settings.state_dir,
    )


@pytest.mark.parametrize("blow", ["SIGKILL", "SIGSTOP"])
async def test_two_workers_of_which_one_dies_or_sleeps(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any, blow: str
) -> None:
    (tmp_path / "state").mkdir()
    log = tmp_path / "log"
    options = PracticeOptions(accounts=REAL, volatility=D(0), latency_ms=10)
    async with PracticeExchange(options) as exchange:
        environment = fill(raw_database, exchange)
        settings = rig.settings(
            tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database, **LOOSE
        )
        workers = [worker(settings, environment, mongo_uri, mongo_database, log)]
        try:
            leases, agents = raw_database.leases, {"_id": {"$not": {"$regex": "^account:"}}}
            held = {**agents, "owner": {"$ne": None}}
            await rig.until(lambda: leases.count_documents(held) == AGENTS, "leases", 30)
            first = {d["_id"]: d["owner"] for d in leases.find(agents)}
            workers.append(worker(settings, environment, mongo_uri, mongo_database, log))
            maker = Maker(names_of(), 3)

            async def queue(count: int, begin: int) -> None:
                for number in range(begin, begin + count):
                    name, arguments = maker.next(number)
                    document, code = await queue_decision(settings, name, arguments)
                    assert code == 0, document

            await queue(40, 0)
            finished = {"finishedAt": {"$exists": True}}
            await rig.until(lambda: raw_database.decisions.count_documents(finished) > 12, "at work", 40)
            workers[0].send_signal(getattr(signal, blow))
            queueing = asyncio.create_task(queue(40, 40))
            await rig.until(
                lambda: all(d["owner"] not in (first[d["_id"]], None) for d in leases.find(agents)),
                "taken over",
            )
            await queueing
            await rig.until(
                lambda: raw_database.decisions.count_documents(finished) >= 70, "the fleet goes on", 60
            )
            if blow == "SIGSTOP":
                workers[0].send_signal(signal.SIGCONT)
            await rig.until(
                lambda: raw_database.decisions.count_documents(finished) == 80,
                f"all are finished: {raw_database.decisions.count_documents(finished)}",
                60,
            )
            await at_most_once(exchange, raw_database)
        finally:
            for running in workers:
                running.send_signal(signal.SIGCONT)
                running.terminate()
            for running in workers:
                try:
                    running.wait(60)
                except subprocess.TimeoutExpired:
                    running.kill()
            print(log.read_text()[-3000:])


async def at_most_once(exchange: PracticeExchange, database: Any) -> None:
    """Each decision has at most one entry or close at the exchange, and what ended well has one."""
    agents = {str(a["_id"]): a for a in database.agents.find()}
    orders = {o["clientOrderId"]: o for o in database.orders.find()}
    per_decision: Counter[str] = Counter()
    for name, count in executed_ids(exchange).items():
        assert count == 1
        found = parse_client_id(name)
        assert found is not None
        if found.purpose in ("entry", "close"):
            per_decision[orders[name]["decisionId"]] += 1
    assert all(count == 1 for count in per_decision.values())
    for decision in database.decisions.find({"state": "done"}):
        if agents[decision["agentId"]].get("isPaperTrading") is False:
            assert per_decision[str(decision["_id"])] == 1
    papers = Counter(
        str(p.get("decisionId")) for p in database.positions.find({"decisionId": {"$exists": 1}})
    )
    assert all(count == 1 for count in papers.values())
    ends = Counter(d["state"] for d in database.decisions.find())
    print(json.dumps(ends))
    assert ends["done"] >= 70
    assert ends["interrupted"] <= 8
    assert isinstance(next(database.decisions.find())["_id"], ObjectId)

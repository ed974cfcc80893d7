"""The whole path below the screen, against a real practice exchange and a real mongod."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.commands import SyncAgents
from aster_tui.domain.keys import PrivateKey
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from tests import rig
from tests.engine.desk import market

D = Decimal


def trader(exchange: PracticeExchange, account: dict[str, str]) -> Trader:
    key = PrivateKey.parse(account["signer_private_key"])
    venue = Venue(exchange.rest_url, exchange.ws_url, 1666)
    return Trader(venue, Wallet(account["user"], Signer(key, 1666)))


async def test_from_the_exchange_and_the_database_to_the_snapshot(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_many([rig.agent_document("Real", account), rig.agent_document("Paper")])
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: engine.snapshot().starting == () and engine.snapshot().feeds, "settled")
            await rig.until(lambda: rig.feed(engine, "user:") == "live", "user stream")
            await rig.until(lambda: rig.feed(engine, "marks") == "live", "marks")
            seen = engine.snapshot()
            assert [a.name for a in seen.agents] == ["Real", "Paper"]
            assert [f.state for f in seen.feeds] == ["live"] * 4
            assert len(seen.positions) == 1
            assert seen.clock_offset_ms is not None
            assert seen.weight_used
            first = seen.positions[0].mark_price
            await rig.until(lambda: engine.snapshot().positions[0].mark_price != first, "marks move")
            # The first sync wrote what the database did not know, and said so.
            await rig.until(lambda: rig.agent(engine, "Real").sync.state == "drift", "drift")  # type: ignore[union-attr]
            document = raw_database.positions.find_one({"agentName": "Real", "status": "open"})
            assert document["coin"] + "USDT" == seen.positions[0].symbol
            stored = raw_database.agents.find_one({"name": "Real"})
            assert D(str(stored["balance"])) == rig.agent(engine, "Real").balance.quantize(
                D("1e-8")
            ).normalize() or (  # type: ignore[union-attr]
                abs(D(str(stored["balance"])) - rig.agent(engine, "Real").balance) < D("1e-6")  # type: ignore[union-attr]
            )
            assert stored["prompt"] == ""


async def test_a_fill_reaches_screen_and_database_and_is_no_drift(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        chosen = rig.settings(
            tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database, sync_seconds=3600
        )
        client = trader(exchange, account)
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: rig.feed(engine, "user:") == "live")
            await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.sync.state == "in-sync")
            await client.place_order(market("BUY", "0.010", "t-1"))
            await rig.until(lambda: engine.snapshot().positions, "position on screen")
            line = await rig.until(lambda: engine.snapshot().orders, "order in the log")
            assert (line[0].key, line[0].status, line[0].executed) == ("t-1", "FILLED", D("0.010"))
            await rig.until(
                lambda: raw_database.positions.find_one({"status": "open"}), "position in MongoDB"
            )
            await rig.until(lambda: not rig.agent(engine, "Real").sync.running)  # type: ignore[union-attr]
            assert rig.agent(engine, "Real").sync.drift == ()  # type: ignore[union-attr]
            await client.place_order(market("SELL", "0.010", "t-2", reduce_only=True))
            await rig.until(lambda: not engine.snapshot().positions, "position gone")
            await rig.until(
                lambda: raw_database.positions.find_one({"status": "closed"}), "closed in MongoDB"
            )
        await client.aclose()


async def test_tampering_is_found_on_demand_and_repaired(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account, unknownField={"kept": True}))
        chosen = rig.settings(
            tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database, sync_seconds=3600
        )
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.sync.at, "first sync")
            key = rig.agent(engine, "Real").key  # type: ignore[union-attr]
            before = raw_database.positions.find_one({"status": "open"})
            raw_database.positions.update_one(
                {"_id": before["_id"]}, {"$set": {"size_usd": before["size_usd"] * 2, "myNote": "kept"}}
            )
            first = rig.agent(engine, "Real").sync.at  # type: ignore[union-attr]
            engine.submit(SyncAgents((key,)))
            await rig.until(lambda: rig.agent(engine, "Real").sync.at != first, "second sync")  # type: ignore[union-attr]
            assert "size" in " ".join(rig.agent(engine, "Real").sync.drift)  # type: ignore[union-attr]
            after = raw_database.positions.find_one({"_id": before["_id"]})
            assert after["size_usd"] == pytest.approx(before["size_usd"])
            assert after["myNote"] == "kept"
            assert raw_database.agents.find_one({"name": "Real"})["unknownField"] == {"kept": True}
            engine.submit(SyncAgents())
            await rig.until(lambda: rig.agent(engine, "Real").sync.state == "in-sync", "clean")  # type: ignore[union-attr]


async def test_read_only_writes_nothing_and_says_why(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        before = raw_database.agents.find_one({"name": "Real"})
        chosen = rig.settings(
            tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database, read_only=True
        )
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: engine.snapshot().positions, "the exchange is still read")
            engine.submit(SyncAgents())
            await rig.until(lambda: "read-only" in rig.errors(engine), "the refusal is shown")
            assert engine.snapshot().read_only
        assert raw_database.agents.find_one({"name": "Real"}) == before
        assert raw_database.positions.count_documents({}) == 0


async def test_no_keys_reads_no_account(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        chosen = rig.settings(
            tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database, no_keys=True
        )
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: rig.feed(engine, "marks") == "live")
            await rig.until(lambda: rig.feed(engine, "mongo") == "live")
            await rig.until(lambda: rig.feed(engine, "user:") == "off")
            assert rig.agent(engine, "Real").stale  # type: ignore[union-attr]
            assert engine.snapshot().positions == ()


async def test_without_mongodb_the_exchange_is_shown_and_the_gap_is_said(tmp_path: Path) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=2)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        environment = {**rig.keys(VoltCrane=account), "AGENT_VOLTCRANE_USER": account["user"]}
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, None)
        with rig.running(chosen, environment) as engine:
            await rig.until(
                lambda: len(engine.snapshot().positions) == 2, "positions of the environment's agent"
            )
            assert rig.feed(engine, "mongo") == "off"
            assert "MONGODB_URI" in rig.errors(engine)
            assert rig.agent(engine, "VOLTCRANE").mode == "real"  # type: ignore[union-attr]


async def test_with_mongodb_unreachable_the_remembered_agents_are_used(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        good = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        with rig.running(good, rig.keys(Real=account)) as engine:
            await rig.until(lambda: (tmp_path / "state" / "agents.json").exists(), "remembered")
        assert account["signer_private_key"][2:] not in (tmp_path / "state" / "agents.json").read_text()
        dead = "mongodb://someone:geheim@127.0.0.1:1/?serverSelectionTimeoutMS=300"
        away = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, dead)
        with rig.running(away, rig.keys(Real=account)) as engine:
            await rig.until(lambda: engine.snapshot().positions, "the exchange is shown")
            assert rig.feed(engine, "mongo") == "down"
            assert "geheim" not in rig.errors(engine)


async def test_without_the_exchange_the_database_is_shown_and_marked_stale(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    account = {"user": "0x" + "1" * 40, "signer": "0x" + "2" * 40, "signer_private_key": "0x" + "3" * 64}
    agent_id = raw_database.agents.insert_one(rig.agent_document("Paper", balance=1100.0)).inserted_id
    raw_database.agents.insert_one(
        rig.agent_document("Real", account, balance=1234.5, asterSignerAddress=None)
    )
    raw_database.trades.insert_one(
        {
            "agentId": str(agent_id),
            "agentName": "Paper",
            "pair": "ETH",
            "side": "long",
            "amount": 1.0,
            "price": 3000.0,
            "pnl": 1.0,
            "pnlAbsolute": 100.0,
            "timestamp": int(time.time() * 1000),
            "tradeType": "exit",
        }
    )
    chosen = rig.settings(tmp_path, "http://127.0.0.1:1", "ws://127.0.0.1:1", mongo_uri, mongo_database)
    with rig.running(chosen, rig.keys(Real=account)) as engine:
        await rig.until(lambda: engine.snapshot().agents, "agents")
        await rig.until(lambda: rig.feed(engine, "exchange") == "down", "exchange down")
        await rig.until(lambda: rig.feed(engine, "marks") == "down", "marks down")
        paper, real = rig.agent(engine, "Paper"), rig.agent(engine, "Real")
        assert paper is not None
        assert real is not None
        assert (paper.balance, real.balance, real.stale) == (D(1100), D("1234.5"), True)
        await rig.until(lambda: engine.snapshot().starting == (), "settled")
        assert "127.0.0.1" in rig.errors(engine) or "refused" in rig.errors(engine).lower()


async def test_broken_documents_warn_and_break_nothing(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    good = rig.agent_document("Good")
    raw_database.agents.insert_many(
        [
            good,
            rig.agent_document("Null", balance=None),
            rig.agent_document("Typed", activePositions="none"),
            {"name": 7},
        ]
    )
    async with PracticeExchange(PracticeOptions(accounts=1)) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        with rig.running(chosen) as engine:
            await rig.until(lambda: len(engine.snapshot().agents) == 4, "four agents")
            said = rig.errors(engine)
            assert "Null: balance is null" in said
            assert "Typed: activePositions" in said
            raw_database.agents.update_one({"name": "Good"}, {"$set": {"winRate": "much"}})
            await rig.until(lambda: "Good: winRate" in rig.errors(engine), "a later write warns too")
            raw_database.agents.delete_one({"name": "Null"})
            await rig.until(lambda: len(engine.snapshot().agents) == 3, "a removed agent goes")


async def test_a_key_that_is_not_the_signers_is_refused(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=2)) as exchange:
        first, second = exchange.ready_document()["accounts"]
        raw_database.agents.insert_many([rig.agent_document("One", first), rig.agent_document("Two", second)])
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        with rig.running(chosen, rig.keys(One=second, Two=second)) as engine:
            await rig.until(lambda: (a := rig.agent(engine, "Two")) and not a.stale, "the other goes on")
            assert "configured signer" in rig.errors(engine)
            assert rig.agent(engine, "One").stale  # type: ignore[union-attr]
            # Put right in the document: the account comes up without a restart.
            raw_database.agents.update_one({"name": "One"}, {"$set": {"isPaperTrading": True}})
            await rig.until(lambda: rig.agent(engine, "One").mode == "paper", "flipped")  # type: ignore[union-attr]

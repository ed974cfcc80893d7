"""The whole path while something is broken: a line in the errors pane, and it heals by itself."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from pymongo import MongoClient

from aster_tui.aster.orders import OrderRequest
from aster_tui.console.status_line import header
from aster_tui.domain.commands import SyncAgents
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.mongod import LocalMongod
from tests import rig
from tests.engine.test_engine import market, trader


async def fault(exchange: PracticeExchange, **values: Any) -> None:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    url = f"{exchange.rest_url}/practice/faults"
    async with aiohttp.ClientSession() as session, session.post(url, json=named) as answer:
        assert answer.status == 200, await answer.text()


async def test_html_instead_of_json_is_one_line_and_the_streams_go_on(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(
                lambda: rig.feed(engine, "user:") == "live" and rig.feed(engine, "marks") == "live"
            )
            await fault(exchange, html500=1)
            await rig.until(lambda: rig.feed(engine, "exchange") == "down", "the outage is seen")
            before = engine.snapshot().positions[0].mark_price
            await rig.until(lambda: engine.snapshot().positions[0].mark_price != before, "marks go on")
            assert rig.feed(engine, "marks") == "live"
            lines = [e for e in engine.snapshot().errors if e.source == "exchange"]
            assert [e.count for e in lines] == [1]
            assert "\n" not in lines[0].message
            await fault(exchange, html500=0)
            await rig.until(lambda: rig.feed(engine, "exchange") == "live", "it heals")


async def test_dropped_streams_come_back_and_what_was_missed_is_read(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        chosen = rig.settings(
            tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database, sync_seconds=3600
        )
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: rig.feed(engine, "user:") == "live")
            await fault(exchange, ws_drop_seconds=0.2, ws_silent=1)
            await rig.until(lambda: "user stream" in rig.errors(engine), "the drop is said")
            user = next(iter(exchange.exchange.accounts))
            order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
            exchange.exchange.place(user, order)  # told to nobody: the streams are silent and dropped
            await fault(exchange, ws_drop_seconds=0, ws_silent=0)
            await rig.until(lambda: engine.snapshot().positions, "the snapshot closes the gap", 40)
            await rig.until(lambda: rig.feed(engine, "user:") == "live")


async def test_a_database_that_dies_and_returns(tmp_path: Path) -> None:
    mongod = LocalMongod(tmp_path / "m")
    await asyncio.to_thread(mongod.start)
    try:
        with MongoClient[dict[str, Any]](mongod.uri) as client:
            client.x.agents.insert_one(rig.agent_document("Paper"))
        async with PracticeExchange(PracticeOptions(accounts=1)) as exchange:
            uri = mongod.uri + "&serverSelectionTimeoutMS=500"
            chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, uri, "x")
            with rig.running(chosen) as engine:
                await rig.until(lambda: rig.feed(engine, "mongo") == "live")
                await asyncio.to_thread(mongod.kill)
                await rig.until(lambda: rig.feed(engine, "mongo") == "down", "the death is seen")
                assert rig.agent(engine, "Paper").stale  # type: ignore[union-attr]
                assert rig.feed(engine, "marks") == "live"
                await asyncio.to_thread(mongod.start)
                await rig.until(lambda: rig.feed(engine, "mongo") == "live", "it heals", 40)
                with MongoClient[dict[str, Any]](mongod.uri) as client:
                    client.x.agents.update_one({"name": "Paper"}, {"$set": {"strategy": "patience"}})
                await rig.until(lambda: rig.agent(engine, "Paper").strategy == "patience")  # type: ignore[union-attr]
    finally:
        await asyncio.to_thread(mongod.stop)


async def test_an_exchange_that_appears_later_is_found(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    first = PracticeExchange(PracticeOptions(accounts=1, positions=1))
    await first.start()
    port = int(first.rest_url.rsplit(":", 1)[1])
    (account,) = first.ready_document()["accounts"]
    rest, ws = first.rest_url, first.ws_url
    await first.stop()
    raw_database.agents.insert_one(rig.agent_document("Real", account))
    chosen = rig.settings(tmp_path, rest, ws, mongo_uri, mongo_database)
    with rig.running(chosen, rig.keys(Real=account)) as engine:
        await rig.until(lambda: rig.feed(engine, "exchange") == "down" and rig.agent(engine, "Real"))
        assert rig.agent(engine, "Real").stale  # type: ignore[union-attr]
        async with PracticeExchange(PracticeOptions(accounts=1, positions=1, port=port)):
            await rig.until(lambda: engine.snapshot().positions, "positions", 40)
            await rig.until(lambda: rig.feed(engine, "exchange") == "live", "live", 40)


async def test_a_silent_stream_is_caught_polled_and_heals(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        client = trader(exchange, account)
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.sync.at, "first sync")
            await rig.until(lambda: rig.feed(engine, "marks") == "live")
            await fault(exchange, ws_silent=1)
            await client.place_order(market("BUY", "0.010", "s-1"))
            await rig.until(lambda: engine.snapshot().positions, "a snapshot shows it all the same")
            await rig.until(lambda: rig.feed(engine, "user:") == "stale", "the stream is caught")
            assert "did not tell of BTCUSDT, the balance" in rig.errors(engine)
            await rig.until(lambda: rig.feed(engine, "marks") == "stale", "so are the marks")
            mark = engine.snapshot().positions[0].mark_price
            await rig.until(lambda: engine.snapshot().positions[0].mark_price != mark, "marks are asked for")
            await client.place_order(market("SELL", "0.010", "s-2", reduce_only=True))
            await rig.until(lambda: not engine.snapshot().positions, "polling shows the close")
            await fault(exchange, ws_silent=0)
            await rig.until(lambda: rig.feed(engine, "marks") == "live", "the marks tell again")
            await client.place_order(market("BUY", "0.010", "s-3"))
            await rig.until(lambda: rig.feed(engine, "user:") == "live", "the stream tells again")
        await client.aclose()


async def test_a_margin_call_and_a_liquidation_are_alarms(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, volatility=Decimal(0))) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        client = trader(exchange, account)
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: rig.feed(engine, "user:") == "live")
            await client.place_order(market("BUY", "0.1", "m-1"))
            await rig.until(lambda: engine.snapshot().positions)
            user = account["user"].lower()
            await client.place_order(OrderRequest("XRPUSDT", "BUY", "MARKET", "m-2", quantity=Decimal(3)))
            await rig.until(lambda: len(engine.snapshot().positions) == 2)
            assert exchange.exchange.risk.deleverage(user, "XRPUSDT")
            said = "AUTO-DELEVERAGING: the exchange sold 3 of 3 XRPUSDT"
            await rig.until(lambda: said in rig.errors(engine))
            held = exchange.exchange.accounts[user].position("BTCUSDT")
            edge = exchange.exchange.margin.liquidation_price(exchange.exchange.accounts[user], held)
            exchange.exchange.set_price("BTCUSDT", edge + 10)
            await rig.until(lambda: "Real: MARGIN CALL: near liquidation" in rig.errors(engine))
            exchange.exchange.set_price("BTCUSDT", edge - 10)
            await rig.until(lambda: "Real: LIQUIDATION: the exchange sold 0.1 of 0.1" in rig.errors(engine))
            await rig.until(lambda: not engine.snapshot().positions)
            line = await rig.until(lambda: [o for o in engine.snapshot().orders if o.forced])
            assert {o.forced for o in line} == {"liquidation", "adl"}
        await client.aclose()


async def test_the_exchanges_clock_runs_ahead_and_is_set_back(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1)) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        user = account["user"].lower()

        def trade(side: str) -> None:
            asked = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": "0.001"}
            exchange.exchange.place(user, asked)

        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.sync.at, "first sync")
            for skew in (300_000, 0):
                await fault(exchange, clock_skew_ms=skew)
                shown = lambda skew=skew: abs(engine.snapshot().clock_offset_ms - skew) < 5_000  # noqa: E731
                await rig.until(shown, "the offset is measured and shown")
                trade("BUY")
                await rig.until(lambda: engine.snapshot().positions, "a trade is shown")
                trade("SELL")
                await rig.until(lambda: not engine.snapshot().positions, "and the next")
                before = engine.snapshot().agents[0].sync.at
                engine.submit(SyncAgents(()))
                await rig.until(
                    lambda b=before: engine.snapshot().agents[0].sync.at != b, "signed reads pass"
                )
                assert not engine.snapshot().agents[0].sync.error


async def test_a_ban_is_said_with_its_end_and_over_then(
    tmp_path: Path, mongo_uri: str, mongo_database: str
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1)) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        with rig.running(chosen) as engine:
            await rig.until(lambda: rig.feed(engine, "exchange") == "live")
            end = exchange.exchange.now() + 9_000
            told = {
                "code": -1003,
                "status": 418,
                "path": "GET /fapi/v3/time",
                "msg": f"Way too many requests; IP banned until {end}.",
            }
            url = f"{exchange.rest_url}/practice/refuse"
            async with aiohttp.ClientSession() as session, session.post(url, json=told) as answer:
                assert answer.status == 200
            await rig.until(lambda: engine.snapshot().banned, "the ban is known")
            seen = engine.snapshot()
            assert abs(seen.held_until - end) < 1_500
            clock = time.strftime("%H:%M:%S", time.localtime(seen.held_until / 1000))
            line = header(seen, seen.at, 140, defaultdict(str))
            assert f"BANNED until {clock}" in line.plain
            assert "banned by the exchange: nothing is sent until" in rig.errors(engine)
            assert "every request lengthens the ban" in rig.errors(engine)
            asked = exchange._api.requests["GET /fapi/v3/time"]
            await rig.until(lambda: not engine.snapshot().banned, "it is over", 30)
            assert exchange.exchange.now() >= end
            # Nothing was asked while it lasted; one question found out that it is over.
            assert exchange._api.requests["GET /fapi/v3/time"] == asked + 1
            await rig.until(lambda: rig.feed(engine, "exchange") == "live", "and all goes on")
            bans = [e for e in engine.snapshot().errors if "banned" in e.message]
            assert [e.count for e in bans] == [1]

"""Close-all and its drill as the console asks for them, through the engine."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.domain.closing import plan_close
from aster_tui.domain.commands import CloseAll, HoldDrill, Request, SetTrading
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from tests import rig
from tests.floor import Floor, ask, ready

D = Decimal


async def test_close_all_from_the_console_is_proved_by_the_exchange(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=2, positions=3, volatility=D(0))) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        floor = Floor(exchange, raw_database, chosen, {})
        floor.add("One", 0)
        floor.add("Two", 1)
        floor.add("Paper")
        # Went to paper and left positions: they are closed as well.
        raw_database.agents.update_one(
            {"name": "Two"}, {"$set": {"isPaperTrading": True, "asterKeepsPositions": True}}
        )
        with rig.running(chosen, floor.environment, attached=True) as engine:
            await ready(engine, "One")
            await rig.until(lambda: len(engine.snapshot().positions) == 6, "all six are seen")
            # Disarmed, and all the same: what only reduces needs no arming.
            view = await ask(engine, CloseAll(), source="console")
            assert (view.state, view.document["flat"]) == ("done", True), view
            assert [len(a["close_orders"]) for a in view.document["accounts"]] == [3, 3]
            state = await floor.state()
            assert not any(a["positions"] or a["open_orders"] for a in state["accounts"].values())
            assert view.document["halt_keys"] == ["fleet"]
            await rig.until(lambda: not engine.snapshot().untold, "the screen knows that it was told")
            incident = await asyncio.to_thread(Path(view.document["incident"]).read_text)
            assert "the fleet is halted on this machine; the database was" in incident
            await rig.until(lambda: not engine.snapshot().positions, "the screen shows it")
            await rig.until(lambda: raw_database.controls.find_one({"_id": "fleet", "state": "HALTED"}))
            await rig.until(lambda: raw_database.orders.count_documents({"purpose": "flatten"}) == 6)
            await rig.until(lambda: raw_database.audit.count_documents({}) == 2)


async def test_everything_is_also_what_only_the_environment_knows_and_no_key_is_asked_for_twice(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=2, positions=2, volatility=D(0))) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        floor = Floor(exchange, raw_database, chosen, {})
        floor.add("One", 0)
        one, two = floor.accounts
        command = tmp_path / "key"
        command.write_text(f"#!/bin/sh\necho >> {tmp_path}/asked\necho {one['signer_private_key']}\n")
        command.chmod(0o700)
        environment = {
            "AGENT_ONE_KEY_COMMAND": str(command),
            "AGENT_TWO_USER": two["user"],
            "AGENT_TWO_PRIVATE_KEY": two["signer_private_key"],
        }
        with rig.running(chosen, environment) as engine:
            await ready(engine, "One")
            await rig.until(lambda: len(engine.snapshot().positions) == 2, "its positions are seen")
            # And the panel says so before.
            await rig.until(lambda: engine.snapshot().known_here, "what is known here is told")
            planned = {a.account for a in plan_close(engine.snapshot()).accounts}
            assert planned == {one["user"], two["user"]}
            asked = (tmp_path / "asked").read_text()
            view = await ask(engine, CloseAll(), source="console")
            assert (view.state, view.document["flat"]) == ("done", True), view
            assert {a["account"] for a in view.document["accounts"]} == {one["user"], two["user"]}
            state = await floor.state()
            assert not any(a["positions"] for a in state["accounts"].values())
            assert (tmp_path / "asked").read_text() == asked


async def test_without_a_database_the_console_halts_and_closes_and_goes_on(tmp_path: Path) -> None:
    async with PracticeExchange(PracticeOptions(accounts=2, positions=2, volatility=D(0))) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, None)
        environment = {}
        for name, account in zip(("ONE", "TWO"), exchange.ready_document()["accounts"], strict=True):
            environment[f"AGENT_{name}_USER"] = account["user"]
            environment[f"AGENT_{name}_PRIVATE_KEY"] = account["signer_private_key"]
        with rig.running(chosen, environment, attached=True) as engine:
            await rig.until(lambda: len(engine.snapshot().positions) == 4, "all four are seen")
            view = await ask(engine, SetTrading("HALTED", "smoke"), source="console")
            assert view.state == "done"
            view = await ask(engine, CloseAll(), source="console")
            assert (view.state, view.document["flat"]) == ("done", True), view
            await rig.until(lambda: not engine.snapshot().positions, "the screen shows it")
            view = await ask(engine, SetTrading("ACTIVE", "looked at it"))
            assert view.state == "done"
            await rig.until(lambda: not engine.snapshot().halted, "it goes on")


async def test_read_only_closes_nothing_and_says_why(floor: Floor) -> None:
    floor.add("Real", 0)
    watching = floor.settings.model_copy(update={"read_only": True})
    with rig.running(watching, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, CloseAll(), source="console")
        assert (view.state, "read-only" in view.message) == ("refused", True)


async def test_leaving_while_all_is_closed_waits_for_the_end(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    options = PracticeOptions(accounts=1, positions=4, volatility=D(0), latency_ms=200)
    async with PracticeExchange(options) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        floor = Floor(exchange, raw_database, chosen, {})
        floor.add("One", 0)
        with rig.running(chosen, floor.environment) as engine:
            await ready(engine, "One")
            engine.submit(Request("last", CloseAll(), "console"))
            await rig.until(lambda: engine.emergency, "it runs")
            stopping = asyncio.create_task(asyncio.to_thread(engine.stop))
            await stopping
        state = await floor.state()
        assert not any(a["positions"] for a in state["accounts"].values())


async def test_a_drill_from_the_console_touches_nothing_real(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, HoldDrill("503-storm"), source="console")
        assert (view.state, view.document["drill"]["ok"]) == ("done", True), view
        assert "flat after" in view.message
        assert (await ask(engine, HoldDrill("meteor"))).state == "refused"
        assert await floor.requests("POST /fapi/v3/batchOrders") == 0
        assert not engine.snapshot().halted

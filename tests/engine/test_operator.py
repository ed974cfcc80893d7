"""What an operator asks for: carried out once, judged by the safeguards, written into the audit, answered."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.domain.closing import plan_close
from aster_tui.domain.commands import (
    Asked,
    CancelOrders,
    CloseAll,
    HoldDrill,
    ModifyOrder,
    PlaceOrder,
    Preflight,
    Presence,
    ReducePosition,
    Request,
    SetLeverage,
    SetLock,
    SetMode,
    SetTrading,
    SyncAgents,
)
from aster_tui.domain.events import Control
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.ticket import Ticket
from aster_tui.domain.views import RequestView
from aster_tui.engine.core import now_ms
from aster_tui.engine.halt_file import HaltFile
from aster_tui.engine.thread import EngineThread
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.audit import chains
from aster_tui.store.journal import Journal
from tests import rig
from tests.engine.desk import Held
from tests.floor import Floor, ready

D = Decimal


async def ask(engine: EngineThread, asked: Asked, source: str = "command") -> RequestView:
    request = Request(secrets.token_hex(6), asked, source)
    engine.submit(request)

    def ended() -> RequestView | None:
        found = (r for r in engine.snapshot().requests if r.request_id == request.request_id)
        return next((r for r in found if r.state != "running"), None)

    view: RequestView = await rig.until(ended, f"{asked} is answered", 40)
    return view


def market(side: Any = "BUY", quantity: str = "0.001", **more: Any) -> Ticket:
    return Ticket("BTCUSDT", side, "market", quantity=D(quantity), **more)


async def test_an_order_is_placed_once_and_everything_knows_of_it(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        request = Request("one", PlaceOrder(floor.agents["Real"], market()), "command")
        engine.submit(request)
        engine.submit(request)  # a key that bounced
        view = await rig.until(
            lambda: next((r for r in engine.snapshot().requests if r.state != "running"), None)
        )
        assert (view.state, view.document["ok"]) == ("done", True), view
        assert view.words.startswith("aster-tui order --agent Real --symbol BTCUSDT --side buy --type market")
        assert view.document["received"]["status"] == "FILLED"
        assert floor.amount(0, "BTCUSDT") == D("0.001")
        assert (await floor.state())["executed_orders"] == 1
        stored = await rig.until(lambda: floor.database.orders.find_one({"purpose": "operator"}))
        assert stored["clientOrderId"] == view.document["received"]["client_order_id"]
        # Asked for, and answered: in the file, in its chain, and in the database.
        await rig.until(lambda: floor.database.audit.count_documents({}) == 2, "the database knows")
    ((_, lines, wrong),) = chains(floor.settings.state_folder)
    assert ([line.phase for line in lines], wrong) == (["asked", "answered"], "")
    assert {line.hash for line in lines} == {d["hash"] for d in floor.database.audit.find()}
    assert lines[1].outcome == "done"


async def test_what_a_person_and_an_agent_open_at_once_on_an_account_is_judged_together(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.add("One", 0)
    floor.add("Two", 0)
    # A balance of 1000 carries 200 in all: each alone may have its 150, both together not.
    settings = floor.settings.model_copy(update={"max_exposure_percent": D(4), "max_leverage": 5})
    held = Held(monkeypatch, floor.accounts[0]["user"])
    with rig.running(settings, floor.environment, working=True) as engine:
        await ready(engine, "One", "Two")
        ticket = Ticket("ETHUSDT", "BUY", "market", quantity=D("0.04"))
        person = asyncio.create_task(ask(engine, PlaceOrder(floor.agents["One"], ticket)))
        await rig.until(held.there.is_set, "the person's is on its way")
        arguments = {"coin": "ETH", "signal": "long", "size_usd": 150.0, "leverage": 5}
        document = {"agentId": floor.agents["Two"], "agentName": "Two", "decision": arguments}
        document["timestamp"] = now_ms()
        key = floor.database.decisions.insert_one(document).inserted_id
        await rig.until(lambda: "claim" in floor.database.decisions.find_one({"_id": key}), "it waits")
        held.go.set()
        assert (await person).state == "done"

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = floor.database.decisions.find_one({"_id": key})
            return found if "finishedAt" in found else None

        refused = await rig.until(ended)
        assert [r.split(":")[0] for r in refused["reasons"]] == ["exposure"], refused
        assert floor.amount(0, "ETHUSDT") == D("0.04")


async def test_a_test_order_reaches_the_test_path_and_nothing_else(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, PlaceOrder(floor.agents["Real"], market(), test=True))
        assert (view.state, view.document["test"]) == ("done", True), view
        assert await floor.requests("POST /fapi/v3/order/test") == 1
        assert await floor.requests("POST /fapi/v3/order") == 0
        assert floor.database.orders.count_documents({}) == 0


@pytest.mark.parametrize(
    ("ticket", "words"),
    [
        (market(quantity="0.01"), "order size"),
        (market(quantity="0.0013"), "steps of 0.001; nearest is 0.001"),
        (Ticket("NOPEUSDT", "BUY", "market", quantity=D(1)), "not traded here"),
        (Ticket("BTCUSDT", "BUY", "limit", quantity=D("0.001"), price=D("90000")), "price collar"),
        (Ticket("BTCUSDT", "SELL", "stop-market", quantity=D("0.001"), stop_price=D("200000")), "trigger at"),
        (Ticket("BTCUSDT", "BUY", "market", quantity=D("NaN")), "not a number"),
    ],
)
async def test_what_filters_or_safeguards_refuse_never_leaves(
    floor: Floor, ticket: Ticket, words: str
) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, PlaceOrder(floor.agents["Real"], ticket))
        assert view.state == "refused", view
        assert words in view.message
        assert await floor.requests("POST /fapi/v3/order") == 0
        assert floor.database.orders.count_documents({}) == 0


async def test_the_consoles_own_lock_and_arming_are_kept_by_the_engine(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        view = await ask(engine, PlaceOrder(key, market()), source="console")
        assert view.state == "refused"
        assert "not armed" in view.message
        engine.submit(Presence(armed=True))
        assert (await ask(engine, PlaceOrder(key, market()), source="console")).state == "done"
        assert (await ask(engine, SetLock(True), source="console")).state == "done"
        assert engine.snapshot().locked
        for asked in (PlaceOrder(key, market()), SyncAgents((key,)), SetTrading("HALTED", "x")):
            view = await ask(engine, asked, source="console")
            assert (view.state, "locked" in view.message) == ("refused", True)
        assert (await ask(engine, SetLock(False), source="console")).state == "done"
        assert (await ask(engine, PlaceOrder(key, market("SELL", reduce_only=True)))).state == "done"
        assert floor.amount(0, "BTCUSDT") == 0


async def test_read_only_answers_with_a_refusal_and_writes_nothing(floor: Floor) -> None:
    floor.add("Real", 0)
    watching = floor.settings.model_copy(update={"read_only": True})
    with rig.running(watching, floor.environment) as engine:
        await ready(engine, "Real")
        for asked in (
            PlaceOrder(floor.agents["Real"], market()),
            SetMode((floor.agents["Real"],), paper=True),
            SetTrading("HALTED", "x"),
            SetLock(False),
        ):
            view = await ask(engine, asked)
            assert (view.state, "read-only" in view.message) == ("refused", True)
    assert floor.database.audit.count_documents({}) == 0
    assert not (floor.settings.state_folder / "audit").exists()
    assert await floor.requests("POST /fapi/v3/order") == 0


async def test_limit_orders_are_changed_and_cancelled(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        mark = engine.snapshot().marks["BTCUSDT"]
        price = (mark * D("0.99")).quantize(D(1))
        placed = await ask(
            engine, PlaceOrder(key, Ticket("BTCUSDT", "BUY", "limit", quantity=D("0.001"), price=price))
        )
        assert placed.state == "done", placed
        name = placed.document["received"]["client_order_id"]
        changed = await ask(engine, ModifyOrder(key, "BTCUSDT", name, D("0.001"), price - 10))
        assert changed.state == "done", changed
        assert [o.price for o in floor.open_orders(0)] == [price - 10]
        # No safeguard is passed by changing what was small.
        larger = await ask(engine, ModifyOrder(key, "BTCUSDT", name, D("0.01"), price - 10))
        assert (larger.state, "order size" in larger.message) == ("refused", True)
        cancelled = await ask(engine, CancelOrders(key, order=name))
        assert cancelled.state == "done", cancelled
        assert floor.open_orders(0) == []
        assert (await ask(engine, CancelOrders(key, order=name))).state == "failed"


async def test_positions_are_halved_reversed_and_closed(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        ticket = Ticket("ETHUSDT", "BUY", "market", quantity=D("0.04"))
        assert (await ask(engine, PlaceOrder(key, ticket))).state == "done"
        await rig.until(lambda: engine.snapshot().positions)
        assert (await ask(engine, ReducePosition(key, "ETHUSDT", D("0.5")))).state == "done"
        assert floor.amount(0, "ETHUSDT") == D("0.02")
        small = await ask(engine, ReducePosition(key, "ETHUSDT", D("0.01")))
        assert (small.state, small.message) == (
            "refused",
            "Real: 1 % of 0.02 ETHUSDT is less than the smallest order: close all of it instead",
        )
        await rig.until(lambda: engine.snapshot().positions[0].quantity == D("0.02"))
        view = await ask(engine, ReducePosition(key, "ETHUSDT", reverse=True))
        assert view.state == "done", view
        assert floor.amount(0, "ETHUSDT") == D("-0.02")
        await rig.until(lambda: engine.snapshot().positions[0].side == "short")
        assert (await ask(engine, ReducePosition(key, "ETHUSDT"))).state == "done"
        assert floor.amount(0, "ETHUSDT") == 0
        gone = await ask(engine, ReducePosition(key, "ETHUSDT"))
        assert (gone.state, "nothing" in gone.message) == ("refused", True)


async def test_a_leverage_above_the_cap_is_a_reason(floor: Floor) -> None:
    floor.add("Real", 0)
    floor.exchange.exchange.accounts[floor.accounts[0]["user"].lower()].leverages["BTCUSDT"] = 20
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, PlaceOrder(floor.agents["Real"], market()))
        assert (view.state, "leverage 20 is above the cap of 10" in view.message) == ("refused", True)


async def test_leverage_is_capped_and_set(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        assert (await ask(engine, SetLeverage(key, "BTCUSDT", 50))).state == "refused"
        assert (await ask(engine, SetLeverage(key, "BTCUSDT", 7))).state == "done"
        user = floor.accounts[0]["user"].lower()
        assert floor.exchange.exchange.accounts[user].leverage("BTCUSDT") == 7


async def test_to_real_only_through_the_whole_preflight(floor: Floor) -> None:
    account = floor.accounts[0]
    addresses = {"asterUserAddress": account["user"], "asterSignerAddress": account["signer"]}
    floor.add("Good", **addresses)
    floor.add("Keyless", asterUserAddress=floor.accounts[1]["user"])
    floor.environment |= rig.keys(Good=account)
    with rig.running(floor.settings, floor.environment) as engine:
        await rig.until(lambda: rig.agent(engine, "Keyless") and engine.snapshot().rules)
        checked = await ask(engine, Preflight((floor.agents["Good"],)))
        assert checked.state == "done", checked
        names = {c["name"] for c in checked.document["checks"]}
        assert {"exchange", "clock", "database", "safeguards", "key", "account", "test order"} <= names
        assert await floor.requests("POST /fapi/v3/order") == 0
        view = await ask(engine, SetMode((floor.agents["Good"], floor.agents["Keyless"]), paper=False))
        assert view.state == "refused"
        rows = {row["name"]: row for row in view.document["agents"]}
        assert (rows["Good"]["mode"], rows["Keyless"]["mode"]) == ("real", "paper")
        assert "has no key" in rows["Keyless"]["why"]
        assert floor.database.agents.find_one({"name": "Good"})["isPaperTrading"] is False
        assert floor.database.agents.find_one({"name": "Keyless"}).get("isPaperTrading") is not False
        await ready(engine, "Good")


@pytest.mark.parametrize("close", [False, True])
async def test_to_paper_keeps_and_watches_or_closes(floor: Floor, close: bool) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        assert (await ask(engine, PlaceOrder(key, market()))).state == "done"
        await rig.until(lambda: engine.snapshot().positions)
        view = await ask(engine, SetMode((key,), paper=True, close_positions=close))
        assert view.state == "done", view
        assert floor.database.agents.find_one({"name": "Real"})["isPaperTrading"] is True
        await rig.until(lambda: rig.agent(engine, "Real").mode == "paper")  # type: ignore[union-attr]
        if close:
            assert floor.amount(0, "BTCUSDT") == 0
            await rig.until(lambda: not engine.snapshot().positions)
            return
        assert floor.amount(0, "BTCUSDT") == D("0.001")
        assert rig.agent(engine, "Real").watched  # type: ignore[union-attr]
        assert [p.symbol for p in engine.snapshot().positions] == ["BTCUSDT"]
        # What was kept can still be closed, and nothing can be opened.
        assert (await ask(engine, PlaceOrder(key, market()))).state == "refused"
        assert (await ask(engine, ReducePosition(key, "BTCUSDT"))).state == "done"
        assert floor.amount(0, "BTCUSDT") == 0


async def test_a_halt_holds_at_once_and_only_a_reason_ends_it(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        assert (await ask(engine, SetTrading("HALTED", "drill"))).state == "done"
        view = await ask(engine, PlaceOrder(key, market()))
        assert (view.state, "HALTED: drill" in view.message) == ("refused", True)
        await rig.until(lambda: floor.database.controls.find_one({"_id": "fleet", "state": "HALTED"}))
        assert engine.snapshot().halted
        assert (await ask(engine, SetTrading("ACTIVE"))).state == "refused"
        assert (await ask(engine, SetTrading("ACTIVE", "all is well"))).state == "done"
        await rig.until(lambda: floor.database.controls.find_one({"_id": "fleet", "state": "ACTIVE"}))
        await rig.until(lambda: not engine.snapshot().halted)
        history = floor.database.controls.find_one({"_id": "fleet"})["history"]
        assert [(h["state"], h["reason"]) for h in history] == [
            ("HALTED", "drill"),
            ("ACTIVE", "all is well"),
        ]
        assert (await ask(engine, PlaceOrder(key, market()))).state == "done"


async def test_a_halt_that_comes_while_an_order_is_on_its_way_stops_it(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.add("Real", 0)
    intend = Journal.intend

    async def halted_meanwhile(self: Journal, record: OrderRecord) -> None:
        HaltFile(floor.settings.state_folder).set(["fleet"], Control("HALTED", "now", "somebody", now_ms()))
        await intend(self, record)

    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        assert (await ask(engine, PlaceOrder(key, market()))).state == "done"
        held = floor.amount(0, "BTCUSDT")
        monkeypatch.setattr(Journal, "intend", halted_meanwhile)
        view = await ask(engine, PlaceOrder(key, Ticket("ETHUSDT", "BUY", "market", quantity=D("0.02"))))
        assert (view.state, "halted: the fleet is HALTED: now" in view.message) == ("refused", True), view
        assert floor.amount(0, "ETHUSDT") == 0
        # What only reduces goes on.
        view = await ask(engine, ReducePosition(key, "BTCUSDT"))
        assert (view.state, bool(held), floor.amount(0, "BTCUSDT")) == ("done", True, 0), view


async def test_a_sync_tells_what_differed(floor: Floor) -> None:
    floor.add("Real", 0)
    floor.add("Paper")
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, SyncAgents((floor.agents["Real"],)))
        assert (view.state, view.document["agents"][0]["ok"]) == ("done", True), view
        assert (await ask(engine, SyncAgents((floor.agents["Paper"],)))).state == "refused"


async def test_an_order_whose_answer_is_lost_is_found_out(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        await floor.fault("lost-reply", 1)
        engine.submit(Request("lost", PlaceOrder(floor.agents["Real"], market()), "command"))
        await rig.until(lambda: floor.amount(0, "BTCUSDT"), "it was executed")
        await floor.fault("lost-reply", 0)
        view = await rig.until(
            lambda: next((r for r in engine.snapshot().requests if r.state != "running"), None), "", 40
        )
        assert (view.state, view.document["received"]["status"]) == ("done", "FILLED"), view
        assert (await floor.state())["executed_orders"] == 1


async def test_consoles_see_each_other(floor: Floor) -> None:
    floor.add("Real", 0)
    second = floor.settings.model_copy(update={"state_dir": floor.settings.state_folder.parent / "second"})
    with (
        rig.running(floor.settings, floor.environment, attached=True) as one,
        rig.running(second, floor.environment, attached=True) as two,
    ):
        await rig.until(lambda: len(one.snapshot().consoles) == 2, "both are seen")
        two.submit(Presence(armed=True))
        await rig.until(lambda: [c.armed for c in one.snapshot().consoles if not c.mine] == [True])
        await ask(two, SetTrading("HALTED", "seen elsewhere"))
        await rig.until(lambda: any("halt the fleet" in line.title for line in one.snapshot().audit))
        await rig.until(lambda: one.snapshot().halted)


def test_a_chain_that_was_tampered_with_is_found(tmp_path: Path) -> None:
    from aster_tui.domain.audit import AuditLine
    from aster_tui.store.audit import AuditFile

    line = AuditLine(0, 1, "op", "box", "console", "r", "asked", "buy everything")
    first, second = AuditFile(tmp_path, "box"), AuditFile(tmp_path, "box")
    for number in range(3):
        first.append(line)
        second.append(line)  # a process beside it writes a chain of its own
        assert number >= 0
    first.close()
    third = AuditFile(tmp_path, "box")
    assert third.append(line).seq == 4  # goes on with the one that is free
    assert [(len(lines), wrong) for _, lines, wrong in chains(tmp_path)] == [(4, ""), (3, "")]
    path = tmp_path / "audit" / "audit-1.jsonl"
    rows = path.read_text().splitlines()
    for broken, words in (
        ([rows[0], rows[1].replace("everything", "nothing"), *rows[2:]], "line 2: its content was changed"),
        ([rows[0], *rows[2:]], "line 2: it does not follow"),
        ([rows[0], rows[1], "garbage"], "line 3 is no line"),
    ):
        path.write_text("\n".join(broken) + "\n")
        assert words in next(iter(chains(tmp_path)))[2]
    assert json.loads(rows[0])["previous"] == "0" * 64


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


async def test_what_a_dead_process_left_is_found_out_before_anything_new_is_sent(floor: Floor) -> None:
    floor.add("Real", 0)
    left = OrderRecord(
        client_order_id="left-behind",
        account=floor.accounts[0]["user"],
        agent_id=floor.agents["Real"],
        agent="Real",
        purpose="operator",
        symbol="BTCUSDT",
        side="BUY",
        order_type="MARKET",
        nonce=time.time_ns() // 1000,
        intent_at=time.time_ns() // 1_000_000,
        quantity=D("0.001"),
    )
    dead = Journal(floor.settings.state_folder)
    await dead.open()
    await dead.intend(left)
    await dead.close()
    quick = floor.settings.model_copy(update={"nonce_window_s": 2})
    with rig.running(quick, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, PlaceOrder(floor.agents["Real"], market()))
        assert view.state == "done", view
        assert "is never-placed: BUY BTCUSDT left-behind" in rig.errors(engine)
        assert (await floor.state())["executed_orders"] == 1
    looking = Journal(floor.settings.state_folder)
    await looking.open()
    record = await looking.order("left-behind")
    await looking.close()
    assert record is not None
    assert record.state == "never-placed"


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

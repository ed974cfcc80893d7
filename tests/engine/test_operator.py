"""An operator's orders: carried out once, judged by the safeguards, written into the audit, answered."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest

from aster_tui.domain.commands import (
    CancelOrders,
    ModifyOrder,
    PlaceOrder,
    Presence,
    ReducePosition,
    Request,
    SetLeverage,
    SetLock,
    SetMode,
    SetTrading,
    SyncAgents,
)
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.ticket import Ticket
from aster_tui.engine.core import now_ms
from aster_tui.store.audit import chains
from aster_tui.store.journal import Journal
from tests import rig
from tests.engine.desk import Held
from tests.floor import Floor, ask, market, ready

D = Decimal


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

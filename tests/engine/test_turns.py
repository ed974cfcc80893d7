"""One order that adds risk at a time on an account, whichever process sends it: what each of them may have
alone never leaves together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from aster_tui.config import Settings
from aster_tui.domain.commands import ModifyOrder, PlaceOrder, ReducePosition
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.ticket import Ticket
from aster_tui.engine.core import now_ms
from aster_tui.engine.feeds.account import AccountFeed
from aster_tui.engine.thread import EngineThread
from aster_tui.engine.trade import turns
from aster_tui.engine.trade.desk import Forbidden
from aster_tui.engine.trade.leases import TTL_MS, HeldLease, seconds
from aster_tui.engine.trade.situations import UNDER_WAY_MS
from aster_tui.practice.errors import VenueError
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.journal import Journal
from aster_tui.store.mongod import LocalMongod
from aster_tui.store.trading import Lease, key_of_account
from tests import rig
from tests.floor import Floor, ask, ready

D = Decimal
#: A balance of 1000 carries 200 in all: each alone may have its 150, two together not.
TIGHT = {
    "max_exposure_percent": D(4),
    "max_leverage": 5,
    "orders_per_minute": 0,
    "duplicate_seconds": 0,
    "sync_seconds": 3600,
}
ETH = Ticket("ETHUSDT", "BUY", "market", quantity=D("0.04"))


def elsewhere(settings: Settings) -> Settings:
    """The same on another machine."""
    return settings.model_copy(update={"state_dir": settings.state_folder.parent / "elsewhere"})


@contextmanager
def two(floor: Floor, first: Settings, second: Settings) -> Iterator[tuple[EngineThread, EngineThread]]:
    """Two engines, each with its journal and its leases as a process of its own has them."""
    with ExitStack() as stack:
        one, other = (stack.enter_context(rig.running(s, floor.environment)) for s in (first, second))
        yield one, other


@pytest.fixture
def shared(floor: Floor) -> Floor:
    """Agents One and Two have one account."""
    floor.settings = floor.settings.model_copy(update=TIGHT)
    floor.add("One", 0)
    floor.add("Two", 0)
    return floor


def account(floor: Floor) -> str:
    return floor.accounts[0]["user"]


class Halfway:
    """Holds the first order of an engine (of a purpose) after it was judged, before it may leave.

    Args:
        still: have the whole engine stand still meanwhile, as a process does that was stopped.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, engine: EngineThread, purpose: str, *, still: bool
    ) -> None:
        self.there, self.go = threading.Event(), threading.Event()
        really, its = Journal.intend, engine._body.room.journal  # type: ignore[union-attr]

        async def intend(journal: Journal, record: OrderRecord) -> None:
            if journal is its and record.purpose == purpose and not self.there.is_set():
                self.there.set()
                if still:
                    self.go.wait(2 * rig.PATIENCE)
                else:
                    await asyncio.to_thread(self.go.wait, 2 * rig.PATIENCE)
            await really(journal, record)

        monkeypatch.setattr(Journal, "intend", intend)


async def one_of_two(floor: Floor, engines: tuple[EngineThread, EngineThread], rounds: int) -> None:
    """Both buy at once, again and again: one goes, and the other is refused for what both come to."""
    asked = [PlaceOrder(floor.agents[name], ETH) for name in ("One", "Two")]
    for number in range(rounds):
        views = await asyncio.gather(*(ask(e, a) for e, a in zip(engines, asked, strict=True)))
        ends = [(v.state, v.message) for v in views]
        assert sorted(v.state for v in views) == ["done", "refused"], (number, ends)
        (refused,) = [v for v in views if v.state == "refused"]
        assert refused.message.startswith("exposure: "), refused.message
        assert floor.amount(0, "ETHUSDT") == D("0.04")
        winner = next(i for i, v in enumerate(views) if v.state == "done")
        closed = await ask(engines[winner], ReducePosition(asked[winner].agent_id, "ETHUSDT"))
        assert (closed.state, floor.amount(0, "ETHUSDT")) == ("done", 0), closed
        for engine in engines:
            await rig.until(lambda e=engine: not e.snapshot().positions, "both see it")  # type: ignore[misc]


async def test_what_two_machines_open_at_once_on_an_account_is_judged_together(shared: Floor) -> None:
    with two(shared, shared.settings, elsewhere(shared.settings)) as engines:
        for engine in engines:
            await ready(engine, "One", "Two")
        await one_of_two(shared, engines, 8)
        # What only one of them opens is none of the other's business.
        key = key_of_account(account(shared))
        lease = await rig.until(lambda: shared.database.leases.find_one({"_id": key, "owner": None}), "free")
        assert lease["epoch"] >= 16


async def test_who_was_stopped_with_the_turn_holds_up_nobody_for_long_and_opens_nothing_more(
    shared: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two(shared, shared.settings, elsewhere(shared.settings)) as (one, other):
        await ready(one, "One", "Two")
        await ready(other, "One", "Two")
        halfway = Halfway(monkeypatch, one, "operator", still=True)
        late = asyncio.create_task(ask(one, PlaceOrder(shared.agents["One"], ETH)))
        await rig.until(halfway.there.is_set, "it was judged")
        view = await ask(other, PlaceOrder(shared.agents["Two"], ETH))
        assert view.state == "done", view
        halfway.go.set()
        refused = await late
        assert refused.state != "done", refused
        assert turns.LOST in refused.message
        assert (await shared.state())["executed_orders"] == 1
        # It finds out what happened meanwhile before it judges anew.
        again = await ask(one, PlaceOrder(shared.agents["One"], ETH))
        assert again.message.startswith("exposure: "), again.message


async def test_without_its_turn_an_entry_does_not_leave_and_what_protects_does(
    shared: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, really = threading.Event(), HeldLease.renew

    async def renew(held: HeldLease, store: Any) -> bool:
        still = await really(held, store)
        if not still and held.lease.key.startswith("account:"):
            lost.set()
        return still

    monkeypatch.setattr(HeldLease, "renew", renew)

    def decide(coin: str) -> Any:
        prices = {"stop_loss": 95000.0, "profit_target": 99000.0} if coin == "BTC" else {}
        arguments = {"coin": coin, "signal": "long", "size_usd": 120.0, "leverage": 5, **prices}
        document = {"agentId": shared.agents["One"], "agentName": "One", "timestamp": now_ms()}
        return shared.database.decisions.insert_one({**document, "decision": arguments}).inserted_id

    async def taken_away(halfway: Halfway) -> None:
        await rig.until(halfway.there.is_set, "halfway")
        key = {"_id": key_of_account(account(shared))}
        ends = {"owner": "another", "expiresAt": {"$add": ["$$NOW", 60_000]}}
        shared.database.leases.update_one(key, [{"$set": {**ends, "epoch": {"$add": ["$epoch", 1]}}}])
        await rig.until(lost.is_set, "it is known here")
        shared.database.leases.update_one(key, {"$set": {"owner": None, "expiresAt": None}})
        lost.clear()
        halfway.go.set()

    async def ended(key: Any) -> dict[str, Any]:
        found: dict[str, Any] = await rig.until(
            lambda: shared.database.decisions.find_one({"_id": key, "finishedAt": {"$exists": True}}), "ends"
        )
        return found

    with rig.running(shared.settings, shared.environment, working=True) as engine:
        await ready(engine, "One", "Two")
        halfway = Halfway(monkeypatch, engine, "entry", still=False)
        key = decide("ETH")
        await taken_away(halfway)
        failed = await ended(key)
        assert (failed["state"], failed["reasons"]) == ("failed", [f"unsent: {turns.LOST}"])
        # That is no failure of the agent.
        assert rig.agent(engine, "One").mode == "real"  # type: ignore[union-attr]
        assert (await shared.state())["executed_orders"] == 0
        halfway = Halfway(monkeypatch, engine, "stop", still=False)
        key = decide("BTC")
        await taken_away(halfway)
        done = await ended(key)
        assert done["state"] == "done", done
        assert {o.original for o in shared.open_orders(0)} == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_what_another_process_opened_is_read_and_ones_own_is_known(
    shared: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AccountFeed, "_told", lambda feed, event: None)  # the streams tell nothing
    monkeypatch.setattr("aster_tui.engine.feeds.account.COMPARE_SECONDS", 3600)
    path = "GET /fapi/v3/openOrders"
    seldom = shared.settings.model_copy(update={"sync_seconds": 3600})  # nothing else reads
    with two(shared, seldom, seldom) as (one, other):
        await ready(one, "One", "Two")
        await ready(other, "One", "Two")
        small = PlaceOrder(shared.agents["One"], Ticket("ETHUSDT", "BUY", "market", quantity=D("0.02")))
        assert (await ask(one, small)).state == "done"
        reads = await shared.requests(path)
        assert (await ask(one, small)).state == "done"
        assert await shared.requests(path) == reads
        view = await ask(other, PlaceOrder(shared.agents["Two"], ETH))
        assert view.message.startswith("exposure: "), view.message
        assert await shared.requests(path) == reads + 1
        view = await ask(one, PlaceOrder(shared.agents["One"], ETH))
        assert view.message.startswith("exposure: "), view.message
        assert await shared.requests(path) == reads + 2
        # What cannot be read is not judged by what was known before.
        shared.exchange._faults.refuse(VenueError(-1102, "not now"), path, 1)
        tiny = PlaceOrder(shared.agents["Two"], Ticket("ETHUSDT", "BUY", "market", quantity=D("0.01")))
        view = await ask(other, tiny)
        assert view.state == "refused", view
        assert "another process may have traded on its account, which cannot be read: " in view.message
        assert (await shared.state())["executed_orders"] == 2
        assert (await ask(other, tiny)).state == "done"


async def test_what_only_reduces_waits_for_no_turn(shared: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.5)
    one = shared.agents["One"]
    with rig.running(shared.settings, shared.environment) as engine:
        await ready(engine, "One", "Two")
        mark = engine.snapshot().marks["ETHUSDT"]
        assert (await ask(engine, PlaceOrder(one, ETH))).state == "done"
        above, below = ((mark * part).quantize(D("0.1")) for part in (D("1.01"), D("0.99")))
        sell = Ticket("ETHUSDT", "SELL", "limit", quantity=D("0.02"), price=above, reduce_only=True)
        buy = Ticket("ETHUSDT", "BUY", "limit", quantity=D("0.01"), price=below)
        names = []
        for ticket in (sell, buy):
            view = await ask(engine, PlaceOrder(one, ticket))
            assert view.state == "done", view
            names.append(view.document["received"]["client_order_id"])
        key = {"_id": key_of_account(account(shared))}
        await rig.until(lambda: shared.database.leases.find_one({**key, "owner": None}), "given back")
        ends = {"$add": ["$$NOW", 600_000]}
        shared.database.leases.update_one(key, [{"$set": {"owner": "another", "expiresAt": ends}}])
        less, more = ModifyOrder(one, "ETHUSDT", names[0], D("0.03"), above), D("0.02")
        assert (await ask(engine, less)).state == "done"
        view = await ask(engine, ModifyOrder(one, "ETHUSDT", names[1], more, below))
        assert (view.state, "is still under way" in view.message) == ("refused", True), view
        view = await ask(engine, PlaceOrder(one, Ticket("ETHUSDT", "BUY", "market", quantity=D("0.01"))))
        assert (view.state, "is still under way" in view.message) == ("refused", True), view
        view = await ask(engine, ReducePosition(one, "ETHUSDT", reverse=True))
        assert (view.state, "the other side was not opened" in view.message) == ("failed", True), view
        assert shared.amount(0, "ETHUSDT") == 0
        assert {o.quantity for o in shared.open_orders(0) if not o.reduce_only} == {D("0.01")}


def test_a_lease_is_over_when_the_machine_slept_past_it(monkeypatch: pytest.MonkeyPatch) -> None:
    really, slept = time.clock_gettime, 0.0

    def told(clock: int) -> float:
        return really(clock) + (slept if clock == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", told)
    held = HeldLease(Lease("account:0x1", "one", 1), seconds(), without_database=True)
    held.permit()
    slept = TTL_MS / 1000
    with pytest.raises(Forbidden):
        held.permit()


async def test_a_close_does_not_wait_for_a_ticket_that_waits_for_its_turn(
    shared: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 2 * rig.PATIENCE)
    one = shared.agents["One"]
    with rig.running(shared.settings, shared.environment) as engine:
        await ready(engine, "One", "Two")
        assert (await ask(engine, PlaceOrder(one, ETH))).state == "done"
        key = {"_id": key_of_account(account(shared))}
        await rig.until(lambda: shared.database.leases.find_one({**key, "owner": None}), "given back")
        ends = {"$add": ["$$NOW", 600_000]}
        shared.database.leases.update_one(key, [{"$set": {"owner": "another", "expiresAt": ends}}])
        tiny = PlaceOrder(one, Ticket("ETHUSDT", "BUY", "market", quantity=D("0.01")))
        waiting = asyncio.create_task(ask(engine, tiny))
        await rig.until(lambda: any(r.state == "running" for r in engine.snapshot().requests), "it waits")
        done = await ask(engine, ReducePosition(one, "ETHUSDT", D("0.5")))
        assert (done.state, shared.amount(0, "ETHUSDT"), waiting.done()) == ("done", D("0.02"), False)
        turned = asyncio.create_task(ask(engine, ReducePosition(one, "ETHUSDT", reverse=True)))
        await rig.until(lambda: shared.amount(0, "ETHUSDT") == 0, "closed, and waiting to open")
        sell = Ticket("ETHUSDT", "SELL", "market", quantity=D("0.02"), reduce_only=True)
        refused = await ask(engine, PlaceOrder(one, sell))
        assert refused.state in ("refused", "failed"), refused  # there is nothing to reduce, which is told
        assert not turned.done()
        shared.database.leases.update_one(key, {"$set": {"owner": None, "expiresAt": None}})
        assert [(await task).state for task in (waiting, turned)] == ["done", "done"]


async def test_what_a_stopped_process_left_under_way_counts_as_long_as_it_may_come(shared: Floor) -> None:
    place = PlaceOrder(shared.agents["One"], ETH)
    stopped = Journal(shared.settings.state_folder)
    await stopped.open()

    async def leave(name: str, at: int) -> None:
        await stopped.intend(
            OrderRecord(
                client_order_id=name,
                account=account(shared),
                agent_id=shared.agents["Two"],
                agent="Two",
                purpose="entry",
                symbol="ETHUSDT",
                side="BUY",
                order_type="MARKET",
                nonce=at * 1000,
                intent_at=at,
                quantity=D("0.04"),
            )
        )

    try:
        with rig.running(shared.settings, shared.environment) as engine:
            await ready(engine, "One", "Two")
            await leave("long ago", now_ms() - UNDER_WAY_MS)
            assert (await ask(engine, place)).state == "done"
            assert (await ask(engine, ReducePosition(shared.agents["One"], "ETHUSDT"))).state == "done"
            await leave("just now", now_ms())
            view = await ask(engine, place)
            assert view.message.startswith("exposure: "), view.message
    finally:
        await stopped.close()


async def test_while_the_database_is_away_the_processes_of_a_machine_follow_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mongod = LocalMongod(tmp_path / "m")
    await asyncio.to_thread(mongod.start)
    try:
        async with PracticeExchange(PracticeOptions(accounts=1, volatility=D(0))) as exchange:
            uri = mongod.uri + "&serverSelectionTimeoutMS=500"
            chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, uri, "x", **TIGHT)
            with MongoClient[dict[str, Any]](mongod.uri) as client:
                floor = Floor(exchange, client.x, chosen, {})
                floor.add("One", 0)
                floor.add("Two", 0)
                await away(floor, mongod, monkeypatch)
    finally:
        await asyncio.to_thread(mongod.stop)


async def away(floor: Floor, mongod: LocalMongod, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = floor.settings
    careful = elsewhere(chosen).model_copy(update={"trade_without_database": False})
    with two(floor, chosen, chosen) as (one, other), rig.running(careful, floor.environment) as third:
        for engine in (one, other, third):
            await ready(engine, "One", "Two")
        await asyncio.to_thread(mongod.kill)
        await one_of_two(floor, (one, other), 4)
        before = (await floor.state())["executed_orders"]
        halfway = Halfway(monkeypatch, one, "operator", still=True)
        late = asyncio.create_task(ask(one, PlaceOrder(floor.agents["One"], ETH)))
        await rig.until(halfway.there.is_set, "it was judged")
        view = await ask(other, PlaceOrder(floor.agents["Two"], ETH))
        assert view.state == "done", view
        halfway.go.set()
        assert turns.LOST in (await late).message
        assert (await floor.state())["executed_orders"] == before + 1
        # By setting nothing is opened that another machine may not know of.
        monkeypatch.setattr(turns, "WAIT_SECONDS", 4.0)
        view = await ask(third, PlaceOrder(floor.agents["One"], ETH))
        assert (view.state, "the database cannot be reached" in view.message) == ("refused", True), view
        await asyncio.to_thread(mongod.start)
        view = await ask(other, ReducePosition(floor.agents["Two"], "ETHUSDT"))
        assert view.state == "done", view
        for engine in (one, other):
            await rig.until(lambda: mongo_is_back(floor), "the database is back")
            await rig.until(lambda e=engine: not e.snapshot().positions, "both see it")  # type: ignore[misc]
        monkeypatch.setattr(turns, "WAIT_SECONDS", 15.0)
        await one_of_two(floor, (one, other), 1)
        assert floor.database.leases.find_one({"_id": key_of_account(account(floor))})
        # What other machines did while it was away is read once it is back.
        tiny = Ticket("ETHUSDT", "BUY", "market", quantity=D("0.01"))
        reads: list[int] = []
        for again in (False, False, True):
            if again:
                await asyncio.to_thread(mongod.kill)
                await rig.until(lambda: rig.feed(one, "mongo") == "down", "it is away again")
                await asyncio.to_thread(mongod.start)
                await rig.until(lambda: rig.feed(one, "mongo") == "live", "and back again", 40)
            assert (await ask(one, PlaceOrder(floor.agents["One"], tiny))).state == "done"
            reads.append(await floor.requests("GET /fapi/v3/openOrders"))
        assert reads[1:] == [reads[0], reads[0] + 1]


def mongo_is_back(floor: Floor) -> bool:
    return bool(floor.database.client.admin.command("ping"))

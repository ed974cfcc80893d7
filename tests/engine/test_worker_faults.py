"""What goes wrong around a decision: told once and clearly, protected, closed, taken over, never repeated."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from bson import ObjectId

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.client_ids import client_order_id
from aster_tui.domain.keys import PrivateKey
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.views import ALARMS
from aster_tui.engine.notifier import OURS
from aster_tui.engine.trade import turns
from aster_tui.practice import payloads
from aster_tui.practice.errors import refuse
from aster_tui.store.base import StoreError, StoreRefused, StoreUnavailable
from aster_tui.store.journal import Journal
from aster_tui.store.trading import TradingStore
from tests import rig
from tests.engine.desk import LONG, PROTECTED, Desk, Held, desk

__all__ = ["desk"]

D = Decimal
CLAIM = {"owner": "dead", "epoch": 1, "at": 1}


def operator(desk: Desk) -> Any:
    """The practice exchange's operator, in the same process."""
    return desk.exchange._operator


def first(desk: Desk, name: str = "Real", **more: Any) -> dict[str, str]:
    account: dict[str, str] = desk.exchange.ready_document()["accounts"][len(desk.agents)]
    desk.add(name, account, **more)
    return account


@asynccontextmanager
async def trader(desk: Desk, account: dict[str, str]) -> AsyncIterator[Trader]:
    """Somebody else who trades on the account, with the user's own key."""
    signer = Signer(PrivateKey.parse(account["user_private_key"]), 1666)
    venue = Venue(desk.exchange.rest_url, desk.exchange.ws_url, 1666)
    client = Trader(venue, Wallet(account["user"], signer), nonces=NonceSource())
    try:
        yield client
    finally:
        await client.aclose()


def market(side: str, quantity: str, name: str, **more: Any) -> OrderRequest:
    return OrderRequest("BTCUSDT", side, "MARKET", name, quantity=D(quantity), **more)  # type: ignore[arg-type]


# Halts


async def test_a_halt_of_before_the_start_stops_the_first_decision(desk: Desk) -> None:
    desk.add("Paper")
    desk.database.controls.insert_one({"_id": "fleet", "state": "HALTED", "reason": "storm"})
    key = desk.decide("Paper", **LONG)
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert done["reasons"] == ["halted: the fleet is HALTED: storm"]


# Losses


@pytest.mark.parametrize("paper", [False, True])
async def test_after_the_days_loss_nothing_new_is_opened_and_what_is_open_can_be_closed(
    desk: Desk, paper: bool
) -> None:
    if paper:
        desk.add("Real")
    else:
        first(desk)
    settings = desk.settings.model_copy(update={"daily_loss_percent": D(1)})
    day = time.time() // 86_400
    with rig.running(settings, desk.environment, working=True) as engine:
        for coin, size in (("BTC", 180.0), ("ETH", 150.0)):
            opened = await desk.ended(desk.decide("Real", coin=coin, signal="long", size_usd=size))
            assert opened["state"] == "done", opened
        desk.exchange.exchange.set_price("BTCUSDT", D(80000))  # a sixth of 97 USD, more than 1 % of the 1000
        await rig.until(lambda: engine.snapshot().marks["BTCUSDT"] == D(80000), "the worker sees it")
        closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closed["state"] == "done", closed
        refused = await desk.ended(desk.decide("Real", coin="SOL", signal="long", size_usd=150.0))
        assert (await desk.ended(desk.decide("Real", coin="ETH", signal="close")))["state"] == "done"
        if time.time() // 86_400 == day:
            assert refused["state"] == "refused", refused
            assert [r.split(":")[0] for r in refused["reasons"]] == ["daily loss"]


# Bursts


async def test_decisions_of_one_moment_are_judged_one_after_the_other(desk: Desk) -> None:
    account = first(desk)
    settings = desk.settings.model_copy(update={"max_positions": 2})
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Real"))
        keys = [desk.decide("Real", **{**LONG, "coin": coin}) for coin in ("BTC", "ETH", "SOL")]
        keys += [desk.decide("Real", coin="BTC", signal="close") for _ in range(2)]
        ends = [await desk.ended(key) for key in keys]
        assert [d["state"] for d in ends] == ["done", "done", "refused", "done", "refused"], ends
        assert "positions: 2 positions are open, 2 are allowed" in ends[2]["reasons"]
        assert "no BTC position of this agent" in ends[4]["reasons"][0]
        assert desk.amount(account, "BTCUSDT") == 0
        assert desk.database.agents.find_one({"name": "Real"})["isPaperTrading"] is False


async def test_a_close_that_comes_after_somebody_elses_is_done_and_no_failure(desk: Desk) -> None:
    account = first(desk)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Real", **PROTECTED))
        desk.exchange._faults.set({"ws-silent": 1})
        async with trader(desk, account) as other:
            await other.place_order(market("SELL", "0.001", "other-1", reduce_only=True))
        done = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert done["state"] == "done", done
        assert "flat already" in done["reasons"][0]
        assert desk.open_orders(account) == []
        assert desk.database.agents.find_one({"name": "Real"})["isPaperTrading"] is False
        assert "-2022" not in rig.errors(engine)


async def test_a_close_larger_than_one_order_may_be_is_sent_in_parts(desk: Desk) -> None:
    account = first(desk)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        for size in (120.0, 150.0):
            done = await desk.ended(desk.decide("Real", **{**LONG, "coin": "DOGE", "size_usd": size}))
            assert done["state"] == "done", done
        held = desk.amount(account, "DOGEUSDT")
        rules = engine._body.core.state.rules["DOGEUSDT"]  # type: ignore[union-attr]
        smaller = replace(rules, market_max_quantity=D(300))
        engine._body.core.state.rules["DOGEUSDT"] = smaller  # type: ignore[union-attr, index]
        done = await desk.ended(desk.decide("Real", coin="DOGE", signal="close"))
        assert done["state"] == "done", done
        assert desk.amount(account, "DOGEUSDT") == 0
        parts = desk.database.orders.find({"purpose": "close"})
        assert len(done["result"]["orders"]) == len(list(parts)) == math.ceil(held / 300)


async def test_a_stop_that_cannot_be_cancelled_is_an_alarm_and_a_line_in_the_database(desk: Desk) -> None:
    first(desk)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Real", **PROTECTED)))["state"] == "done"

        def cancel(user: str, params: Any) -> Any:
            raise refuse(-2015)

        desk.exchange._api._exchange.cancel = cancel  # type: ignore[method-assign]
        await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        left = await rig.until(lambda: desk.database.errors.find_one({"message": {"$regex": "left over"}}))
        assert left["source"] in OURS  # this process alone knows it, so it tells it whatever the others do
        assert left["source"] in ALARMS
        assert left["agentName"] == "Real"
        await rig.until(lambda: "left over" in rig.errors(engine))


async def test_a_paper_account_that_cannot_be_kept_does_not_hide_what_the_real_orders_did(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    note = Journal.note

    async def refusing(self: Journal, kind: str, *more: Any, **named: Any) -> Any:
        if kind == "paper-entry":
            raise StoreError("the disk is full")
        return await note(self, kind, *more, **named)

    monkeypatch.setattr(Journal, "note", refusing)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert (done["state"], len(done["result"]["orders"])) == ("done", 3), done
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        said = "its paper account is not kept now: the disk is full"
        await rig.until(lambda: said in rig.errors(engine))


async def test_a_shadow_that_the_database_was_not_told_of_yet_is_in_the_next_workers_book(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(desk)
    read = asyncio.Event()
    enter_paper, shadows_of = TradingStore.enter_paper, TradingStore.shadows_of

    async def slowly(self: TradingStore, *told: Any, **named: Any) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                await read.wait()
        await enter_paper(self, *told, **named)

    async def reading(self: TradingStore, agent_id: str) -> Any:
        found = await shadows_of(self, agent_id)
        read.set()
        return found

    position = {
        **{"agentId": desk.agents["Real"], "agentName": "Real", "coin": "ETH", "signal": "long"},
        **{"entry_price": 3000.0, "size_usd": 150.0, "leverage": 2, "status": "open", "opened_at": 1},
    }
    journal = Journal(desk.settings.state_folder)
    await journal.open()
    data = {"position": {**position, "_id": "a" * 24}, "trade": {}, "shadow": True}
    await journal.note("paper-entry", 1, data)
    await journal.close()
    monkeypatch.setattr(TradingStore, "enter_paper", slowly)
    monkeypatch.setattr(TradingStore, "shadows_of", reading)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        body: Any = await rig.until(lambda: engine._body)
        books = body.room.worker.paper.books
        book = await rig.until(lambda: books.get(desk.agents["Real"]), "the book is read")
        assert [*book.positions] == ["a" * 24]


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_closed_position_was_left_at_its_fill_and_not_at_the_mark_of_the_sync(
    desk: Desk, by_hand: bool
) -> None:
    account = first(desk)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Real", **LONG)))["state"] == "done"
        await rig.until(lambda: desk.database.positions.find_one({"status": "open"}), "the sync writes it")
        if by_hand:
            async with trader(desk, account) as other:
                order = await other.place_order(market("SELL", "0.001", "by-hand-1", reduce_only=True))
            left = order.average_price
        else:
            closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
            left = D(closed["result"]["averagePrice"])
        desk.exchange.exchange.set_price("BTCUSDT", D(90000))
        await rig.until(lambda: engine.snapshot().marks["BTCUSDT"] == D(90000), "the mark is elsewhere")
        done = await rig.until(lambda: desk.database.positions.find_one({"status": "closed"}))
        assert (done["exit_price"], done["exit_price_from"]) == (float(left), "fills")
        assert left > D(94000)
        change = (done["exit_price"] - done["entry_price"]) / done["entry_price"]
        assert done["pnlAbsolute"] == pytest.approx(change * done["size_usd"])


# Shared accounts


async def test_after_a_close_by_hand_nobody_closes_what_another_opened_since(desk: Desk) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        assert (await desk.ended(desk.decide("Two", **LONG)))["state"] == "done"
        async with trader(desk, account) as other:
            await other.place_order(market("SELL", "0.001", "by-hand-1", reduce_only=True))
        await rig.until(lambda: desk.amount(account, "BTCUSDT") == 0)
        assert (await desk.ended(desk.decide("One", **LONG)))["state"] == "done"
        closed = await desk.ended(desk.decide("Two", coin="BTC", signal="close"))
        assert closed["state"] == "refused", closed
        assert "no BTC position of this agent" in closed["reasons"][0]
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        closed = await desk.ended(desk.decide("One", coin="BTC", signal="close"))
        assert (closed["state"], desk.amount(account, "BTCUSDT")) == ("done", 0)


async def test_the_exposure_of_a_shared_account_is_that_of_all_its_agents(desk: Desk) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    # A balance of 1000 then carries 200 in all.
    settings = desk.settings.model_copy(update={"max_exposure_percent": D(20), "max_leverage": 1})
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        small = {"coin": "ETH", "signal": "long", "size_usd": 150.0}
        assert (await desk.ended(desk.decide("One", **small)))["state"] == "done"
        refused = await desk.ended(desk.decide("Two", **small))
        assert refused["state"] == "refused", refused
        assert any(reason.startswith("exposure: ") for reason in refused["reasons"]), refused


def begun(desk: Desk, key: ObjectId) -> bool:
    return "claim" in desk.decision(key)


async def test_what_two_agents_of_an_account_open_at_once_is_judged_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    # A balance of 1000 carries 200 in all: each alone may have its 150, both together not.
    settings = desk.settings.model_copy(update={"max_exposure_percent": D(20), "max_leverage": 1})
    small = {"coin": "ETH", "signal": "long", "size_usd": 150.0}
    held = Held(monkeypatch, account["user"])
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        keys = [desk.decide("One", **small), desk.decide("Two", **small)]
        await rig.until(held.there.is_set, "one is on its way")
        await rig.until(lambda: all(begun(desk, key) for key in keys), "the other waits")
        held.go.set()
        ends = [await desk.ended(key) for key in keys]
        assert sorted(d["state"] for d in ends) == ["done", "refused"], ends
        (refused,) = [d for d in ends if d["state"] == "refused"]
        assert any(reason.startswith("exposure: ") for reason in refused["reasons"]), refused
        (done,) = [d for d in ends if d["state"] == "done"]
        assert desk.amount(account, "ETHUSDT") == D(done["result"]["executed"])


async def test_who_waits_for_an_account_is_told_and_closes_and_other_accounts_do_not_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    other = desk.exchange.ready_document()["accounts"][2]
    desk.add("Three", other)
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.5)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Three"))
        assert (await desk.ended(desk.decide("Two", **LONG)))["state"] == "done"
        held = Held(monkeypatch, account["user"])
        slow = desk.decide("One", **{**LONG, "coin": "ETH"})
        await rig.until(held.there.is_set, "one is on its way")
        refused = await desk.ended(desk.decide("Two", **{**LONG, "coin": "SOL"}))
        assert refused["state"] == "refused", refused
        assert "is still under way" in refused["reasons"][0]
        assert (await desk.ended(desk.decide("Two", coin="BTC", signal="close")))["state"] == "done"
        assert (await desk.ended(desk.decide("Three", **LONG)))["state"] == "done"
        assert "finishedAt" not in desk.decision(slow)
        held.go.set()
        assert (await desk.ended(slow))["state"] == "done"


async def test_a_decision_that_waited_too_long_for_its_account_is_stale(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk, "One")
    desk.add("Two", account)
    settings = desk.settings.model_copy(update={"decision_max_age_seconds": 3})
    held = Held(monkeypatch, account["user"])
    with rig.running(settings, desk.environment, working=True) as engine:
        await rig.until(lambda: rig.agent(engine, "Two"))
        slow = desk.decide("One", **LONG)
        await rig.until(held.there.is_set, "one is on its way")
        late = desk.decide("Two", **LONG)
        made = time.time()
        await rig.until(lambda: begun(desk, late) and time.time() - made > 3.1, "it waits until it is old")
        held.go.set()
        assert (await desk.ended(slow))["state"] == "done"
        assert (await desk.ended(late))["state"] == "stale"
        assert desk.amount(account, "BTCUSDT") == D("0.001")


# Protection


async def test_what_is_answered_before_it_was_matched_is_protected_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    real = payloads.order

    def acknowledged(row: Any, **more: Any) -> Any:
        return real(row, acknowledged_only="acknowledged_only" in more and row.kind == "MARKET")

    monkeypatch.setattr(payloads, "order", acknowledged)
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "done", done
        assert done["result"]["executed"] == "0.001"
        assert {o.original for o in desk.open_orders(account)} == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_a_stop_that_cannot_even_be_written_down_leaves_nothing_naked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    real = Journal.intend

    async def intend(self: Journal, record: OrderRecord) -> None:
        if record.purpose == "stop":
            raise StoreError("the journal cannot be used: no space left")
        await real(self, record)

    monkeypatch.setattr(Journal, "intend", intend)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "failed"
        assert "stop was not placed: the journal cannot be used" in done["reasons"][0]
        assert desk.amount(account, "BTCUSDT") == 0
        assert desk.open_orders(account) == []
        await rig.until(lambda: "BTCUSDT is not protected" in rig.errors(engine))


async def test_a_position_that_stays_unprotected_by_setting_is_alarmed_and_watched_on_paper(
    desk: Desk,
) -> None:
    account = first(desk)
    settings = desk.settings.model_copy(update={"close_unprotected": False})
    api = desk.exchange._api._exchange
    real_place = api.place

    def place(user: str, params: Any, *, test: bool = False) -> Any:
        if params.get("type") == "STOP_MARKET":
            raise refuse(-2021)
        return real_place(user, params, test=test)

    api.place = place  # type: ignore[method-assign]
    with rig.running(settings, desk.environment, working=True) as engine:
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "failed"
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        await rig.until(lambda: "naked: Real: BTCUSDT is not protected" in rig.errors(engine))
        agent = await rig.until(
            lambda: desk.database.agents.find_one({"name": "Real", "isPaperTrading": True}), "falls back"
        )
        assert agent["asterKeepsPositions"] is True
        await rig.until(lambda: "still holds BTCUSDT at the exchange, which is watched" in rig.errors(engine))


async def test_what_a_dead_worker_bought_gets_its_stop_from_the_next(desk: Desk) -> None:
    account = first(desk)
    agent_id = desk.agents["Real"]
    key = desk.decide("Real", **PROTECTED)
    claim = {"owner": "dead", "epoch": 1, "at": time.time_ns() // 1_000_000}
    desk.database.decisions.update_one({"_id": key}, {"$set": {"state": "claimed", "claim": claim}})
    lost = desk.decide("Real", coin="ETH", signal="long", size_usd=150.0)
    desk.database.decisions.update_one({"_id": lost}, {"$set": {"state": "claimed", "claim": claim}})
    desk.database.leases.insert_one({"_id": agent_id, "owner": "dead", "epoch": 1})
    async with trader(desk, account) as dead:
        name = client_order_id(agent_id, "entry", 1, str(key))
        await dead.place_order(market("BUY", "0.001", name))
    settings = desk.settings.model_copy(update={"nonce_window_s": 1})
    with rig.running(settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert done["state"] == "interrupted"
        assert "died after" in done["reasons"][0]
        assert done["reasons"][1] == "its stop and target were placed now"
        kinds = {(o.original, o.stop, o.reduce_only, o.quantity) for o in desk.open_orders(account)}
        assert kinds == {
            ("STOP_MARKET", D(95000), True, D("0.001")),
            ("TAKE_PROFIT_MARKET", D(99000), True, D("0.001")),
        }
        # Its paper twin stands beside it: the comparison has both.
        shadow = await rig.until(lambda: desk.database.shadows.find_one({"decisionId": str(key)}))
        assert (shadow["status"], shadow["coin"], shadow["stop_loss"]) == ("open", "BTC", 95000.0)
        assert shadow["size_usd"] == pytest.approx(0.001 * shadow["entry_price"])
        other = await desk.ended(lost)
        assert "no order of it is at the exchange" in other["reasons"][0]
        assert desk.amount(account, "ETHUSDT") == 0


# Away and back


async def test_what_happened_while_the_worker_was_away_is_found_out_and_put_in_order(desk: Desk) -> None:
    account = first(desk)
    with rig.running(desk.settings, desk.environment, working=True):
        assert (await desk.ended(desk.decide("Real", **PROTECTED)))["state"] == "done"
        await rig.until(lambda: desk.database.orders.count_documents({"state": "open"}) == 2)
    desk.exchange.exchange.set_price("BTCUSDT", D(94900))
    await rig.until(lambda: desk.amount(account, "BTCUSDT") == 0, "the stop executes")
    assert len(desk.open_orders(account)) == 1
    with rig.running(desk.settings, desk.environment, working=True):
        await rig.until(lambda: not desk.open_orders(account), "the orphan is cancelled")
        await rig.until(
            lambda: desk.database.orders.find_one({"purpose": "target", "status": "CANCELED"}), "and told"
        )
        stop = await rig.until(
            lambda: desk.database.orders.find_one({"purpose": "stop", "status": "FILLED", "state": "done"})
        )
        assert stop["executed"].to_decimal() == D("0.001")
        filled = {"purpose": "stop", "tradeIds.0": {"$gt": 0}}
        stop = await rig.until(lambda: desk.database.orders.find_one(filled), "with its fees")
        assert stop["commission"].to_decimal() > 0
        assert stop["realized"].to_decimal() < 0
        # A stop slips against its own price, not against the mark of when it was placed.
        assert 0 <= stop["slippageBp"].to_decimal() < 50


@pytest.mark.parametrize("shared", [False, True])
async def test_another_machine_takes_an_agent_over_with_all_that_was_ordered_for_it(
    desk: Desk, shared: bool
) -> None:
    account = first(desk)
    if shared:
        desk.add("Other", account)
    with rig.running(desk.settings, desk.environment, working=True):
        assert (await desk.ended(desk.decide("Real", **PROTECTED)))["state"] == "done"
        if shared:
            assert (await desk.ended(desk.decide("Other", **LONG)))["state"] == "done"
        ended = {"purpose": "entry", "tradeIds.0": {"$gt": 0}}
        await rig.until(lambda: desk.database.orders.count_documents(ended) == 1 + shared)
        await rig.until(lambda: desk.database.orders.count_documents({"state": "open"}) == 2)
    elsewhere = desk.settings.model_copy(
        update={"state_dir": desk.settings.state_folder.parent / "elsewhere", "duplicate_seconds": 600}
    )
    with rig.running(elsewhere, desk.environment, working=True) as engine:
        again = await desk.ended(desk.decide("Real", **LONG))
        assert "duplicate: the same was ordered" in again["reasons"][0]
        closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closed["state"] == "done", closed
        assert desk.amount(account, "BTCUSDT") == (D("0.001") if shared else 0)
        assert desk.open_orders(account) == []
        states = {"purpose": {"$in": ["stop", "target"]}, "state": "done", "status": "CANCELED"}
        await rig.until(lambda: desk.database.orders.count_documents(states) == 2, "the orders are told")
        await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.sync.state == "in-sync", "in sync")
        assert "by the journal" not in rig.errors(engine)


# Permissions, clocks, accounts


async def test_an_account_that_may_only_reduce_closes_and_opens_nothing_until_it_may_again(
    desk: Desk,
) -> None:
    account = first(desk)
    settings = desk.settings.model_copy(update={"fall_back_to_paper": False})
    with rig.running(settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Real", **LONG)))["state"] == "done"
        operator(desk)._account({"user": account["user"], "trading": "reduce"})
        failed = await desk.ended(desk.decide("Real", **{**LONG, "coin": "ETH"}))
        refused = await desk.ended(desk.decide("Real", **{**LONG, "coin": "ETH"}))
        assert failed["state"] in ("failed", "refused")
        assert "permission: the account may " in refused["reasons"][0]
        assert (await desk.ended(desk.decide("Real", coin="BTC", signal="close")))["state"] == "done"
        operator(desk)._account({"user": account["user"], "trading": "all"})
        permissions = engine._body.room.permissions  # type: ignore[union-attr]
        await rig.until(lambda: not permissions.of(account["user"]).opening, "it is asked again")
        assert (await desk.ended(desk.decide("Real", **LONG)))["state"] == "done"


async def test_a_revoked_key_is_one_clear_message_with_its_remedy(desk: Desk) -> None:
    account = first(desk)
    settings = desk.settings.model_copy(update={"fall_back_to_paper": False})
    with rig.running(settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Real", **LONG)))["state"] == "done"
        operator(desk)._account({"user": account["user"], "trading": "unknown"})
        await desk.ended(desk.decide("Real", **{**LONG, "coin": "ETH"}))
        refused = await desk.ended(desk.decide("Real", **{**LONG, "coin": "ETH"}))
        assert refused["state"] == "refused"
        (reason,) = refused["reasons"]
        assert reason == "permission: the exchange does not know this signer (-1000)"
        await rig.until(lambda: "approve the signer for this account at the exchange" in rig.errors(engine))
        closing = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closing["reasons"] == [reason]
        operator(desk)._account({"user": account["user"], "trading": "all"})
        # A close is not held up by what the signer could not do a moment ago.
        assert (await desk.ended(desk.decide("Real", coin="BTC", signal="close")))["state"] == "done"


async def test_an_agent_without_a_key_is_refused_by_the_safeguards(desk: Desk) -> None:
    first(desk)
    with rig.running(desk.settings, {}, working=True) as engine:
        await rig.until(lambda: "has no key" in rig.errors(engine))
        refused = await desk.ended(desk.decide("Real", **LONG))
        assert refused["state"] == "refused"
        assert refused["reasons"][0] == "permission: Real has no usable key or account"
        assert "balance age: the balance is not known" in refused["reasons"]
        closing = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closing["reasons"] == ["permission: Real has no usable key or account"]
        await rig.until(lambda: "see the errors about its key" in rig.errors(engine))


async def test_an_empty_account_says_so(desk: Desk) -> None:
    account = first(desk)
    desk.exchange.exchange.accounts[account["user"].lower()].wallet = D(0)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        refused = await desk.ended(desk.decide("Real", **LONG))
        assert refused["state"] == "refused"
        assert "order size: the account is empty" in "; ".join(refused["reasons"])
        await rig.until(lambda: "deposit USDT" in rig.errors(engine))


async def test_a_clock_that_is_half_a_minute_off_trades_by_the_exchanges(desk: Desk) -> None:
    account = first(desk)
    desk.exchange._faults.set({"clock-skew-ms": 30_000})
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "done", (done, rig.errors(engine))
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        closed = await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        assert closed["state"] == "done", closed


async def test_a_leverage_that_somebody_else_set_is_set_again(desk: Desk) -> None:
    account = first(desk)
    held = desk.exchange.exchange.accounts[account["user"].lower()]
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Real", **LONG))
        assert held.leverage("BTCUSDT") == 5
        async with trader(desk, account) as other:
            await other.set_leverage("BTCUSDT", 20)
        state = engine._body.core.state  # type: ignore[union-attr]
        await rig.until(lambda: state.accounts[account["user"].lower()]._leverage.get("BTCUSDT") == 20)
        await desk.ended(desk.decide("Real", **LONG))
        assert held.leverage("BTCUSDT") == 5


# The queue


async def test_a_decision_for_nobody_is_refused_and_recorded(desk: Desk) -> None:
    desk.add("Paper")
    desk.agents["Ghost"] = str(ObjectId())
    key = desk.decide("Ghost", **LONG)
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert (done["state"], done["reasons"]) == ("refused", ["no agent has the id in agentId"])
        await rig.until(lambda: desk.database.errors.find_one({"message": {"$regex": str(key)}}))


async def test_a_decision_of_no_known_age_is_stale(desk: Desk) -> None:
    desk.add("Paper")
    row = {"_id": "mine", "agentId": desk.agents["Paper"], "decision": {"trade_signal_args": LONG}}
    desk.database.decisions.insert_one(row)
    with rig.running(desk.settings, desk.environment, working=True):
        await rig.until(lambda: desk.database.decisions.find_one({"_id": "mine", "state": "stale"}))


async def test_what_nobody_expected_ends_its_decision_and_not_the_agent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(desk)
    from aster_tui.engine.trade.executor import Executor

    real = Executor.execute
    broken = [True]

    async def execute(self: Executor, *arguments: Any) -> Any:
        if broken and broken.pop():
            raise RuntimeError("a bug")
        return await real(self, *arguments)

    monkeypatch.setattr(Executor, "execute", execute)
    with rig.running(desk.settings, desk.environment, working=True):
        ends = [await desk.ended(desk.decide("Real", **LONG)) for _ in range(2)]
        assert ends[0]["state"] == "failed"
        assert ends[0]["reasons"] == ["something unexpected: RuntimeError: a bug"]
        assert ends[1]["state"] == "done"


async def test_while_the_disk_takes_nothing_nothing_is_begun_and_no_end_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("Paper")
    real, full = Journal.finish, [True]

    async def finish(self: Journal, *arguments: Any) -> None:
        if full:
            raise StoreError("the journal cannot be used: no space left", remedy="free the disk")
        await real(self, *arguments)

    monkeypatch.setattr(Journal, "finish", finish)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        first_one = desk.decide("Paper", **LONG)
        await rig.until(lambda: "no space left" in rig.errors(engine))
        second = desk.decide("Paper", coin="BTC", signal="close")
        await rig.until(lambda: desk.database.decisions.find_one({"_id": first_one, "state": "claimed"}))
        assert "claim" not in desk.decision(second)
        full.clear()
        assert (await desk.ended(first_one))["state"] == "done"
        assert (await desk.ended(second))["state"] == "done"


async def test_a_claim_whose_answer_was_lost_is_carried_out_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    real, lost = TradingStore.claim_decision, [True]

    async def claim(self: TradingStore, *arguments: Any) -> Any:
        found = await real(self, *arguments)
        if found is not None and lost and lost.pop():
            raise StoreUnavailable("the database cannot be reached")
        return found

    monkeypatch.setattr(TradingStore, "claim_decision", claim)
    with rig.running(desk.settings, desk.environment, working=True):
        ends = [await desk.ended(desk.decide("Real", **LONG)) for _ in range(2)]
        assert [d["state"] for d in ends] == ["done", "done"]
        assert not lost
        assert desk.amount(account, "BTCUSDT") == D("0.002")


async def test_a_decision_queued_here_and_in_the_database_is_carried_out_once(desk: Desk) -> None:
    account = first(desk)
    key = desk.decide("Real", **LONG)
    document = {**desk.decision(key), "_id": str(key)}
    journal = Journal(desk.settings.state_folder)
    await journal.open()
    await journal.queue(str(key), "Real", document)
    with rig.running(desk.settings, desk.environment, working=True):
        assert (await desk.ended(key))["state"] == "done"
        after = await desk.ended(desk.decide("Real", coin="ETH", signal="long", size_usd=150.0))
        assert after["state"] == "done"
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        assert await journal.claim("Real", CLAIM) is None
        assert await journal.begun("Real") == []
    await journal.close()


async def test_what_was_queued_here_and_begun_by_a_worker_that_died_is_closed(desk: Desk) -> None:
    first(desk)
    key = desk.decide("Real", **LONG)
    document = {**desk.decision(key), "_id": str(key)}
    desk.database.decisions.update_one({"_id": key}, {"$set": {"state": "local"}})
    journal = Journal(desk.settings.state_folder)
    await journal.open()
    await journal.queue(str(key), "Real", document)
    assert await journal.claim("Real", CLAIM)
    await journal.close()
    settings = desk.settings.model_copy(update={"nonce_window_s": 1})
    with rig.running(settings, desk.environment, working=True):
        done = await desk.ended(key)
        assert done["state"] == "interrupted"
        assert "no order of it is at the exchange" in done["reasons"][0]


async def test_a_line_that_the_database_refuses_for_want_of_a_right_waits_for_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("Paper")
    real, refused = TradingStore.finish_decision, [0]

    async def finish(self: TradingStore, *arguments: Any) -> None:
        if refused[0] < 2:
            refused[0] += 1
            raise StoreRefused("the database refused: not authorized", remedy="check the roles")
        await real(self, *arguments)

    monkeypatch.setattr(TradingStore, "finish_decision", finish)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Paper", **LONG)))["state"] == "done"
        await rig.until(lambda: "the database is not told of orders now" in rig.errors(engine))


# Paper


async def test_a_paper_position_that_somebody_else_closed_is_closed_once(desk: Desk) -> None:
    desk.add("Paper")
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Paper", **PROTECTED))
        position = await rig.until(lambda: desk.database.positions.find_one({"status": "open"}))
        desk.database.trades.insert_one(
            {
                "agentId": desk.agents["Paper"],
                "agentName": "Paper",
                "pair": "BTC",
                "side": "long",
                "amount": 0.001,
                "price": 98000.0,
                "pnl": 1.0,
                "pnlAbsolute": 7.5,
                "timestamp": time.time_ns() // 1_000_000,
                "tradeType": "exit",
                "size_usd": 97.0,
            }
        )
        desk.database.positions.update_one({"_id": position["_id"]}, {"$set": {"status": "closed"}})
        book = engine._body.room.worker.paper.books[desk.agents["Paper"]]  # type: ignore[union-attr]
        await rig.until(lambda: not book.positions and len(book.trades) == 2)
        closed = await desk.ended(desk.decide("Paper", coin="BTC", signal="close"))
        assert "no BTC position" in closed["reasons"][0]
        agent = await rig.until(lambda: desk.database.agents.find_one({"name": "Paper", "totalTrades": 1}))
        assert agent["balance"] == pytest.approx(1007.5)
        assert agent["lastTrade"]["pnl"] == 1.0
        assert desk.database.trades.count_documents({"tradeType": "exit"}) == 1


async def test_a_stop_that_a_person_moved_is_the_one_that_triggers(desk: Desk) -> None:
    desk.add("Paper")
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        await desk.ended(desk.decide("Paper", **PROTECTED))
        position = await rig.until(lambda: desk.database.positions.find_one({"status": "open"}))
        desk.database.positions.update_one({"_id": position["_id"]}, {"$set": {"stop_loss": 97000.0}})
        book = engine._body.room.worker.paper.books[desk.agents["Paper"]]  # type: ignore[union-attr]
        await rig.until(lambda: [p.stop_loss for p in book.positions.values()] == [97000])
        desk.exchange.exchange.set_price("BTCUSDT", D(96900))
        closed = await rig.until(lambda: desk.database.positions.find_one({"status": "closed"}), "the stop")
        assert closed["exitTradeId"]

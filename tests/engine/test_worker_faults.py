"""What goes wrong around a decision: refused, found out or put right, and told once and clearly."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests import rig
from tests.engine.desk import LONG, PROTECTED, Desk, desk, first, market, trader

__all__ = ["desk"]

D = Decimal


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


# Bursts and closes


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


async def test_a_close_that_comes_after_somebody_elses_is_done_and_no_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    monkeypatch.setattr("aster_tui.engine.feeds.account.COMPARE_SECONDS", 3600)
    monkeypatch.setattr("aster_tui.engine.feeds.account.DEGRADED_POLL_SECONDS", 3600)
    settings = desk.settings.model_copy(update={"sync_seconds": 3600})
    with rig.running(settings, desk.environment, working=True) as engine:
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


# Permissions, clocks, accounts


def operator(desk: Desk) -> Any:
    """The practice exchange's operator, in the same process."""
    return desk.exchange._operator


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

"""Dead-man timers at the practice exchange: held while this process lives, run down when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.trader import Trader
from aster_tui.domain.commands import Request, SetDeadMan
from aster_tui.domain.deadman import LATE_MS, Timer, weight_a_minute
from aster_tui.engine.operator.timers import GONE, DeadMan, NotArmed
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from tests import rig
from tests.flatten_rig import hold, rest, resting, targets, venue

D = Decimal


class Floor:
    """One account with a protected position and a resting entry, and the timers of a process."""

    def __init__(self, exchange: PracticeExchange, client: Trader) -> None:
        self.exchange, self.client = exchange, client
        self.user = targets(exchange)[0].key
        hold(exchange, self.user, "BTCUSDT", D("0.01"))
        stop = {"side": "SELL", "type": "STOP_MARKET", "stopPrice": "90000", "reduceOnly": "true"}
        rest(exchange, self.user, symbol="BTCUSDT", quantity="0.01", **stop)
        entry = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "3000"}
        rest(exchange, self.user, symbol="ETHUSDT", quantity="0.1", **entry)
        self.problems: list[str] = []
        self.changes = 0
        self.keyless = False
        #: How many timers were told of at the last change: what the header shows.
        self.shown = 0
        #: Which of them were told of as not held.
        self.lost: tuple[tuple[str, str], ...] = ()
        self.timers = DeadMan(
            lambda account: client if account == self.user and not self.keyless else None,
            self._changed,
            lambda account, words: self.problems.append(words),
        )

    def _changed(self) -> None:
        self.changes += 1
        self.shown = len(self.timers.state)
        self.lost = self.timers.lost

    @property
    def held(self) -> dict[str, int]:
        """At the venue: when each symbol's timer runs down, server time."""
        return {symbol: at for (_, symbol), at in self.exchange.exchange._countdowns.items()}

    async def later(self, seconds: int) -> None:
        """The venue's clock moves on."""
        self.exchange._faults.set({"clock-skew-ms": seconds * 1000})
        self.exchange.exchange.step()


@asynccontextmanager
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    async with PracticeExchange(PracticeOptions(accounts=1, volatility=D(0), balance=D(10**5))) as exchange:
        wallet = targets(exchange)[0].open_wallet()
        client = Trader(venue(exchange), wallet, nonces=NonceSource(tmp_path / "nonces"), timeout_s=2)
        try:
            yield Floor(exchange, client)
        finally:
            await client.aclose()


async def test_arming_names_what_would_be_cancelled_and_a_dead_process_has_it_cancelled(
    tmp_path: Path,
) -> None:
    async with floor(tmp_path) as it:
        armed = await it.timers.arm(it.user, ["BTCUSDT", "ETHUSDT"], 30)
        assert armed.symbols == ("BTCUSDT", "ETHUSDT")
        assert [o.order_type for o in armed.protective] == ["STOP_MARKET"]
        assert [o.symbol for o in armed.others] == ["ETHUSDT"]
        assert set(it.held) == {"BTCUSDT", "ETHUSDT"}
        assert {key: t.seconds for key, t in it.timers.state.items()} == {
            (it.user, "BTCUSDT"): 30,
            (it.user, "ETHUSDT"): 30,
        }
        await it.later(29)
        assert resting(it.exchange) == 2
        await it.later(31)
        assert resting(it.exchange) == 0


async def test_a_living_process_sets_it_again_long_before_it_runs_down(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        await it.timers.arm(it.user, ["BTCUSDT"], 10)
        first = it.held["BTCUSDT"]
        running = asyncio.create_task(it.timers.run())
        await rig.until(lambda: it.held["BTCUSDT"] > first + 3_000, "it is set again")
        assert first - it.exchange.exchange.now() > 4_000
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_disarmed_nothing_runs_down(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        await it.timers.arm(it.user, ["BTCUSDT", "ETHUSDT"], 10)
        assert await it.timers.disarm(it.user, ["ETHUSDT"]) == {}
        assert set(it.held) == {"BTCUSDT"}
        await it.timers.close(2)
        assert it.held == it.timers.state == {}
        await it.later(3600)
        assert resting(it.exchange) == 2
        assert not it.problems


async def test_a_venue_that_does_not_take_it_is_said_and_tried_until_it_does(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        await it.timers.arm(it.user, ["BTCUSDT"], 10)
        it.exchange._faults.set({"http503": 1})
        assert set(await it.timers.disarm()) == {"BTCUSDT"}
        assert "unless the venue takes it" in it.problems[0]
        (timer,) = it.timers.state.values()
        assert timer.ending
        assert timer.words
        running = asyncio.create_task(it.timers.run())
        it.exchange._faults.set({"http503": 0})
        await rig.until(lambda: not it.timers.state, "it is stopped in the end")
        assert it.shown == 0, "and is shown no more"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert it.held == {}
        assert len(it.problems) == 1


async def test_one_to_be_stopped_on_an_account_whose_key_is_gone_ends_when_it_has_run_down(
    tmp_path: Path,
) -> None:
    async with floor(tmp_path) as it:
        await it.timers.arm(it.user, ["BTCUSDT"], 10)
        it.keyless = True
        key = (it.user, "BTCUSDT")
        assert await it.timers.disarm() == {"BTCUSDT": GONE}
        assert (it.timers.ending, it.shown) == ((key,), 1), "the venue has it still"
        running = asyncio.create_task(it.timers.run())
        timer = it.timers._timers[key]
        it.timers._timers[key] = replace(timer, taken_at=timer.taken_at - 10_000)
        await rig.until(lambda: not it.timers.state, "it has run down")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert it.shown == 0
        assert any("ran down" in words for words in it.problems)


async def test_one_whose_key_is_gone_is_not_held_until_the_key_is_back(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        await it.timers.arm(it.user, ["BTCUSDT"], 10)
        key = (it.user, "BTCUSDT")
        assert it.lost == ()
        it.keyless = True
        running = asyncio.create_task(it.timers.run())
        it.timers._timers[key] = replace(it.timers._timers[key], tried_at=0)  # it is time to set it again
        it.timers._wake.set()
        await rig.until(lambda: it.lost == (key,), "it is told of as not held")
        it.keyless = False
        await rig.until(lambda: it.lost == (), "it is held again")
        assert it.shown == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_one_that_ran_down_while_the_venue_was_away_is_not_held(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        await it.timers.arm(it.user, ["BTCUSDT"], 10)
        key = (it.user, "BTCUSDT")
        it.exchange._faults.set({"http503": 1})
        timer = it.timers._timers[key]
        it.timers._timers[key] = replace(timer, taken_at=timer.taken_at - 10_000, tried_at=0)
        running = asyncio.create_task(it.timers.run())
        await rig.until(lambda: it.lost == (key,), "it is told of as not held")
        it.exchange._faults.set({"http503": 0})
        await rig.until(lambda: it.lost == (), "it is held again")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_the_venue_may_have_taken_a_word_that_was_not_answered() -> None:
    timer = Timer("0x", "BTCUSDT", 10, 1_000, 1_000)
    assert timer.over_at == 11_000
    assert timer.sent(5_000).over_at == 5_000 + LATE_MS + 10_000
    assert timer.sent(5_000).taken(5_000).over_at == 15_000


async def test_one_that_runs_down_while_the_venue_is_away_is_said_once(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        await it.timers.arm(it.user, ["BTCUSDT"], 10)
        it.exchange._faults.set({"http503": 1})
        key = (it.user, "BTCUSDT")
        timer = it.timers._timers[key]
        it.timers._timers[key] = type(timer)(*key, 10, timer.taken_at - 60_000, timer.tried_at - 60_000)
        running = asyncio.create_task(it.timers.run())
        await rig.until(lambda: any("ran down" in words for words in it.problems), "it is said")
        await asyncio.sleep(1.2)
        assert len([words for words in it.problems if "ran down" in words]) == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_answer_that_was_lost_is_held_as_if_it_had_been_taken(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        it.exchange._faults.set({"lost-reply": 1})
        armed = await it.timers.arm(it.user, ["BTCUSDT"], 10)
        assert armed.symbols == ("BTCUSDT",)
        assert it.held
        (timer,) = it.timers.state.values()
        assert timer.words
        it.exchange._faults.set({"lost-reply": 0})
        await it.timers.close(2)
        assert it.held == {}


async def test_what_cannot_be_armed_says_why_and_changes_nothing(tmp_path: Path) -> None:
    async with floor(tmp_path) as it:
        many = [f"S{n}USDT" for n in range(40)]
        for account, symbols, seconds, words in (
            ("0xother", ["BTCUSDT"], 30, "cannot be traded on"),
            (it.user, [], 30, "no symbol"),
            (it.user, ["BTCUSDT"], 1, "from 10 to 3600"),
            (it.user, many, 10, "request weight"),
        ):
            with pytest.raises(NotArmed, match=words):
                await it.timers.arm(account, symbols, seconds)
        assert it.held == it.timers.state == {}
        failed = (await it.timers.arm(it.user, ["BTCUSDT", "NOSUCHUSDT"], 30)).failed
        assert set(failed) == {"NOSUCHUSDT"}
        assert set(it.held) == {"BTCUSDT"}


def test_what_it_costs() -> None:
    assert weight_a_minute(60, 10) == 300
    assert weight_a_minute(10, 1) == 180


async def test_from_the_console_it_is_in_the_header_and_leaving_stops_it(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    async with PracticeExchange(PracticeOptions(accounts=1, positions=2, volatility=D(0))) as exchange:
        (account,) = exchange.ready_document()["accounts"]
        raw_database.agents.insert_one(rig.agent_document("Real", account))
        raw_database.agents.insert_one(rig.agent_document("Paper"))
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        with rig.running(chosen, rig.keys(Real=account)) as engine:
            await rig.until(lambda: (a := rig.agent(engine, "Real")) and a.positions == 2, "it is read")

            async def ask(name: str, seconds: int) -> Any:
                agent = rig.agent(engine, name)
                assert agent is not None
                key = f"{name}-{seconds}"
                engine.submit(Request(key, SetDeadMan((agent.key,), (), seconds), "console"))
                return await rig.until(
                    lambda: next(
                        (
                            r
                            for r in engine.snapshot().requests
                            if r.request_id == key and r.state != "running"
                        ),
                        None,
                    )
                )

            refused = await ask("Paper", 30)
            assert (refused.state, "no real account" in refused.message) == ("refused", True)
            armed = await ask("Real", 30)
            assert armed.state == "done", armed
            await rig.until(lambda: len(engine.snapshot().dead_man) == 2, "the header shows it")
            assert len(exchange.exchange._countdowns) == 2
            off = await ask("Real", 0)
            assert (off.state, "is off" in off.message) == ("done", True)
            await rig.until(lambda: not engine.snapshot().dead_man, "the header shows it no more")
            await ask("Real", 40)
            assert len(exchange.exchange._countdowns) == 2
            await asyncio.to_thread(engine.stop)
            assert not exchange.exchange._countdowns

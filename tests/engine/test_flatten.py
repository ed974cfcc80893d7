"""The close-all runner against the practice exchange: every mode, every refusal, disks that do not work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.aster.errors import AnswerError
from aster_tui.domain.flatten.report import FlattenReport, document
from aster_tui.domain.incident import incident_markdown
from aster_tui.domain.trading import Position
from aster_tui.engine.flatten.account import failure
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.engine.flatten.incidents import keep_incident
from aster_tui.engine.flatten.run import NOT_ANSWERED
from aster_tui.engine.flatten.targets import Target
from aster_tui.store.journal import Journal
from tests.flatten_rig import (
    a_run,
    arrange,
    held,
    hold,
    practice,
    rest,
    resting,
    target,
    targets,
    told_remaining,
    user_of,
)

D = Decimal


async def test_both_modes_and_every_kind_of_order_end_flat_and_are_in_the_journal(tmp_path: Path) -> None:
    async with practice(accounts=4) as exchange:
        for number, account in enumerate(exchange.ready_document()["accounts"]):
            rng = random.Random(number)
            arrange(exchange, account["user"], rng, hedge=number % 2 == 1, positions=7, orders=12)
        before = {user: len(legs) for user, legs in held(exchange).items()}
        open_before = resting(exchange)
        told: list[FlattenReport] = []
        run = a_run(exchange, tmp_path, on_progress=told.append)
        report = await run.run()
        assert report.flat, report.message
        assert report.ending == "flat"
        assert not any(held(exchange).values())
        assert not resting(exchange)
        assert {a.account.lower(): a.state.positions_before for a in report.accounts} == before
        assert sum(a.state.orders_cancelled for a in report.accounts) == open_before
        assert told[-1] == report
        assert report.ended
        assert all(a.state.rounds == 1 for a in report.accounts)

        journal = Journal(tmp_path)
        await journal.open()
        records = {r.client_order_id: r for r in await journal.orders()}
        await journal.close()
        made = [(a.client_ids[m.close.number], m) for a in report.accounts for m in a.state.closes]
        assert set(records) == {name for name, _ in made}
        for name, close in made:
            record = records[name]
            assert (record.purpose, record.state, record.status) == ("flatten", "done", "FILLED")
            assert record.executed == close.executed == close.close.quantity
            assert record.average_price == close.average_price > 0


async def test_a_large_position_goes_in_parts_the_exchange_takes(tmp_path: Path) -> None:
    async with practice(depth=D(10**9)) as exchange:
        hold(exchange, user_of(exchange), "BTCUSDT", D("1000.5"))
        report = await a_run(exchange, tmp_path).run()
        assert report.flat
        sizes = [m.close.quantity for m in report.accounts[0].state.closes]
        assert sizes == [D(120)] * 8 + [D("40.5")]  # MARKET_LOT_SIZE is 120 BTC


async def test_a_book_too_thin_is_closed_in_several_rounds(tmp_path: Path) -> None:
    async with practice(depth=D(100)) as exchange:
        hold(exchange, user_of(exchange), "ETHUSDT", D(-100))
        report = await a_run(exchange, tmp_path).run()
        assert report.flat
        assert report.accounts[0].state.rounds > 1


async def test_out_of_bounds_it_closes_by_limits_inside_the_band(tmp_path: Path) -> None:
    async with practice() as exchange:
        user = user_of(exchange)
        hold(exchange, user, "BTCUSDT", D("0.5"))
        # The market has gone 14 % below the mark, and a book of few levels ends outside of the band.
        exchange.exchange.set_price("BTCUSDT", D(97_250) * D("0.845"), D(97_250))
        running = asyncio.create_task(a_run(exchange, tmp_path).run())
        async with asyncio.timeout(20):
            while not exchange._api.rejected["-4131"]:
                await asyncio.sleep(0.01)
        exchange.exchange.set_price("BTCUSDT", D(97_250) * D("0.87"), D(97_250))
        report = await running
        assert report.flat
        assert "LIMIT" in {m.close.order_type for m in report.accounts[0].state.closes}


async def test_a_symbol_that_does_not_trade_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with practice() as exchange:
        user = user_of(exchange)
        hold(exchange, user, "BTCUSDT", D("0.01"))
        hold(exchange, user, "ETHUSDT", D("-0.5"))
        stop = rest(
            exchange,
            user,
            symbol="BTCUSDT",
            side="SELL",
            type="STOP_MARKET",
            stopPrice="80000",
            quantity="0.01",
            reduceOnly="true",
        )
        exchange.exchange.statuses["BTCUSDT"] = "CLOSE"
        report = await a_run(exchange, tmp_path).run()
        assert report.ending == "left"
        assert told_remaining(report) == held(exchange) == {user.lower(): {("BTCUSDT", "BOTH"): D("0.01")}}
        assert "the symbol is closed" in report.accounts[0].error
        assert "BTCUSDT 0.01 left" in report.message
        assert f"1 order still open: BTCUSDT {stop}" in report.message
        (order,) = document(report)["accounts"][0]["orders_left"]
        assert (order["order_id"], order["type"], order["reduces"]) == (stop, "STOP_MARKET", True)
        assert f"| {stop} |" in incident_markdown(report, (), network="PRACTICE", by="anna")
        # What protects it is still there.
        assert list(exchange.exchange.books[user.lower()].open) == [stop]


@pytest.mark.parametrize(
    ("trading", "words"), [("none", "may not trade now"), ("unknown", "does not know this signer")]
)
async def test_an_account_whose_key_is_refused_is_said_and_the_others_go_on(
    tmp_path: Path, trading: str, words: str
) -> None:
    async with practice(accounts=3, positions=2) as exchange:
        second = user_of(exchange, 1).lower()
        exchange.exchange.accounts[second].trading = trading
        if trading == "unknown":
            exchange._operator._authenticator.revoked.add(second)
        report = await a_run(exchange, tmp_path).run()
        assert [a.flat for a in report.accounts] == [True, False, True]
        assert words in report.accounts[1].error
        assert report.ending == "left"
        left = {user: legs for user, legs in held(exchange).items() if legs}
        assert list(left) == [second]
        if trading == "none":
            assert told_remaining(report)[second] == left[second]
        else:
            assert f"not known: {report.accounts[1].account}" in report.message


async def test_what_was_not_answered_by_the_end_is_in_the_incident(tmp_path: Path) -> None:
    async with practice(positions=1, faults={"latency-ms": 20_000}) as exchange:
        run = a_run(exchange, tmp_path, deadline_s=0.2)
        report = await run.run()
        assert report.ending == "unreachable"
        assert "not answered by the end" in {line.answer for line in run.trace}


async def test_a_step_beside_the_accounts_that_has_not_ended_is_in_the_incident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hung(Journal):
        async def unresolved(self) -> Any:
            await asyncio.sleep(3600)

    monkeypatch.setattr("aster_tui.engine.flatten.book.PATIENCE_SECONDS", 60)
    async with practice(positions=1) as exchange:
        run = a_run(exchange, tmp_path, journal=False)
        run._book = FlattenBook(Hung(tmp_path), opens=True)
        report = await run.run()
        assert report.flat
        answers = {line.request: line.answer for line in run.trace}
        assert answers["look up what this machine has under way"] == NOT_ANSWERED
        assert any("other orders under way" in note for note in report.notes)


async def test_what_this_machine_has_under_way_is_what_others_have(tmp_path: Path) -> None:
    class Late(Journal):
        """Is read when the closes stand in it."""

        async def unresolved(self) -> Any:
            while not (found := await super().unresolved()):
                await asyncio.sleep(0.01)
            return found

    async with practice(positions=1, faults={"latency-ms": 100}) as exchange:
        run = a_run(exchange, tmp_path, journal=False)
        run._book = FlattenBook(Late(tmp_path), opens=True)
        assert (await run.run()).flat
        answers = {line.request: line.answer for line in run.trace}
        assert answers["look up what this machine has under way"] == "nothing"


def test_the_firewall_is_no_refusal_of_the_exchange() -> None:
    blocked = failure(AnswerError(403, 0, "Forbidden", changes=True), changes=True)
    assert blocked.kind == "limited"
    assert blocked.retry_ms > 0
    only = failure(
        AnswerError(400, -4087, "User can only place reduce only order", changes=True), changes=True
    )
    assert only.kind == "refused"
    refused = failure(AnswerError(400, -2022, "ReduceOnly Order is rejected.", changes=True), changes=True)
    assert refused.kind == "refused"


async def test_a_scope_of_symbols_leaves_the_others_and_their_orders(tmp_path: Path) -> None:
    async with practice() as exchange:
        user = user_of(exchange)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            hold(exchange, user, symbol, D("0.05"))
            price = "90000" if symbol == "BTCUSDT" else "3000"
            rest(
                exchange,
                user,
                symbol=symbol,
                side="BUY",
                type="LIMIT",
                timeInForce="GTC",
                price=price,
                quantity="0.1",
            )
        report = await a_run(exchange, tmp_path, symbols=frozenset({"ETHUSDT"})).run()
        assert report.flat
        assert held(exchange)[user.lower()] == {("BTCUSDT", "BOTH"): D("0.05")}
        assert resting(exchange) == 1


async def test_what_a_stream_knows_starts_it_and_the_exchange_decides(tmp_path: Path) -> None:
    async with practice() as exchange:
        user = user_of(exchange)
        hold(exchange, user, "ETHUSDT", D("0.5"))
        hints = (
            Position("ETHUSDT", D("0.2"), D(3420)),  # old: it has grown since
            Position("SOLUSDT", D(3), D(188)),  # closed since
            Position("BTCUSDT", D(1), D(97_250)),  # never was
        )
        (known,) = targets(exchange)
        report = await a_run(exchange, tmp_path, [replace(known, hints=hints)]).run()
        assert report.flat
        assert not any(held(exchange).values())
        executed = {m.close.symbol: m.executed for m in report.accounts[0].state.closes if m.executed}
        assert set(executed) == {"ETHUSDT"}


async def test_an_exchange_that_never_answers_is_unreachable(tmp_path: Path) -> None:
    async with practice() as exchange:
        chosen = targets(exchange)
    run = a_run(exchange, tmp_path, chosen, deadline_s=0.5)
    report = await run.run()
    assert report.ending == "unreachable"
    assert "cannot be reached" in report.accounts[0].error


async def test_accounts_that_become_known_later_are_closed_too(tmp_path: Path) -> None:
    async with practice(accounts=3, positions=2) as exchange:
        first, second, third = targets(exchange)

        async def later() -> list[Target]:
            await asyncio.sleep(0.5)  # the first is flat by then
            return [first, second, third]

        report = await a_run(exchange, tmp_path, [first]).run(later())
        assert report.flat
        assert len(report.accounts) == 3
        assert not any(held(exchange).values())


async def test_a_halt_that_hangs_or_breaks_holds_nothing_up(tmp_path: Path) -> None:
    async def hangs(tell: Callable[[str], None]) -> None:
        await asyncio.sleep(3600)

    async def hangs_later(tell: Callable[[str], None]) -> None:
        tell("halted here; the database did not answer yet")
        await asyncio.sleep(3600)

    async def breaks(tell: Callable[[str], None]) -> None:
        tell("halted here")
        raise OSError("no disk")

    for halt, words in (
        (hangs, "not known whether anybody was halted"),
        (hangs_later, "halted here; the database did not answer yet"),
        (breaks, "halted here; NOT halted any further"),
    ):
        async with practice(positions=2) as exchange:
            report = await a_run(exchange, tmp_path, halt=halt).run()
            assert report.flat
            assert report.elapsed_ms < 3_000
            assert words in report.halt


async def test_a_clock_far_off_is_measured_and_the_close_goes_on(tmp_path: Path) -> None:
    async with practice(positions=3, faults={"clock-skew-ms": -120_000}) as exchange:
        report = await a_run(exchange, tmp_path).run()
        assert report.flat
        assert not any(held(exchange).values())


async def test_too_many_requests_are_waited_for_and_batches_get_smaller(tmp_path: Path) -> None:
    async with practice(positions=9, faults={"429": 0.3}) as exchange:
        report = await a_run(exchange, tmp_path).run()
        assert report.flat
        assert not any(held(exchange).values())


async def test_the_incident_report_holds_everything_and_no_secret(tmp_path: Path) -> None:
    async with practice(positions=3) as exchange:
        (account,) = exchange.ready_document()["accounts"]

        async def halts(tell: Callable[[str], None]) -> None:
            tell("the fleet is halted on this machine")

        run = a_run(exchange, tmp_path, halt=halts)
        report = await run.run()
        path = keep_incident(tmp_path, report, run.trace, network="PRACTICE", by="kim", name=run.run_id)
        markdown, raw = path.read_text(), path.with_suffix(".json").read_text()
        for made in report.accounts[0].state.closes:
            assert report.accounts[0].client_ids[made.close.number] in markdown
        assert "read positions" in markdown
        for beside in ("halt new risk", "measure the exchange's clock", "read the symbols' filters"):
            assert beside in markdown
        # A disk under load may not have answered when everything is over: that is said in its place.
        looked_up = next(line for line in run.trace if line.request.startswith("look up what this machine"))
        assert looked_up.answer in ("nothing", NOT_ANSWERED, report.journal)
        assert f"{looked_up.request} | {looked_up.answer} |" in markdown
        assert "MARKET reduce-only" in markdown
        assert "aster-tui resume" in markdown
        assert "flat, verified at 20" in markdown
        assert "flat: the exchange said so twice" in markdown
        assert all(line.request in raw for line in run.trace if '"' not in line.request)
        for secret in (account["signer_private_key"], account["user_private_key"]):
            assert secret.removeprefix("0x") not in markdown + raw
        assert "signature" not in markdown + raw
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_document_of_nothing_says_that_it_is_not_flat() -> None:
    told = document(FlattenReport((), 0, 1))
    assert told["flat"] is False
    assert told["verified_at"] is None


async def test_more_accounts_than_a_minute_allows_are_closed_first_and_proved_as_the_limit_lets_it(
    tmp_path: Path,
) -> None:
    # The venue's limits refuse here; reading all open orders at once would leave no room to close.
    async with practice(accounts=60, positions=1, faults={"limits": 1}) as exchange:
        run = a_run(exchange, tmp_path, deadline_s=100)
        running = asyncio.create_task(run.run())
        async with asyncio.timeout(20):
            while any(held(exchange).values()):
                await asyncio.sleep(0.05)
        run.stop("the test has seen enough")
        await running


def test_targets_are_by_account(tmp_path: Path) -> None:
    async def none() -> None: ...

    assert target({"user": "0xAb", "name": "x", "signer_private_key": "0x" + "1" * 64}).key == "0xab"

"""The ledger follows the journal line by line and comes to what a fresh look at all of it comes to."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.flattened_costs import Correction, corrections
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.metrics import WINDOWS, measure
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.shares import shares, shares_and_taken
from aster_tui.engine.trade import ledger as module
from aster_tui.engine.trade.ledger import Ledger, LedgerWatch
from aster_tui.store import journal_files
from aster_tui.store.journal import Journal
from tests import rig
from tests.domain.test_lifecycle import DOUBT, INTENT, LIFE
from tests.domain.test_shares import filled
from tests.store.test_journal_property import essence

D = Decimal
HOUR = 3_600_000
NOW = 100 * HOUR
ACCOUNTS = ("0xAb", "0xcd")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def an_order(choose: random.Random, number: int) -> OrderRecord:
    agent = choose.randrange(3)
    return replace(
        INTENT,
        client_order_id=f"o{number}",
        account=choose.choice((ACCOUNTS[agent % 2], ACCOUNTS[agent % 2].lower())),
        agent_id=str(agent),
        agent=f"Agent{agent}",
        symbol=choose.choice(SYMBOLS),
        side=choose.choice(("BUY", "SELL")),
        intent_at=choose.choice((HOUR, NOW - 30 * HOUR, NOW - 5 * HOUR, NOW - HOUR // 2)) + number,
        decision_id=f"d{number // 2}",
        mark_price=D(100 + choose.randrange(5)),
    )


def check(ledger: Ledger, fresh: Ledger, *, strays: bool) -> None:
    records = [*ledger.records.values()]
    if strays:  # which of two wrote first is another for everybody
        assert [*map(essence, by_name(fresh))] == [*map(essence, by_name(ledger))]
        quantities = {key: share.quantity for key, share in shares(records).items()}
        assert {key: share.quantity for key, share in ledger.shares().items()} == quantities
        assert {key: share.quantity for key, share in fresh.shares().items()} == quantities
    else:
        assert fresh.records == ledger.records
        assert ledger.shares() == fresh.shares() == shares(records)
        assert ledger.measured(NOW) == fresh.measured(NOW)
    assert sorted(ledger.errors) == sorted(fresh.errors)
    for (name, window), found in ledger.measured(NOW).figures.items():
        length, whose = WINDOWS[window], name or None
        corrected = divided_figures(records)
        assert found == measure(
            records, ledger.errors, NOW, window_ms=length, agent=whose, corrected=corrected
        )
    for one in (ledger, fresh):
        for agent in "012":
            assert names(one.of_agent(agent)) == names([r for r in records if r.agent_id == agent])
        for account in ACCOUNTS:
            mine = [r for r in records if r.account.lower() == account.lower()]
            assert names(one.of_account(account)) == names(mine)
        assert names(one.of_decision("d1")) == names([r for r in records if r.decision_id == "d1"])


def divided_figures(records: list[OrderRecord]) -> list[Correction]:
    taken = shares_and_taken(records)[1]
    of_agents = {r.agent_id: r.agent for r in records}
    return [c for r in records for c in corrections(r, taken, of_agents, PaperCosts())]


def names(records: list[OrderRecord]) -> set[str]:
    return {record.client_order_id for record in records}


def by_name(ledger: Ledger) -> list[OrderRecord]:
    return sorted(ledger.records.values(), key=lambda record: record.client_order_id)


@pytest.mark.parametrize("strays", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_followed_or_looked_at_afresh_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, strays: bool
) -> None:
    monkeypatch.setattr(journal_files, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(module, "AT_ONCE", 7)
    choose = random.Random(seed)
    journals = [Journal(tmp_path), Journal(tmp_path)]
    for journal in journals:
        await journal.open()
    following = Ledger(journals[0])
    homes: dict[str, Journal] = {}
    for number in range(40):
        record = an_order(choose, number)
        if not strays and not choose.randrange(4):  # what it takes depends on what was executed before
            record = replace(record, purpose="flatten")
        homes[record.client_order_id] = choose.choice(journals)
        await homes[record.client_order_id].intend(record)
        for _ in range(choose.randrange(5)):
            name = choose.choice([*homes])
            journal = choose.choice(journals) if strays else homes[name]
            kind, data = choose.choice([*LIFE, *DOUBT])
            await journal.append(name, kind, record.intent_at + choose.randrange(1, 500), data)
        if not choose.randrange(4):
            error = ErrorRaised(NOW - choose.randrange(2 * HOUR), "exchange", "no", "Agent1", code="-1")
            await choose.choice(journals).error(error)
        if not choose.randrange(3):
            await asyncio.gather(*(following.refresh() for _ in range(3)))
        if number % 10 == 9:
            for journal in journals:
                await journal.entries_since({}, 1)  # what was heard is written down
            await following.refresh()
            fresh = Ledger(journals[1])
            await fresh.refresh()
            check(following, fresh, strays=strays)
    assert following.errors
    assert following.shares()
    assert bool(await journals[0].stray_lines()) == strays
    for journal in journals:
        await journal.close()


async def test_all_errors_are_counted_however_many_there_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ERRORS_KEPT", 3)
    journals = [Journal(tmp_path), Journal(tmp_path)]
    for journal in journals:
        await journal.open()
    following = Ledger(journals[0])
    await following.refresh()
    for number in range(10):
        code = ("-2019", "HTTP 503", "")[number % 3]  # one of no code is an error of the part it is from
        error = ErrorRaised(NOW - number, "stream", "no", f"Agent{number % 2}", code=code)
        await journals[number % 2].error(error)
    await journals[0].error(ErrorRaised(NOW, "decision", "refused by a safeguard", "Agent1"))
    for ledger in (following, Ledger(journals[1])):
        await ledger.refresh()
        figures = ledger.measured(NOW).figures
        assert figures["", "all"].errors == {"-2019": 4, "HTTP 503": 3, "stream": 3}
        ledger._tallies["Agent1"] = ledger._tallies[""]
        assert ledger.measured(NOW).figures["Agent1", "all"].errors == {
            "-2019": 2,
            "HTTP 503": 2,
            "stream": 1,
        }
    for journal in journals:
        await journal.close()


async def test_what_was_lost_today_is_of_this_utc_day_with_fees_and_funding(tmp_path: Path) -> None:
    day, midnight = 24 * HOUR, 20_000 * 24 * HOUR
    rows = [(midnight - 1, D(50), D(0)), (midnight, D(3), D(-7)), (midnight + HOUR, D(1), D("2.5"))]
    async with asyncio.timeout(20):
        journal = Journal(tmp_path)
        await journal.open()
        for number, (at, fee, earned) in enumerate(rows):
            record = replace(
                INTENT,
                client_order_id=f"o{number}",
                intent_at=at,
                **{"state": "done", "executed": D(1), "executed_at": at},
                **{"commission": fee, "realized": earned},
            )
            await journal.intend(record)
        for number, at in enumerate((midnight - 1, midnight + 5)):
            parts = {INTENT.agent: "-0.25", "Other": "-9"}
            await journal.note("funding", at, {"payment": str(number), "parts": parts})
        ledger = Ledger(journal)
        await ledger.refresh()
        assert ledger.lost_today(INTENT.agent_id, midnight + 2 * HOUR) == D("8.75")
        assert ledger.lost_today(INTENT.agent_id, midnight + day - 1) == D("8.75")
        assert ledger.lost_today(INTENT.agent_id, midnight + day) == 0
        assert ledger.lost_today("nobody", midnight) == 0
        await journal.close()


async def test_a_close_all_of_a_shared_account_is_in_the_figures_of_those_it_closed(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        journal = Journal(tmp_path)
        await journal.open()
        ledger = Ledger(journal)
        for name, quantity, at in (("One", "2", 1), ("Two", "1", 2)):
            await journal.intend(replace(filled(name, "BUY", quantity, NOW + at), agent=name))
        closing = replace(filled("One", "SELL", "3", NOW + 9, purpose="flatten"), agent="One")
        await journal.intend(replace(closing, commission=D("0.10"), realized=D(-10)))
        await ledger.refresh()
        figures = ledger.measured(NOW + 10).figures
        one, two, fleet = (figures[name, "all"] for name in ("One", "Two", ""))
        assert (fleet.commission, fleet.realized) == (D("0.10"), D(-10))
        assert one.commission + two.commission == fleet.commission
        assert one.realized + two.realized == fleet.realized
        assert (two.commission, two.realized) == (D("0.033333333333"), D("-3.333333333333"))
        assert (one.orders, two.orders, fleet.orders) == (2, 1, 3)
        assert figures["Two", "1h"] == two
        assert ledger.lost_today("Two", NOW + 10) == two.commission - two.realized
        assert ledger.lost_today("One", NOW + 10) == one.commission - one.realized
        # A fee that is told later is divided, too.
        fee = {"trade_id": 1, "commission": "0.05", "realized": "0"}
        await journal.append(closing.client_order_id, "fill", NOW + 11, fee)
        await ledger.refresh()
        figures = ledger.measured(NOW + 12).figures
        assert figures["Two", "all"].commission == D("0.05")
        await journal.close()


async def test_a_line_that_is_read_before_its_order_waits_for_it(tmp_path: Path) -> None:
    first, second = Journal(tmp_path), Journal(tmp_path)
    await first.open()
    await second.open()
    ledger = Ledger(second)
    await ledger.refresh()
    await second.intend(INTENT)
    await first.append("a", "unknown", 2000, {"message": "?"})
    await first.close()  # it stands in the first file, its order in the second
    await ledger.refresh()
    assert ledger.records["a"].state == "unknown"
    await second.close()


async def test_a_ledger_that_only_watches_tells_what_others_do(tmp_path: Path) -> None:
    told: list[Any] = []
    watching = asyncio.create_task(LedgerWatch(tmp_path, told.append).run())
    journal = Journal(tmp_path)
    await journal.open()
    await journal.intend(replace(INTENT, intent_at=NOW))
    await rig.until(lambda: told and told[-1].figures["", "all"].orders == 1)
    await journal.append("a", "refused", NOW + 5, {"code": "-1"})
    await rig.until(lambda: told[-1].figures["A", "all"].success == 0)
    watching.cancel()
    await asyncio.wait({watching})
    await journal.close()

"""Three hundred close-alls through an exchange that fails in every way: flat and proved, or what is left is
named exactly; never a position opened or turned over, and never "flat" when it is not."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from aster_tui.domain.flatten.report import FlattenReport
from aster_tui.engine.flatten.run import FlattenRun
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from tests.flatten_rig import Leg, a_run, arrange, held, hold, targets, told_remaining

D = Decimal
WINDOW_S, RUNS = 3, 20
#: Every fault of the exchange alone, and several mixed; ``storm`` is what a bad day looks like.
MIXES: dict[str, dict[str, float]] = {
    "none": {},
    "slow": {"latency-ms": 120},
    "refused": {"http503": 0.35},
    "executed and refused": {"503-after": 0.5},
    "answers lost": {"lost-reply": 0.5},
    "pages": {"html500": 0.35},
    "too many": {"429": 0.03},
    "clock ahead": {"clock-skew-ms": 40_000},
    "clock behind": {"clock-skew-ms": -40_000},
    "lost and refused": {"lost-reply": 0.3, "http503": 0.2, "latency-ms": 20},
    "executed and late": {"503-after": 0.3, "lost-reply": 0.2, "latency-ms": 80},
    "every answer lost": {"lost-reply": 1.0},
    "streams bad": {"ws-silent": 1, "ws-loss": 0.5, "ws-drop-seconds": 1},
    "storm": {"http503": 0.15, "503-after": 0.15, "lost-reply": 0.15, "html500": 0.1, "latency-ms": 30},
    "all": {
        **{"http503": 0.1, "503-after": 0.1, "lost-reply": 0.1, "html500": 0.1, "429": 0.01},
        **{"latency-ms": 20, "clock-skew-ms": 7_000},
    },
}
ENDINGS = {"flat", "left", "doubtful"}


class Situation:
    """One account of a mix, on a bad day of its own."""

    def __init__(self, exchange: PracticeExchange, number: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.exchange = exchange
        self.target = targets(exchange)[number]
        user = self.target.key
        arrange(
            exchange,
            user,
            self.rng,
            hedge=self.rng.random() < 0.5,
            positions=self.rng.randint(0, 8),
            orders=self.rng.randint(0, 8),
        )
        self.before = dict(held(exchange)[user])
        self.grown: Counter[Leg] = Counter()
        self.barred = self.rng.random() < 0.08
        if self.barred:
            exchange.exchange.accounts[user].trading = "none"
        # A deadline that strikes in the middle of things.
        self.deadline_s = self.rng.choice((12.0, 12.0, 12.0, 12.0, 0.15, 0.5))

    async def disturb(self, run: FlattenRun) -> None:
        """A position grows meanwhile, as if a strategy had not heard of the halt; not once the last readings
        were begun, which are to tell what is left."""
        await asyncio.sleep(self.rng.uniform(0, 0.4))
        account = run._runs.get(self.target.key)
        if account is None or account._machine._final_at is not None or account._machine.ended:
            return
        legs = [leg for leg, quantity in held(self.exchange)[self.target.key].items() if quantity]
        if legs and self.rng.random() < 0.3:
            symbol, side = self.rng.choice(sorted(legs))
            more = LISTINGS[symbol].step * 3
            there = held(self.exchange)[self.target.key][symbol, side]
            hold(self.exchange, self.target.key, symbol, more if there > 0 else -more, side)
            self.grown[symbol, side] += 1

    def check(self, report: FlattenReport) -> str:
        """That the report is true; how it ended."""
        user, inside = self.target.key, self.exchange.exchange
        (account,) = report.accounts
        left, resting = held(self.exchange)[user], inside.books[user].open
        ours = [o for o in inside.books[user].by_id.values() if o.client_id in account.client_ids.values()]
        assert all(order.reduces for order in ours), "an order of a close-all could open something"
        assert len({o.client_id for o in ours}) == len(ours)
        for leg, quantity in left.items():
            was = self.before.get(leg, D(0))
            most = abs(was) + LISTINGS[leg[0]].step * 3 * self.grown[leg]
            assert quantity * was > 0, f"{leg} was turned over or opened: {was} to {quantity}"
            assert abs(quantity) <= most, f"{leg} grew: {was} to {quantity}"
        assert report.ending in ENDINGS, (report.ending, report.message, account.error)
        if report.flat:
            assert not left, "it says flat, and it is not"
            assert not resting, "it says flat, and orders are open"
            assert report.verified_at
            return "flat"
        assert account.error
        assert told_remaining(report)[user] == left, (account.error, report.ending)
        return report.ending


@pytest.mark.parametrize("mix", list(MIXES))
async def test_three_hundred_bad_days(tmp_path: Path, mix: str) -> None:
    first = 1_000 * list(MIXES).index(mix)
    options = PracticeOptions(
        accounts=RUNS,
        seed=first,
        balance=D(10**6),
        depth=D(200),
        nonce_window_s=WINDOW_S,
        weight_limit=10**9,
        order_limit=10**9,
    )
    async with PracticeExchange(options) as exchange:
        days = [Situation(exchange, number, first + number) for number in range(RUNS)]
        rng = random.Random(first)
        if rng.random() < 0.25:
            exchange.exchange.statuses[rng.choice(sorted(LISTINGS))] = "CLOSE"
        exchange._faults.set(MIXES[mix])
        _told_limits(exchange)

        async def one(number: int, day: Situation) -> str:
            run = a_run(
                exchange,
                tmp_path / str(number),
                [day.target],
                window_s=WINDOW_S,
                deadline_s=day.deadline_s,
            )
            disturbing = asyncio.create_task(day.disturb(run))
            report = await run.run()
            await disturbing
            return day.check(report)

        ends = Counter(await asyncio.gather(*(one(n, day) for n, day in enumerate(days))))
        print(mix, dict(ends))
        assert sum(ends.values()) == RUNS
        assert ends["flat"] >= RUNS * 0.2


def _told_limits(exchange: PracticeExchange) -> None:
    """All runs share one address here: its limit is none of what is tested."""
    from aster_tui.aster.gate import gate_of

    gate = gate_of(exchange.rest_url)
    gate.limit = gate.order_limit = 10**9


async def test_the_checks_would_notice(tmp_path: Path) -> None:
    """A report that lies is caught by the checks above."""
    async with PracticeExchange(PracticeOptions(accounts=1, balance=D(10**6))) as exchange:
        day = Situation(exchange, 0, 7)
        day.deadline_s, day.barred = 30.0, False
        exchange.exchange.accounts[day.target.key].trading = "all"
        report = await a_run(exchange, tmp_path, [day.target]).run()
        assert day.check(report) == "flat"
        hold(exchange, day.target.key, "BTCUSDT", D("0.01"))
        day.before["BTCUSDT", "BOTH"] = D("0.02")
        with pytest.raises(AssertionError, match="it says flat"):
            day.check(report)

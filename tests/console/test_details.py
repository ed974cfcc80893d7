"""The detail screens, the metrics, and what they are made of: ladders, charts, timelines."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.console.balances import EVERY_MS, MOST_POINTS, Balances
from aster_tui.console.charts import balance_chart
from aster_tui.console.theme import DEFAULT, styles_of
from aster_tui.console.widgets.ladder import MOST_LINES, Level, ladder, place
from aster_tui.domain.metrics import Metrics
from aster_tui.domain.views import OrderStep, RequestView
from tests.console.driving import SMALL, Clock, console, line, overlay, painted, shown, until
from tests.console.scripted import NOW, Scripted, agent, fleet, order, position, trading

D = Decimal


async def test_an_agents_details_have_all_its_parts() -> None:
    checks = [
        {"name": "key", "agent": "NeuralSniper", "ok": True, "message": "signer 0x12"},
        {"name": "account", "agent": "NeuralSniper", "ok": False, "message": "it is empty"},
    ]
    told = trading(
        requests=(RequestView("1", "preflight", "", "failed", NOW, NOW, document={"checks": checks}),),
        orders=(order(0, open=True), order(8, open=False), order(16, status="FILLED")),
    )
    told = replace(
        told, agents=(replace(told.agents[0], thought="ETH looks tired, so I short it."), *told.agents[1:])
    )
    port, clock = Scripted(told), Clock()
    async with console(port, (120, 60), clock) as (app, pilot):
        for step in range(4):
            clock.now += EVERY_MS
            mine = replace(told.agents[0], balance=D(1000 + step), paper_balance=D(1001 + step))
            port.show(agents=(mine, *told.agents[1:]))
            await pilot.pause(0.3)
        await pilot.press("enter")
        text = overlay(app)
        for word in (
            "ETH looks tired",
            "✓ key",
            "✗ account",
            "it is empty",
            "✓ positions",
            "open orders",
            "last orders",
            "balance over this session",
            "1,004.00┤",
            "1,000.00┤",
            "on paper",
        ):
            assert word in text, word


async def test_a_positions_ladder_stands_in_the_order_of_prices() -> None:
    account = f"0x{0:040x}"
    held = position(
        0,
        key=f"{account}:BTCUSDT:BOTH",
        liquidation_price=D(60000),
        mark_price=D(65000),
        entry_price=D(64000),
    )
    stop = order(
        1,
        key="s",
        open=True,
        account=account,
        order_type="STOP_MARKET",
        stop_price=D(63000),
        side="SELL",
        reduce_only=True,
    )
    target = replace(stop, key="t", order_type="TAKE_PROFIT_MARKET", stop_price=D(66000))
    adding = replace(
        stop,
        key="l",
        order_type="LIMIT",
        stop_price=None,
        limit_price=D(62000),
        reduce_only=False,
        side="BUY",
    )
    async with console(Scripted(trading(positions=(held,), orders=(stop, target, adding)))) as (app, pilot):
        await pilot.press("2", "enter")
        text = overlay(app).partition("price ladder")[2]
        places = [
            text.index(word)
            for word in ("66,000.0", "65,000.0 ┼▸", "64,000.0 ┤", "63,000.0", "62,000.0", "60,000.0")
        ]
        assert places == sorted(places)
        assert "7.69 % away" in text
        assert "adds risk" in text
        assert "−3.08 %" in text


async def test_a_real_position_without_a_stop_says_so() -> None:
    async with console(Scripted(trading(positions=(position(0, stop_loss=None),)))) as (app, pilot):
        await pilot.press("2", "enter")
        assert "no stop protects it" in overlay(app)


async def test_an_orders_life_is_a_timeline_with_latencies_and_raw_answers() -> None:
    steps = (
        OrderStep(NOW, "intent", ""),
        OrderStep(NOW + 40, "unknown", "no answer", '{"code": "timeout"}'),
        OrderStep(NOW + 10_500, "resolved", "FILLED executed 0.01 at 64012.4", '{"status": "FILLED"}'),
    )
    async with console(Scripted(trading(orders=(order(0, history=steps),)))) as (app, pilot):
        await pilot.press("3", "enter")
        text = overlay(app)
        for word in ("+40 ms", "unknown", '{"code": "timeout"}', "+10 s", "from the first to the last"):
            assert word in text, word


@pytest.mark.parametrize("size", [SMALL, (120, 40), (200, 60)])
async def test_the_metrics_have_charts_and_windows(size: tuple[int, int]) -> None:
    figures = Metrics(
        orders=12, placed=11, doubted=1, success=D("0.91"), slippage_average=D(1), slippage_p95=D(3),
        latency_p50=40, latency_p95=80, latency_p99=120, errors={"rejected": 2},
    )  # fmt: skip
    metrics = {("", "24h"): figures, ("NeuralSniper", "24h"): figures, ("", "1h"): Metrics()}
    async with console(Scripted(trading(metrics=metrics)), size) as (app, pilot):
        await pilot.press("M")
        assert "12, 11 placed, 1 doubted" in overlay(app)
        assert "latency p95, ms" in overlay(app)
        assert "█" in overlay(app)
        await pilot.press("left")
        assert "no order was sent in this window" in overlay(app)
        assert "the fleet" in painted(app)


async def test_the_metrics_of_orders_that_were_all_refused_and_of_gains_by_slippage() -> None:
    refused = Metrics(orders=2, placed=0, success=D(0), errors={"rejected": 2})
    lucky = Metrics(orders=1, placed=1, slippage_average=D("-0.06"), slippage_p95=D("0.8"), latency_p50=4)
    metrics = {("", "24h"): refused, ("", "1h"): lucky}
    async with console(Scripted(trading(metrics=metrics))) as (app, pilot):
        await pilot.press("M")
        assert "latency   –" in overlay(app)
        assert "None" not in overlay(app)
        await pilot.press("left")
        assert "−0.06 bp on average, +0.80 bp p95" in overlay(app)


async def test_nothing_is_made_up_for_what_has_no_history() -> None:
    new, paper = agent(0, win_rate=D(50)), order(3, mode="paper", status="FILLED")
    async with console(Scripted(trading(agents=(new,), orders=(paper,))), (200, 60)) as (app, pilot):
        assert "50 %" not in shown(app, "agents")
        await pilot.press("enter")
        assert "none yet" in overlay(app)
        await pilot.press("escape", "3", "enter")
        assert "computed on paper: nothing was sent" in overlay(app)


async def test_the_command_log_and_the_operators_are_panes() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: "$ aster-tui leverage --agent QuantumVortex" in painted(app))
        assert "bo@desk-2" in painted(app)
        await until(pilot, lambda: "rosa (you)" in painted(app))
        assert "ARMED" in painted(app)
        await pilot.press("enter")
        assert "answered after 500 ms" in overlay(app)
        await pilot.press("escape", "6", "j", "enter")
        assert "desk-2" in overlay(app)
        await pilot.press("escape", "s", "c", "o", "escape")
        assert port.asked == []
        await pilot.press("5", "slash", *"neural", "enter")
        assert "hides 1" in painted(app)
        await pilot.press("1")
        await until(pilot, lambda: "Orders" in painted(app))
        assert "QuantumVortex: leverage" not in painted(app)


async def test_what_one_asks_for_is_in_the_log_at_once() -> None:
    port = Scripted(trading())
    port.show(
        requests=(
            RequestView("x", "sync NeuralSniper", "aster-tui sync --agent NeuralSniper", "running", NOW),
        )
    )
    async with console(port, SMALL) as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: "sync NeuralSniper" in painted(app))
        assert "running" in painted(app)
        assert "5 log 3" in line(app, "tabs")  # beside the audit's two


@given(st.lists(st.decimals("0.0001", "1000000", places=4), min_size=1, max_size=12), st.integers(1, 30))
def test_no_two_prices_share_a_line_and_none_is_out_of_order(prices: list[Decimal], lines: int) -> None:
    ordered = sorted(prices, reverse=True)
    rows = place(ordered, max(lines, len(ordered)))
    assert rows == sorted(set(rows))
    assert rows[0] == 0
    assert rows[-1] < max(MOST_LINES, len(rows))


def test_a_ladder_of_one_price_and_of_none() -> None:
    assert ladder([], None, 2, styles_of(DEFAULT)).plain == ""
    assert "entry" in ladder([Level("entry", D(5))], None, 2, styles_of(DEFAULT)).plain


def test_balances_stay_few_and_begin_and_end_where_they_did() -> None:
    balances, at = Balances(), NOW
    for number in range(5 * MOST_POINTS):
        at += EVERY_MS
        told = fleet(agents=0, positions=0)
        told = replace(told, agents=(agent(0, balance=D(number)), agent(1, stale=True)))
        balances.look(told, at)
    points = balances.of("a0")
    assert len(points) <= MOST_POINTS + 1
    assert points[0][1] == 0
    assert points[-1][1] > 4 * MOST_POINTS
    assert [p[0] for p in points] == sorted(p[0] for p in points)
    assert balances.of("a1") == ()


def test_a_balance_stands_on_the_line_of_its_own_figure() -> None:
    """The scale of a low chart named other lines than those the curve went along."""
    still = balance_chart([(NOW, D(1000), None), (NOW + 60_000, D(1000), None)], 70, 8).plain
    (line,) = [row for row in still.splitlines() if "⠒" in row]
    assert line.startswith("1,000.00┤")
    rising = balance_chart([(NOW + n, D(1000 + n), None) for n in range(50)], 70, 8).plain.splitlines()
    assert rising[1].startswith("1,049.00┤")
    assert rising[-3].startswith("1,000.00┤⣀")


def test_the_charts_are_imported_only_by_what_shows_one() -> None:
    code = "import sys, aster_tui.console.run, aster_tui.console.registry; sys.exit('plotext' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

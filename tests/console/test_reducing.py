"""Closing, halving, reversing, cancelling, changing, leverage: by keys, and what is asked of the engine."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.orders import LeverageForm, ModifyForm
from aster_tui.console.screens.reducing import SharePicker
from aster_tui.domain.commands import CancelOrders, ModifyOrder, ReducePosition, SetLeverage
from tests.console.driving import SMALL, confirm, console, line, painted, said, until
from tests.console.scripted import Scripted, agent, order, position, trading

D = Decimal


def limit(number: int, **changes: Any) -> Any:
    """An open limit order of the first agent."""
    values = {
        "key": f"c{number}",
        "agent": "NeuralSniper",
        "mode": "real",
        "order_type": "LIMIT",
        "status": "NEW",
        "open": True,
        "account": "0x0",
        "limit_price": D(63900),
        "side": "BUY",
        "quantity": D("0.002"),
        "executed": D(0),
    }
    return order(number, **{**values, **changes})


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("c", ReducePosition("a0", "BTCUSDT", D(1))),
        ("h", ReducePosition("a0", "BTCUSDT", D("0.5"))),
        ("r", ReducePosition("a0", "BTCUSDT", D(1), reverse=True)),
    ],
)
async def test_one_position_after_one_other_key(key: str, asked: ReducePosition) -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "2", key)
        assert isinstance(app.screen, Confirm)
        for word in ("PRACTICE", "NeuralSniper", "● REAL", "BTCUSDT long 0.010", "100.00 USDT"):
            assert word in said(app)
        await pilot.press("enter")
        assert not app.covered
        assert port.asked == []
        await pilot.press(key)
        await pilot.press(*[key] * 20)
        assert port.asked == []
        await confirm(app, pilot)
        assert port.asked == [asked]
        assert not app.covered


async def test_what_is_too_small_to_be_halved_is_said_before_it_is_asked_for() -> None:
    port = Scripted(trading(positions=(position(0, quantity=D("0.001")), position(3))))
    async with console(port) as (app, pilot):
        await pilot.press("2", "h")
        assert "too small to be halved: c closes it" in said(app)
        await pilot.press("escape", "c")
        assert "too small" not in said(app)
        await pilot.press("escape", "j", "h")
        assert "too small" not in said(app)


async def test_what_many_positions_come_to_is_seen_on_a_small_screen() -> None:
    many = tuple(position(3 * n, agent_id=f"a{n % 3}", mode="real") for n in range(12))
    async with console(Scripted(trading(positions=many)), SMALL) as (app, pilot):
        await pilot.press("2", "A", "c")
        for words in ("12 positions in BTCUSDT: 1,200.00 USDT", "type close and enter"):
            assert words in painted(app)


async def test_only_reversing_needs_arming() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "r")
        assert not app.covered
        assert "press a to arm" in line(app, "footer")
        await pilot.press("c")
        await confirm(app, pilot)
        assert len(port.asked) == 1


async def test_marked_positions_want_a_word_and_name_every_item_and_what_is_hidden() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "A", "slash", *"eth", "enter", "c")
        assert isinstance(app.screen, Confirm)
        text = said(app)
        for word in (
            "NeuralSniper",
            "QuantumVortex",
            "VoltCrane",
            "6 positions in BTCUSDT, ETHUSDT, ASTERUSDT",
        ):
            assert word in text
        assert "hidden by the filter" in text
        assert "5 paper positions are left out" in text
        await pilot.press("y", "enter")
        assert "another word" in said(app)
        await pilot.press("ctrl+u", *"close", "enter")
        assert [a.agent_id for a in port.asked if isinstance(a, ReducePosition)] == [
            "a0", "a1", "a2", "a0", "a1", "a2",
        ]  # fmt: skip


async def test_a_paper_position_is_not_closed() -> None:
    port = Scripted(trading(positions=(position(5),)))
    async with console(port) as (app, pilot):
        await pilot.press("2", "c")
        assert not app.covered
        assert "paper position" in line(app, "footer")


async def test_a_shared_position_asks_whose_share() -> None:
    shared = position(0, agent_id="a0+a1", agent="NeuralSniper+QuantumVortex")
    agents = (agent(0, shared_with=("QuantumVortex",)), agent(1, shared_with=("NeuralSniper",)))
    port = Scripted(trading(positions=(shared,), agents=agents))
    async with console(port) as (app, pilot):
        await pilot.press("2", "c")
        assert isinstance(app.screen, SharePicker)
        await pilot.press("down", "enter")
        assert "shared with NeuralSniper" in said(app)
        await confirm(app, pilot)
        assert port.asked == [ReducePosition("a1", "BTCUSDT", D(1))]
        await pilot.press("c", "end", "enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press(*"close", "enter")
        assert len(port.asked) == 3


async def test_an_open_order_is_cancelled_and_one_that_is_not_is_left() -> None:
    port = Scripted(
        trading(orders=(limit(0), limit(1, status="FILLED", open=False), limit(2, reduce_only=True)))
    )
    async with console(port) as (app, pilot):
        await pilot.press("3", "c")
        assert "BUY 0.002 BTCUSDT LIMIT at 63,900.0" in said(app)
        await confirm(app, pilot)
        assert port.asked == [CancelOrders("a0", "BTCUSDT", "c0")]
        await pilot.press("j", "c")
        assert "nothing there is open (FILLED)" in line(app, "footer")
        await pilot.press("A", "c")
        assert "1 of them protect a position in BTCUSDT" in said(app)
        assert "1 are not open any more" in said(app)
        await pilot.pause(0.2)  # or the first letter were the key that opened it, still down
        await pilot.press(*"cancel", "enter")
        assert port.asked[1:] == [CancelOrders("a0", "BTCUSDT", "c0"), CancelOrders("a0", "BTCUSDT", "c2")]


async def test_a_limit_order_is_changed_with_the_nearest_values() -> None:
    port = Scripted(trading(orders=(limit(0), limit(1, order_type="STOP_MARKET"))))
    async with console(port) as (app, pilot):
        await pilot.press("3", "e")
        assert "press a to arm" in line(app, "footer")
        await pilot.press("a", "e")
        assert isinstance(app.screen, ModifyForm)
        await pilot.press("ctrl+u", *"0.0015", "tab", "ctrl+u", *"63950.07")
        assert "ctrl+n takes" in said(app)
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, ModifyForm)
        await pilot.press("ctrl+n", "ctrl+n", "ctrl+s")
        assert "becomes 0.001 at 63950.1" in said(app)
        await confirm(app, pilot)
        assert port.asked == [ModifyOrder("a0", "BTCUSDT", "c0", D("0.001"), D("63950.1"))]
        assert not app.covered
        await pilot.press("j", "e")
        assert "only a resting limit order" in line(app, "footer")


@pytest.mark.parametrize("typed", ["", "x", "0", "11", "²"])
async def test_leverage_within_the_cap(typed: str) -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "2", "v")
        assert isinstance(app.screen, LeverageForm)
        assert "a position is open at 5×" in said(app)
        await pilot.press("ctrl+u", *typed, "ctrl+s")
        assert isinstance(app.screen, LeverageForm)
        assert port.asked == []
        await pilot.press("ctrl+u", "7", "ctrl+s")
        await confirm(app, pilot)
        assert port.asked == [SetLeverage("a0", "BTCUSDT", 7)]


async def test_a_long_list_scrolls_and_the_word_stays_on_the_screen() -> None:
    port = Scripted(trading(positions=tuple(position(n * 8, key=f"p{n}") for n in range(60))))
    async with console(port, SMALL) as (app, pilot):
        await pilot.press("2", "A", "c")
        text = painted(app)
        assert "type close and enter" in text
        assert "PRACTICE" in text
        assert "60 positions in" in text
        await pilot.press("pagedown", "pagedown", "pagedown", "pagedown", "pagedown")
        await until(pilot, lambda: "60 positions in" not in painted(app))

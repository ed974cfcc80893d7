"""The dead-man timer by keys: what it would cancel is named, and what is asked of the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.deadman import DeadManForm
from aster_tui.domain.commands import SetDeadMan
from tests.console.driving import SMALL, confirm, console, line, painted, said, until
from tests.console.scripted import Scripted, order, trading

ACCOUNT = f"0x{0:040x}"
RESTING = order(0, key="l", open=True, account=ACCOUNT, symbol="ETHUSDT", order_type="LIMIT")
STOP = replace(RESTING, key="s", symbol="BTCUSDT", order_type="STOP_MARKET", reduce_only=True)


@pytest.mark.parametrize("size", [SMALL, (120, 40)])
async def test_what_protects_positions_is_named_and_wants_the_word(size: tuple[int, int]) -> None:
    port = Scripted(trading(orders=(RESTING, STOP)))
    async with console(port, size) as (app, pilot):
        await pilot.press("D")
        assert isinstance(app.screen, DeadManForm)
        assert "leave them naked" in said(app)
        assert "BTCUSDT STOP_MARKET" in said(app)
        assert "other orders it would cancel: 1" in said(app)
        assert "ctrl+s set it" in painted(app)
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, Confirm)
        await pilot.press("y", "enter")
        assert port.asked == []
        await pilot.press("ctrl+u", *"timer", "enter")
        assert port.asked == [SetDeadMan(("a0",), ("ASTERUSDT", "BTCUSDT", "ETHUSDT"), 60)]


async def test_without_protection_one_key_does_and_taking_it_off_is_at_once() -> None:
    port = Scripted(trading(orders=(RESTING, STOP)))
    async with console(port) as (app, pilot):
        await pilot.press("D", "ctrl+u", *"eth", "tab", "ctrl+u", *"30", "ctrl+s")
        assert "30 s for ETHUSDT" in said(app)
        await confirm(app, pilot)
        assert port.asked == [SetDeadMan(("a0",), ("ETHUSDT",), 30)]
        port.show(dead_man={(ACCOUNT, "ETHUSDT"): 30})
        await until(pilot, lambda: "dead-man 30 s" in line(app, "header") or "†30s" in line(app, "header"))
        await pilot.press("D")
        assert "armed: 0x0000…0000 ETHUSDT 30 s" in said(app)
        port.show(dead_man_ending=((ACCOUNT, "ETHUSDT"),))
        await until(pilot, lambda: "†stop×1" in line(app, "header") or "being stopped" in line(app, "header"))
        assert "30s" not in line(app, "header")
        assert "being stopped: 0x0000…0000 ETHUSDT 30 s" in said(app)
        port.show(dead_man_ending=(), dead_man_lost=((ACCOUNT, "ETHUSDT"),))
        await until(pilot, lambda: "NOT HELD" in line(app, "header"))
        assert "30s" not in line(app, "header")
        assert "30 s" not in line(app, "header")
        assert "NOT HELD any more: 0x0000…0000 ETHUSDT 30 s" in said(app)
        await pilot.press("ctrl+u", "tab", "ctrl+u", "0", "ctrl+s")
        assert port.asked[1:] == [SetDeadMan(("a0",), (), 0)]


@pytest.mark.parametrize(
    ("typed", "says"),
    [("5", "from 10 to 3600"), ("x", "whole number"), ("", "whole number"), ("9999", "from 10")],
)
async def test_seconds_that_cannot_be_are_refused(typed: str, says: str) -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("D", "tab", "ctrl+u", *typed, "ctrl+s")
        assert says in said(app)
        await pilot.press("tab", "ctrl+u", *"nope", "tab", "ctrl+u", *"60", "ctrl+s")
        assert "not traded here: NOPEUSDT" in said(app)
        assert port.asked == []


async def test_a_paper_agent_has_nothing_to_hold_it_for() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("end", "D")
        assert not app.covered
        assert "trades on paper" in line(app, "footer")

"""Modes, preflight, halts: by keys, and what is asked of the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aster_tui.console.app import ConsoleApp
from aster_tui.console.screens.halt import HaltForm
from aster_tui.console.screens.modes import PaperDialog, RealDialog, WayPicker
from aster_tui.console.screens.preflight import PreflightDialog
from aster_tui.console.widgets.choice import Choice
from aster_tui.domain.commands import CancelRequest, Preflight, Request, SetMode, SetTrading
from aster_tui.domain.desk_state import DeskState
from aster_tui.domain.events import RequestEnded, RequestMoved, RequestStarted
from aster_tui.domain.views import RequestView
from tests.console.driving import SMALL, confirm, console, line, painted, said, until
from tests.console.scripted import NOW, Scripted, agent, trading

GOOD = {"name": "key", "agent": "DataSage", "ok": True, "message": "signer 0x12", "remedy": ""}
BAD = {"name": "account", "agent": "DataSage", "ok": False, "message": "it is empty", "remedy": "deposit"}


def request_id(port: Scripted, kind: type) -> str:
    return next(
        c.request_id for c in reversed(port.commands) if isinstance(c, Request) and isinstance(c.asked, kind)
    )


async def to_data_sage(app: ConsoleApp, pilot: Any) -> None:
    """Put the cursor on the first paper agent."""
    await pilot.press("j", "j", "j")


async def test_to_real_shows_each_check_and_wants_the_name() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await to_data_sage(app, pilot)
        await pilot.press("m")
        assert not app.covered
        assert "press a to arm" in line(app, "footer")
        await pilot.press("a", "m")
        assert isinstance(app.screen, RealDialog)
        assert port.asked == [Preflight(("a3",))]
        running = RequestView(
            request_id(port, Preflight), "", "", "running", NOW, said=("✓ clock: +4 ms", "✗ key: no")
        )
        port.show(requests=(running,))
        await until(pilot, lambda: "✗ key: no" in said(app))
        assert "✓ clock: +4 ms" in said(app)
        await pilot.press(*"DataSage", "enter")
        assert "not through yet" in said(app)
        port.show(requests=(replace(running, state="done", document={"checks": [GOOD]}),))
        await until(pilot, lambda: "✓ DataSage key: signer 0x12" in said(app))
        await pilot.press("ctrl+u", *"datasage", "enter")
        assert "that is not DataSage" in said(app)
        port.show(weight_used=999)
        await until(pilot, lambda: "999" in line(app, "header"))
        assert "that is not DataSage" in said(app)
        await pilot.press("ctrl+u", "enter")
        assert len(port.asked) == 1
        await pilot.press(*"DataSage", "enter")
        await pilot.press(*["enter"] * 20)
        assert port.asked[1:] == [SetMode(("a3",), paper=False)]
        document = {"agents": [{"name": "DataSage", "mode": "real", "ok": True, "why": ""}]}
        flipped = RequestView(
            request_id(port, SetMode), "", "", "done", NOW, NOW, "1 of 1", document=document
        )
        port.show(requests=(flipped,))
        await until(pilot, lambda: "DataSage trades for REAL" in said(app))


async def test_a_failed_preflight_flips_nothing_and_says_what_to_do() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await to_data_sage(app, pilot)
        await pilot.press("a", "m")
        failed = RequestView(
            request_id(port, Preflight),
            "",
            "",
            "failed",
            NOW,
            NOW,
            "1 of 2",
            document={"checks": [GOOD, BAD]},
        )
        port.show(requests=(failed,))
        await until(pilot, lambda: "→ deposit" in said(app))
        await until(pilot, lambda: "nothing is flipped" in painted(app))
        assert "real money from then on" not in painted(app), "no word does anything any more"
        await pilot.press(*"DataSage", "enter")
        assert "the preflight failed" in said(app)
        assert len(port.asked) == 1


async def test_leaving_stops_a_preflight_that_runs() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await to_data_sage(app, pilot)
        await pilot.press("a", "m", "escape")
        assert not app.covered
        assert port.commands[-1] == CancelRequest(request_id(port, Preflight))
        await pilot.press("P")
        assert isinstance(app.screen, PreflightDialog)
        await pilot.press("escape")
        assert port.commands[-1] == CancelRequest(request_id(port, Preflight))


async def test_several_to_real_want_the_count_and_a_word() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await to_data_sage(app, pilot)
        await pilot.press("a", "space", "space", "m")
        assert "type 2 real and enter" in painted(app)
        port.show(requests=(RequestView(request_id(port, Preflight), "", "", "done", NOW),))
        await pilot.pause(0.3)
        await pilot.press(*"2 real", "enter")
        assert port.asked[-1] == SetMode(("a3", "a4"), paper=False)


@pytest.mark.parametrize(("key", "close"), [("k", False), ("c", True)])
async def test_to_paper_asks_what_becomes_of_positions(key: str, close: bool) -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("m")
        assert isinstance(app.screen, PaperDialog)
        assert "BTCUSDT long 0.010" in said(app)
        await pilot.press("enter", "y", "m")
        assert port.asked == []
        await until(pilot, lambda: isinstance(app.screen, PaperDialog) and app.screen.was_seen)
        await pilot.press(key)
        assert port.asked == [SetMode(("a0",), paper=True, close_positions=close)]
        assert not app.covered


async def test_several_to_paper_want_the_word() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("space", "space", "m", "k", "enter")
        assert "type keep or close" in said(app)
        await pilot.press("ctrl+u", *"close", "enter")
        assert port.asked == [SetMode(("a0", "a1"), paper=True, close_positions=True)]


async def test_a_mixed_selection_asks_which_way() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "A", "m")
        assert isinstance(app.screen, WayPicker)
        await pilot.press("enter")
        assert isinstance(app.screen, PaperDialog)
        assert "VoltCrane" in said(app)
        await pilot.press("escape", "m", "down", "enter")
        assert isinstance(app.screen, RealDialog)
        assert "type 5 real" in painted(app)


@pytest.mark.parametrize("size", [SMALL, (120, 40)])
async def test_a_halt_is_asked_at_once_and_a_resume_after_a_question(size: tuple[int, int]) -> None:
    port = Scripted(trading())
    async with console(port, size) as (app, pilot):
        await pilot.press("H")
        assert isinstance(app.screen, HaltForm)
        assert "ctrl+s do it" in painted(app)
        await pilot.press("enter", "enter", *"bad news", "enter", "ctrl+s")
        assert port.asked == [SetTrading("HALTED", "bad news", ("a0",))]
        halted = agent(0, trading="HALTED", halt_reason="bad news")
        port.show(agents=(halted, *port.snapshot().agents[1:]))
        await pilot.pause(0.3)
        await pilot.press("H")
        assert "NeuralSniper is HALTED: bad news" in said(app)
        assert app.screen.query_one("#what", Choice).value == "resume"
        await pilot.press("ctrl+s")
        assert "wants a reason" in said(app)
        await pilot.press("enter", "enter", *"over", "ctrl+s")
        assert "press a to arm" in said(app)
        await pilot.press("escape", "a", "H", "enter", "enter", *"over", "ctrl+s")
        assert "may add risk again" in said(app)
        await confirm(app, pilot)
        assert port.asked[1:] == [SetTrading("ACTIVE", "over", ("a0",))]
        assert not app.covered


async def test_the_whole_fleet_is_halted_or_only_reduces() -> None:
    port = Scripted(trading())
    async with console(port) as (_, pilot):
        await pilot.press("H", "o", "tab", "t", "ctrl+s")
        assert port.asked == [SetTrading("REDUCING", "", ())]


def test_messages_of_a_request_are_kept_and_its_document_grows() -> None:
    desk = DeskState()
    handlers = desk.handlers()

    def apply(event: Any) -> None:
        handlers[type(event)](event)

    apply(RequestStarted(NOW, "1", "x"))
    for text in ("a", "a", "b"):
        apply(RequestMoved(NOW, "1", text))
    apply(RequestMoved(NOW, "1", "c", 1, 2, {"flat": False}))
    apply(RequestMoved(NOW, "1", "d"))
    view = desk.requests["1"]
    assert view.said == ("a", "b", "c", "d")
    assert view.document == {"flat": False}
    for number in range(500):
        apply(RequestMoved(NOW, "1", str(number)))
    assert len(desk.requests["1"].said) < 100
    apply(RequestEnded(NOW, "1", "done", "e", {"flat": True}))
    assert desk.requests["1"].document == {"flat": True}

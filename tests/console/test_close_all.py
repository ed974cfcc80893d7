"""The close-all panel by keys: at once, from everywhere, and what it says while it runs and at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from aster_tui.console.app import ConsoleApp
from aster_tui.console.screens.close_all import CloseAllPanel
from aster_tui.domain.commands import CloseAll, Request
from aster_tui.domain.views import FeedView, FleetSnapshot, RequestView
from tests.console.driving import SMALL, WIDE, console, line, painted, said, until
from tests.console.scripted import NOW, Scripted, trading

ACCOUNT = f"0x{0:040x}"


def progress(request_id: str, state: Any = "running", message: str = "", **document: Any) -> RequestView:
    return RequestView(
        request_id, "CLOSE ALL", "aster-tui close-all", state, NOW, 0, message, 1, 3, document=document
    )


def row(**changes: Any) -> dict[str, Any]:
    return {
        "account": ACCOUNT,
        "agents": ["NeuralSniper"],
        "positions_before": 2,
        "close_orders": [{"status": "FILLED"}, {"status": "NEW"}],
        "orders_cancelled": 3,
        "rounds": 1,
        "remaining": [],
        "open_orders_left": 0,
        "error": "",
        **changes,
    }


def asked_id(port: Scripted) -> str:
    return next(c.request_id for c in reversed(port.commands) if isinstance(c, Request))


async def start(pilot: Pilot[None]) -> None:
    await pilot.press("ctrl+x", *"flat", "enter")


@pytest.mark.parametrize("size", [SMALL, WIDE, (200, 60)])
async def test_one_chord_and_one_word_close_everything_disarmed(size: tuple[int, int]) -> None:
    port = Scripted(trading())
    async with console(port, size) as (app, pilot):
        await pilot.press("ctrl+x")
        text = painted(app)
        for word in (
            "CLOSE ALL",
            "PRACTICE",
            "EVERYTHING",
            "6 positions, 600.00 USDT",
            "type flat and enter",
        ):
            assert word in text
        assert "under 1 s, slippage about 0.12 and fees about 0.24" in text
        await pilot.press("enter", *"fla", "enter")
        assert port.asked == []
        await pilot.press("ctrl+u", *"flat", "enter")
        assert port.asked == [CloseAll()]
        await pilot.press(*["enter"] * 20)
        assert port.asked == [CloseAll()]


@pytest.mark.parametrize(
    "keys",
    [
        ("o",),
        ("question_mark",),
        ("colon",),
        ("slash", "b"),
        ("2", "c"),
        ("2", "A", "c"),
        ("H",),
        ("L",),
        ("m",),
        ("a", "j", "j", "j", "m"),
        ("enter",),
        ("C",),
        ("E",),
        ("a", "2", "v"),
        ("a", "2", "o", "ctrl+s"),
    ],
)
async def test_it_opens_above_everything(keys: tuple[str, ...]) -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press(*keys)
        below = app.screen
        await pilot.press("ctrl+x")
        assert isinstance(app.screen, CloseAllPanel)
        await pilot.press("ctrl+x", "ctrl+x")  # again is not out
        assert sum(isinstance(s, CloseAllPanel) for s in app.screen_stack) == 1
        await pilot.press(*"flat", "enter")
        assert port.asked[-1] == CloseAll()
        await pilot.press("escape")
        assert app.screen is below


async def test_the_scope_is_one_key_away() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "j", "ctrl+x", "tab")
        assert "QuantumVortex" in said(app)
        assert "NeuralSniper" not in said(app)
        await pilot.press("j", "tab")
        assert "2 positions, 200.00 USDT" in said(app)
        assert "ETHUSDT on every account" in painted(app)
        await pilot.press("tab", "ctrl+u", *"flat", "enter")
        assert port.asked == [CloseAll(("a1",), ("ETHUSDT",))]
        await pilot.press("escape", "ctrl+x", "shift+tab", *"flat", "enter")
        assert port.asked[-1] == CloseAll(("a1",), ("ETHUSDT",))


async def test_marked_agents_that_a_filter_hides_are_said() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("space", "space", "slash", *"quantum", "enter", "ctrl+x", "tab")
        assert "1 of them are hidden by the filter" in said(app)
        await pilot.press(*"flat", "enter")
        assert port.asked == [CloseAll(("a0", "a1"))]


async def test_each_account_is_shown_live_and_flat_only_when_it_is_proved() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await start(pilot)
        request = asked_id(port)
        going = row(remaining=[{"symbol": "BTCUSDT", "position_amt": "0.010", "why": ""}])
        port.show(requests=(progress(request, message="closing", flat=False, accounts=[going]),))
        await until(pilot, lambda: "BTCUSDT 0.010 is open" in said(app))
        assert "closing EVERYTHING" in said(app)
        assert "1 of 2 closes filled, 3 orders cancelled" in said(app)
        assert "FLAT " not in said(app)
        assert "CLOSING 1/3" in line(app, "header")
        await pilot.press("escape")
        assert not app.covered
        assert "CLOSING 1/3" in line(app, "header")
        await pilot.press("ctrl+x")
        assert "BTCUSDT 0.010 is open" in said(app)
        await pilot.press("escape")
        await start(pilot)
        request = asked_id(port)
        assert "closing EVERYTHING" in said(app)
        done = progress(
            request, "done", "flat: the exchange said so twice", flat=True, verified_at=NOW, elapsed_ms=812,
            accounts=[row()], incident="/state/incidents/x.md",
        )  # fmt: skip
        port.show(requests=(done,))
        await until(pilot, lambda: " FLAT " in said(app))
        await until(pilot, lambda: "closing EVERYTHING" not in said(app))
        assert "verified at the exchange at 20" in said(app)
        assert "0.81 s" in said(app)
        assert "/state/incidents/x.md" in said(app)
        assert "CLOSING" not in line(app, "header")
        assert "NOT FLAT" not in line(app, "header")


async def test_what_the_database_was_told_of_the_halt_is_followed_after_the_end() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await start(pilot)
        told = {"halt": "the fleet is halted on this machine", "halt_keys": ["fleet"]}
        done = progress(asked_id(port), "done", "flat", flat=True, accounts=[row()], **told)
        port.show(requests=(done,), untold=("fleet",))
        await until(pilot, lambda: "the database is told as soon as it can be" in said(app))
        port.show(untold=("somebody else",))
        await until(pilot, lambda: "halted on this machine; the database was told" in said(app))
        # Where the database has no part in it, nothing is said of it.
        alone = {"halt": "the fleet is halted on this machine; no database is configured", "halt_keys": []}
        done = progress(asked_id(port), "done", "flat", flat=True, accounts=[row()], **alone)
        port.show(requests=(done,))
        await until(pilot, lambda: "no database is configured" in said(app))
        assert "told" not in said(app)


async def test_what_remains_is_named_in_red_and_stays_in_the_header() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await start(pilot)
        left = row(
            remaining=[{"symbol": "ETHUSDT", "position_amt": "-0.42", "why": "the exchange refused"}],
            open_orders_left=2,
            error="two tries were refused",
        )
        ended = progress(
            asked_id(port),
            "failed",
            "NOT FLAT: ETHUSDT -0.42 left",
            flat=False,
            accounts=[left],
            elapsed_ms=60_000,
        )
        port.show(requests=(ended,))
        await until(pilot, lambda: "NOT FLAT" in said(app))
        for word in (
            "ETHUSDT -0.42 is open: the exchange refused",
            "2 open orders left",
            "two tries were refused",
        ):
            assert word in said(app)
        spans = [
            span.style for span in app.screen._drawn.spans if "ETHUSDT -0.42 is open" in _text(app, span)
        ]  # type: ignore[attr-defined]
        assert app.looks["alarm"] in spans
        await pilot.press("escape")
        assert "NOT FLAT" in line(app, "header")
        await pilot.press("ctrl+x")
        assert "6 positions" in said(app)  # it can be done again


def _text(app: ConsoleApp, span: Any) -> str:
    drawn = app.screen._drawn.plain  # type: ignore[attr-defined]
    return str(drawn[span.start : span.end])


@pytest.mark.parametrize("changes", [{"read_only": True}, {"locked": True}])
async def test_read_only_says_why_not_and_asks_nothing(changes: dict[str, Any]) -> None:
    port = Scripted(trading(**changes))
    async with console(port) as (app, pilot):
        await start(pilot)
        assert isinstance(app.screen, CloseAllPanel)
        assert "nothing can be closed from here" in said(app)
        assert "aster-tui close-all in another terminal" in said(app)
        assert "type flat" not in painted(app)
        assert port.asked == []


async def test_it_opens_before_anything_is_known_and_when_the_engine_is_gone() -> None:
    port = Scripted(FleetSnapshot(starting=("exchange",)))
    async with console(port) as (app, pilot):
        await pilot.press("ctrl+x")
        assert "not everything is known yet" in said(app)
        await pilot.press(*"flat", "enter")
        assert port.asked == [CloseAll()]
        port.failure = "the engine stopped"
        await pilot.press("escape", "ctrl+x")
        assert "in another terminal" in said(app)
        assert "type flat" not in painted(app)
        await pilot.press(*"flat", "enter")
        assert port.asked == [CloseAll()]


async def test_how_long_it_takes_is_said_in_seconds_and_never_as_none() -> None:
    slow = Scripted(trading(round_trip_ms=700))
    async with console(slow) as (app, pilot):
        await pilot.press("ctrl+x")
        assert "about 4.2 s" in painted(app)


async def test_an_account_without_a_usable_key_will_not_be_closed_and_is_named() -> None:
    port = Scripted(trading())
    feeds = tuple(
        replace(f, name="user:0x0000…0000", state="off", detail="no key")
        if f.name.startswith("user:0x01")
        else f
        for f in port.snapshot().feeds
    )
    port.show(feeds=(*feeds, FeedView("user:0x0000…0001", "live", NOW)))
    async with console(port) as (app, pilot):
        await pilot.press("ctrl+x")
        assert "WILL NOT BE CLOSED: no key" in said(app)
        assert "4 positions" in said(app)


async def test_the_networks_badge_colours_itself_only() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("ctrl+x")
        panel = app.screen
        assert isinstance(panel, CloseAllPanel)
        await pilot.press(*"flat")
        planned = panel.drawn(70)
        await pilot.press("enter")
        request = next(c.request_id for c in port.commands if isinstance(c, Request))
        port.show(requests=(progress(request, message="closing", flat=False, accounts=[row()]),))
        for text in (planned, panel.drawn(70)):
            assert text.plain.startswith(f" {port.snapshot().network} ")
            assert not text.style
            assert text.spans[0].end == text.plain.index("\n")

"""Keys in, and what reached the exchange and the database out: the console on a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from textual.pilot import Pilot

from aster_tui.console.app import ConsoleApp
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.screens.close_all import CloseAllPanel
from aster_tui.console.screens.modes import RealDialog
from aster_tui.console.screens.ticket import TicketScreen
from aster_tui.console.widgets.field import Field
from aster_tui.domain.views import RequestView
from aster_tui.engine.thread import EngineThread
from tests import rig
from tests.console.driving import SMALL, WIDE, confirm, line, painted, pane, said
from tests.floor import Floor, ready

D = Decimal


@asynccontextmanager
async def at(
    floor: Floor, size: tuple[int, int] = WIDE, *known: str
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None], EngineThread]]:
    """A console on the floor's engine, when the named agents are known."""
    with rig.running(floor.settings, floor.environment, attached=True) as engine:
        await ready(engine, *known)
        await rig.until(lambda: rig.feed(engine, "mongo") == "live", "the database is seen")
        app = ConsoleApp(engine, options=ConsoleOptions(state_folder=floor.settings.state_folder))
        async with app.run_test(size=size) as pilot:
            await seen(pilot, lambda: len(pane(app, "agents").rows) > 0)
            yield app, pilot, engine


async def seen(pilot: Pilot[None], condition: Callable[[], Any], what: str = "") -> Any:
    """Wait for a condition while the console goes on."""

    def looked() -> Any:
        return condition()

    return await rig.until(looked, what, 40)


def answers(engine: EngineThread) -> list[RequestView]:
    """What was asked for and has ended, newest first."""
    return [r for r in engine.snapshot().requests if r.state != "running"]


async def answered(pilot: Pilot[None], engine: EngineThread, count: int) -> RequestView:
    """The newest answer, when there are so many."""
    await seen(pilot, lambda: len(answers(engine)) >= count, f"{count} answers")
    return answers(engine)[0]


def paper(floor: Floor, name: str) -> bool:
    """Whether an agent trades on paper, by its document."""
    found = floor.database.agents.find_one({"name": name})["isPaperTrading"]
    assert isinstance(found, bool)
    return found


async def fill(app: ConsoleApp, pilot: Pilot[None], **texts: str) -> None:
    """Type into the ticket."""
    for name, text in texts.items():
        app.screen.query_one(f"#{name}").focus()
        if isinstance(app.screen.query_one(f"#{name}"), Field):
            await pilot.press("ctrl+u")
        await pilot.press(*text)
    await pilot.pause()


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_a_ticket_tests_then_places_exactly_one_order(floor: Floor, size: tuple[int, int]) -> None:
    floor.add("Real", 0)
    async with at(floor, size, "Real") as (app, pilot, _):
        await pilot.press("a", "o", *"btc", "enter")
        assert isinstance(app.screen, TicketScreen)
        await fill(app, pilot, quantity="0.001")
        await pilot.press("ctrl+t")
        await seen(pilot, lambda: "TEST ✓" in said(app), "the test's answer")
        assert await floor.requests("POST /fapi/v3/order/test") == 1
        assert await floor.requests("POST /fapi/v3/order") == 0
        assert floor.amount(0, "BTCUSDT") == 0
        await pilot.press(*["ctrl+s"] * 10)
        await confirm(app, pilot)
        await pilot.press(*["y"] * 30)
        await seen(pilot, lambda: "✓ FILLED" in said(app), "the answer")
        assert floor.amount(0, "BTCUSDT") == D("0.001")
        assert await floor.requests("POST /fapi/v3/order") == 1
        stored = await rig.until(lambda: floor.database.orders.find_one({"purpose": "operator"}))
        assert stored["status"] == "FILLED"
        await rig.until(lambda: floor.database.audit.count_documents({}) == 4, "both are in the audit")
        await pilot.press("escape", "5")
        await seen(
            pilot, lambda: "$ aster-tui order --agent Real --symbol BTCUSDT --side buy" in painted(app)
        )


async def test_an_order_whose_answer_is_lost_is_never_sent_twice_and_is_found_out(floor: Floor) -> None:
    floor.add("Real", 0)
    async with at(floor, WIDE, "Real") as (app, pilot, engine):
        await floor.fault("lost-reply", 1.0)
        await pilot.press("a", "o", *"btc", "enter")
        await fill(app, pilot, quantity="0.001")
        await pilot.press("ctrl+s")
        await confirm(app, pilot)
        await seen(pilot, lambda: floor.amount(0, "BTCUSDT") == D("0.001"), "executed")
        await floor.fault("lost-reply", 0)
        view = await answered(pilot, engine, 1)
        assert view.state in ("done", "unknown")
        await seen(pilot, lambda: "✓" in said(app) or "OUTCOME UNKNOWN" in said(app))
        assert floor.amount(0, "BTCUSDT") == D("0.001")


async def test_what_a_safeguard_refuses_never_leaves(floor: Floor) -> None:
    floor.add("Real", 0)
    async with at(floor, WIDE, "Real") as (app, pilot, _):
        await pilot.press("a", "o", *"btc", "enter")
        await fill(app, pilot, size_usd="5000")
        assert "order size" in said(app)
        await pilot.press("ctrl+s", "enter", "ctrl+t")
        await seen(pilot, lambda: "refused" in said(app))
        assert await floor.requests("POST /fapi/v3/order") == 0
        assert await floor.requests("POST /fapi/v3/order/test") == 0


async def test_positions_are_halved_reversed_and_closed_and_orders_changed_and_cancelled(
    floor: Floor,
) -> None:
    floor.add("Real", 0)
    async with at(floor, WIDE, "Real") as (app, pilot, engine):
        await pilot.press("a", "o", *"btc", "enter")
        await fill(app, pilot, quantity="0.002")
        await pilot.press("ctrl+s")
        await confirm(app, pilot)
        await seen(pilot, lambda: floor.amount(0, "BTCUSDT") == D("0.002"))
        await pilot.press("escape", "2")
        await seen(pilot, lambda: len(pane(app, "positions").rows) == 1)
        await pilot.press("h")
        await confirm(app, pilot)
        await seen(pilot, lambda: floor.amount(0, "BTCUSDT") == D("0.001"), "halved")
        await answered(pilot, engine, 2)
        await seen(pilot, lambda: [v.quantity for v in pane(app, "positions").shown_views] == [D("0.001")])
        await pilot.press("r")
        await confirm(app, pilot)
        await seen(pilot, lambda: floor.amount(0, "BTCUSDT") == D("-0.001"), "reversed")
        await answered(pilot, engine, 3)
        await seen(pilot, lambda: [v.side for v in pane(app, "positions").shown_views] == ["short"])
        await pilot.press("c")
        await confirm(app, pilot)
        await seen(pilot, lambda: floor.amount(0, "BTCUSDT") == 0, "closed")
        await answered(pilot, engine, 4)
        mark = engine.snapshot().marks["ETHUSDT"]
        price = (mark * D("0.99")).quantize(D("0.01"))
        await pilot.press("1", "o", *"eth", "enter")
        await fill(app, pilot, type="l", size_usd="60", price=str(price))
        await pilot.press("ctrl+s")
        await confirm(app, pilot)
        await seen(pilot, lambda: len(floor.open_orders(0)) == 1, "it rests")
        await pilot.press("escape", "3")
        await seen(pilot, lambda: any(o.open for o in pane(app, "orders").shown_views))
        await pilot.press("slash", *"lmt", "enter", "e")
        await fill(app, pilot, price=str((mark * D("0.985")).quantize(D("0.01"))))
        await pilot.press("ctrl+s")
        await confirm(app, pilot)
        view = await answered(pilot, engine, 6)
        assert view.state == "done", view
        (resting,) = floor.open_orders(0)
        assert resting.price < price
        orders = pane(app, "orders")
        await seen(pilot, lambda: any(o.open and o.price == resting.price for o in orders.shown_views))
        await pilot.press("c")
        await confirm(app, pilot)
        await seen(pilot, lambda: floor.open_orders(0) == [], "cancelled")


async def test_an_agent_is_flipped_to_real_after_its_preflight_and_back(floor: Floor) -> None:
    account = floor.accounts[0]
    floor.add(
        "Flipper",
        None,
        isPaperTrading=True,
        asterUserAddress=account["user"],
        asterSignerAddress=account["signer"],
    )
    floor.environment |= rig.keys(Flipper=account)
    async with at(floor, WIDE) as (app, pilot, engine):
        await pilot.press("a", "m")
        assert isinstance(app.screen, RealDialog)
        await seen(pilot, lambda: "✓ Flipper test order" in said(app), "the preflight")
        assert paper(floor, "Flipper")
        await pilot.press(*"Flipper", "enter")
        await seen(pilot, lambda: "Flipper trades for REAL" in said(app), "flipped")
        assert not paper(floor, "Flipper")
        assert (await floor.state())["executed_orders"] == 0
        await pilot.press("escape")
        await seen(pilot, lambda: (a := rig.agent(engine, "Flipper")) and a.mode == "real")
        await pilot.pause(0.3)
        await pilot.press("m")
        await seen(pilot, lambda: app.screen.was_seen)  # type: ignore[attr-defined]
        await pilot.press("k")
        await seen(pilot, lambda: paper(floor, "Flipper"))


async def test_a_preflight_without_a_key_flips_nothing(floor: Floor) -> None:
    floor.add("Keyless", None, isPaperTrading=True, asterUserAddress=floor.accounts[0]["user"])
    async with at(floor, WIDE) as (app, pilot, _):
        await pilot.press("a", "m")
        await seen(pilot, lambda: "✗ Keyless key" in said(app))
        await pilot.press(*"Keyless", "enter")
        assert "the preflight failed" in said(app)
        assert paper(floor, "Keyless")


async def test_halt_holds_the_ticket_and_resume_wants_arming_and_a_reason(floor: Floor) -> None:
    floor.add("Real", 0)
    async with at(floor, WIDE, "Real") as (app, pilot, engine):
        await pilot.press("H", "enter", "enter", *"drill", "ctrl+s")
        await seen(pilot, lambda: (a := rig.agent(engine, "Real")) and a.trading == "HALTED")
        await pilot.press("a", "o", *"btc", "enter")
        await fill(app, pilot, quantity="0.001")
        await seen(pilot, lambda: "Real is HALTED: drill" in said(app))
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, TicketScreen)
        await pilot.press("escape", "H", "enter", "enter", *"over", "ctrl+s")
        await confirm(app, pilot)
        await seen(pilot, lambda: (a := rig.agent(engine, "Real")) and a.trading == "ACTIVE")


async def test_a_sync_reaches_the_database_and_its_drift_is_told(floor: Floor) -> None:
    floor.add("Real", 0)
    async with at(floor, WIDE, "Real") as (app, pilot, engine):
        await pilot.press("S")
        view = await answered(pilot, engine, 1)
        assert view.state == "done", view
        await seen(pilot, lambda: "1 of 1 agents synced" in line(app, "footer"))
        document = floor.database.agents.find_one({"name": "Real"})
        assert document["balance"] == pytest.approx(float(rig.agent(engine, "Real").balance))  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_close_all_by_keys_is_flat_by_the_exchanges_word(floor: Floor, size: tuple[int, int]) -> None:
    floor.add("One", 0)
    floor.add("Two", 1)
    async with at(floor, size, "One", "Two") as (app, pilot, engine):
        await pilot.press("a", "o", *"btc", "enter")
        await fill(app, pilot, quantity="0.001")
        await pilot.press("ctrl+s")
        await confirm(app, pilot)
        await seen(pilot, lambda: floor.amount(0, "BTCUSDT") == D("0.001"))
        await pilot.press("ctrl+x")
        assert isinstance(app.screen, CloseAllPanel)
        await pilot.press(*"flat", "enter")
        await seen(pilot, lambda: " FLAT " in said(app), "flat")
        assert floor.amount(0, "BTCUSDT") == 0
        assert "verified at the exchange" in said(app)
        assert "incident report: " in said(app)
        state = await floor.state()
        assert all(not account["positions"] for account in state["accounts"].values())
        assert engine.snapshot().trading == "HALTED"


async def test_the_dead_man_timer_is_held_at_the_exchange(floor: Floor) -> None:
    floor.add("Real", 0)
    async with at(floor, WIDE, "Real") as (app, pilot, engine):
        await pilot.press("D", *"btc", "ctrl+s")
        await confirm(app, pilot)
        await seen(pilot, lambda: engine.snapshot().dead_man, "armed")
        assert await floor.requests("POST /fapi/v3/countdownCancelAll") >= 1
        await seen(pilot, lambda: "60" in line(app, "header"))
        await pilot.press("D", "tab", "ctrl+u", "0", "ctrl+s")
        await seen(pilot, lambda: not engine.snapshot().dead_man, "taken off")


async def test_a_locked_console_does_nothing_until_it_is_unlocked(floor: Floor) -> None:
    floor.add("Real", 0)
    async with at(floor, WIDE, "Real") as (app, pilot, _):
        await pilot.press("L")
        await seen(pilot, lambda: app._shown and app._shown.locked)
        await pilot.press("a", "o", "ctrl+x", *"flat", "enter")
        assert "nothing can be closed from here" in said(app)
        await pilot.press("escape", "L", *"unlock", "enter")
        await seen(pilot, lambda: app._shown and not app._shown.locked)
        await pilot.press("a")
        assert "ARMED" in line(app, "header")


async def test_consoles_see_each_other_and_who_is_armed(floor: Floor) -> None:
    floor.add("Real", 0)
    other = floor.settings.model_copy(update={"state_dir": floor.settings.state_folder / "other"})
    async with at(floor, WIDE, "Real") as (app, pilot, _):
        with rig.running(other, floor.environment, attached=True) as second:
            await pilot.press("a")
            await seen(
                pilot,
                lambda: any(c.armed and not c.mine for c in second.snapshot().consoles),
                "the other sees it",
            )
            await pilot.press("6")
            await seen(pilot, lambda: "(you)" in painted(app) and len(pane(app, "operators").rows) == 2)

"""The order ticket by keys: what is typed, what is said about it, and what is asked of the engine."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from aster_tui.console.app import ConsoleApp
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.ticket import TicketScreen
from aster_tui.console.widgets.choice import Choice
from aster_tui.console.widgets.field import Field
from aster_tui.console.widgets.symbol_field import matching
from aster_tui.domain.commands import PlaceOrder, Request
from aster_tui.domain.ticket import Ticket
from tests.console.driving import SMALL, WIDE, confirm, console, line, painted, said, until
from tests.console.scripted import Scripted, answered, trading

D = Decimal


def field(app: ConsoleApp, name: str) -> Field:
    return app.screen.query_one(f"#{name}", Field)


async def type_into(app: ConsoleApp, pilot: Pilot[None], **texts: str) -> None:
    """Type into fields by their names; choices by their first letters."""
    for name, text in texts.items():
        app.screen.query_one(f"#{name}").focus()
        await pilot.pause()
        if isinstance(app.screen.query_one(f"#{name}"), Field):
            await pilot.press("ctrl+u")
        await pilot.press(*text)
    await pilot.pause()


async def test_a_market_order_from_key_to_request() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "o", *"eth", "enter")
        await type_into(app, pilot, quantity="0.05")
        assert "155.10 USDT" in said(app)
        # Only the exchange knows the leverage of a symbol without a position.
        assert "12 of 14 safeguards" in said(app)
        assert "asked when it is sent: margin, leverage" in said(app)
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, Confirm)
        for word in ("PRACTICE", "NeuralSniper", "● REAL", "0x0000", "BUY 0.05 ETHUSDT", "155.10 USDT"):
            assert word in said(app)
        assert port.asked == []
        await confirm(app, pilot)
        assert port.asked == [PlaceOrder("a0", Ticket("ETHUSDT", "BUY", quantity=D("0.05")))]
        assert isinstance(app.screen, TicketScreen)
        request = port.commands[-1]
        assert isinstance(request, Request)
        port.show(requests=(answered(request.request_id, "done", "FILLED: 0.05 ETHUSDT at 3101.9"),))
        await until(pilot, lambda: "✓ FILLED: 0.05 ETHUSDT" in said(app))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("unknown", "OUTCOME UNKNOWN, something may be live"),
        ("refused", "✗ refused: no"),
        ("failed", "✗ failed: no"),
        ("unreachable", "✗ not reached: no"),
    ],
)
async def test_every_answer_stands_in_the_ticket(state: Any, words: str) -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "o")
        await type_into(app, pilot, quantity="0.002")
        await pilot.press("ctrl+t")
        assert port.asked == [PlaceOrder("a0", Ticket("BTCUSDT", "BUY", quantity=D("0.002")), test=True)]
        request = port.commands[-1]
        assert isinstance(request, Request)
        port.show(requests=(answered(request.request_id, state, "no", remedy="wait"),))
        await until(pilot, lambda: words in said(app))
        assert "TEST" in said(app)
        assert "→ wait" in said(app)


async def test_what_is_said_after_an_answer_is_not_lost_under_it() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "2", "o")
        await type_into(app, pilot, quantity="0.002")
        await pilot.press("ctrl+t")
        request = port.commands[-1]
        assert isinstance(request, Request)
        port.show(requests=(answered(request.request_id, "done", "the exchange takes it"),))
        await until(pilot, lambda: "TEST ✓" in said(app))
        await type_into(app, pilot, quantity="0.0025")
        await pilot.press("ctrl+s")
        assert "not sent: the quantity moves in steps" in said(app)
        port.show(weight_used=999)
        await until(pilot, lambda: "999" in line(app, "header"))
        assert "not sent: the quantity moves in steps" in said(app)
        assert "TEST ✓" not in said(app)
        await type_into(app, pilot, quantity="", size_usd="y")
        await pilot.press("ctrl+s")
        assert "not sent: USD: not a number" in said(app)


async def test_every_type_has_its_own_fields() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "o")
        await type_into(app, pilot, quantity="0.002", type="l", price="63900", tif="i", side="s")
        await pilot.press("ctrl+t")
        ticket = Ticket("BTCUSDT", "SELL", "limit", quantity=D("0.002"), price=D(63900), time_in_force="IOC")
        assert port.asked == [PlaceOrder("a0", ticket, test=True)]
        assert app.screen.query_one("#stop_price").disabled
        port.show(requests=tuple(answered(c.request_id) for c in port.commands if isinstance(c, Request)))
        await until(pilot, lambda: "✓" in said(app))
        await type_into(app, pilot, type="tt", callback_rate="0.5", reduce_only="y")
        assert app.screen.query_one("#price").disabled
        await pilot.press("ctrl+t")
        asked = port.asked[-1]
        assert isinstance(asked, PlaceOrder)
        assert asked.ticket == Ticket(
            "BTCUSDT",
            "SELL",
            "trailing-stop-market",
            quantity=D("0.002"),
            callback_rate=D("0.5"),
            reduce_only=True,
        )


async def test_a_symbol_that_stands_there_is_typed_over() -> None:
    async with console(Scripted(trading())) as (app, pilot):
        await pilot.press("o", *"eth", "enter", "escape", "o", "up", "up", "up")
        assert app.focused is field(app, "symbol")
        await pilot.press(*"btc", "enter")
        assert field(app, "symbol").value == "BTCUSDT"


async def test_disarmed_only_what_adds_no_risk_is_sent() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "o")
        await type_into(app, pilot, quantity="0.002")
        await pilot.press("ctrl+s")
        assert "not armed: press a" in said(app)
        assert isinstance(app.screen, TicketScreen)
        await type_into(app, pilot, reduce_only="y", side="s")
        await pilot.press("ctrl+s")
        await confirm(app, pilot)
        asked = port.asked
        assert asked == [PlaceOrder("a0", Ticket("BTCUSDT", "SELL", quantity=D("0.002"), reduce_only=True))]


async def test_what_is_typed_is_kept_until_it_is_placed() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "o")
        await type_into(app, pilot, quantity="0.002", type="l", price="64000")
        await pilot.press("ctrl+s", "escape", "a", "o")
        assert (field(app, "quantity").value, field(app, "price").value) == ("0.002", "64000")
        assert app.screen.query_one("#type", Choice).value == "limit"
        await pilot.press("ctrl+s")
        await confirm(app, pilot)
        await pilot.press("escape", "o")
        assert field(app, "quantity").value == ""
        await pilot.press("escape", "j", "o")
        assert app.screen.query_one("#agent", Choice).value == "a1"


async def test_enter_alone_and_a_held_key_confirm_nothing_and_place_once() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "2", "o")
        await type_into(app, pilot, quantity="0.002")
        await pilot.press("ctrl+s", "enter")
        assert isinstance(app.screen, TicketScreen)
        await pilot.press(*["ctrl+s"] * 50)
        assert sum(isinstance(screen, Confirm) for screen in app.screen_stack) == 1
        await until(pilot, lambda: isinstance(app.screen, Confirm) and app.screen.was_seen)
        await pilot.press(*["y"] * 50)
        assert len(port.asked) == 1
        assert field(app, "quantity").value == "0.002"
        await pilot.press("ctrl+s")
        assert "still under way" in said(app)
        assert len(port.asked) == 1


async def test_a_key_typed_ahead_of_the_question_does_not_confirm() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "2", "o")
        await type_into(app, pilot, quantity="0.002")
        await pilot.press("ctrl+s")
        screen = app.screen
        assert isinstance(screen, Confirm)
        screen._seen_at = 0.0
        screen._look.stop()
        await pilot.press("y")
        assert "read it first" in said(app)
        assert port.asked == []


async def test_what_changed_while_the_question_stood_is_judged_again() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "2", "o")
        await type_into(app, pilot, quantity="0.002")
        await pilot.press("ctrl+s")
        port.show(locked=True)
        await pilot.pause(0.3)
        await confirm(app, pilot)
        assert "locked to read-only" in said(app)
        assert port.asked == []


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"quantity": "NaN"}, "quantity: not a number"),
        ({"quantity": "1e99"}, "quantity: not a number"),
        ({"quantity": "٣"}, "quantity: not a number"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "9" * 60}, "quantity"),
        ({"size_usd": "many"}, "USD: not a number"),
        ({"quantity": "1", "size_usd": "10"}, "either a quantity or a size"),
        ({"quantity": "0.0025"}, "ctrl+n takes 0.002"),
        ({"size_usd": "1"}, "less than the smallest order"),
        ({"quantity": "0.01"}, "20 % of the balance"),
        ({"type": "l", "quantity": "0.001", "price": "70000"}, "price collar"),
        ({"type": "l", "quantity": "0.001", "price": "Infinity"}, "price: not a number"),
        ({"type": "s", "quantity": "0.001", "stop_price": "60000"}, "would trigger at once"),
        ({"type": "tt", "quantity": "0.001", "callback_rate": "9"}, "ctrl+n takes 5"),
        ({"symbol": "no such"}, "no such symbol"),
    ],
)
async def test_bad_input_is_said_field_by_field_and_never_sent(texts: dict[str, str], says: str) -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("a", "2", "o")
        await type_into(app, pilot, **texts)
        assert says in said(app)
        await pilot.press("ctrl+s")
        assert not isinstance(app.screen, Confirm)
        assert port.asked == []


async def test_a_key_takes_the_nearest_value() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "o")
        await type_into(app, pilot, type="l", quantity="0.0025", price="64000.123")
        await pilot.press("ctrl+n", "ctrl+n")
        assert (field(app, "quantity").value, field(app, "price").value) == ("0.002", "64000.1")
        await type_into(app, pilot, type="m", quantity="", size_usd="1")
        await pilot.press("ctrl+n")
        assert field(app, "size_usd").value == "64.02"
        assert "✗" not in said(app)
        await pilot.press("ctrl+n")
        assert "no nearer value" in said(app)


async def test_a_pasted_novel_is_cut_and_said() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("2", "o")
        app.screen.post_message(events.Paste("call me Ishmael " * 50_000))
        await until(pilot, lambda: "cut to" in said(app))
        assert len(field(app, "quantity").value) <= 40
        assert "not a number" in said(app)


async def test_the_symbol_is_found_by_a_part_of_its_name() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("o")
        await until(pilot, lambda: "▸ ASTERUSDT" in said(app))
        await pilot.press("down", "down")
        assert "▸ ETHUSDT" in said(app)
        await pilot.press("tab")
        assert field(app, "symbol").value == "ETHUSDT"


def test_the_likeliest_symbol_comes_first() -> None:
    symbols = ["BTCDOMUSDT", "WBTCUSDT", "BTCUSDT", "ETHUSDT"]
    assert matching("btc", symbols) == ["BTCUSDT", "BTCDOMUSDT", "WBTCUSDT"]
    assert matching("BTCUSDT", symbols)[0] == "BTCUSDT"
    assert matching("é", symbols) == []
    assert matching("", symbols) == sorted(symbols)


@pytest.mark.parametrize("size", [SMALL, WIDE, (200, 60)])
async def test_the_whole_ticket_is_on_the_screen_at_every_size(size: tuple[int, int]) -> None:
    port = Scripted(trading())
    async with console(port, size) as (app, pilot):
        await pilot.press("2", "o")
        await type_into(app, pilot, quantity="0.0025")
        text = painted(app)
        for word in ("reduce-only", "PRACTICE", "ctrl+n takes 0.002", "ctrl+s place", "notional"):
            assert word in text, size


async def test_without_a_real_agent_or_in_read_only_there_is_no_ticket() -> None:
    paper = trading()
    paper_only = tuple(a for a in paper.agents if a.mode == "paper")
    for told in (trading(read_only=True), trading(locked=True), trading()):
        port = Scripted(told)
        if not (told.read_only or told.locked):
            port.show(agents=paper_only)
        async with console(port) as (app, pilot):
            await pilot.press("o")
            assert not app.covered


async def test_nothing_typed_takes_no_symbol_and_keys_typed_ahead_are_not_lost() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("o", "enter")
        assert field(app, "symbol").value == ""
        await pilot.press("escape")
        driver = app._driver
        assert driver is not None
        # All there before the ticket is, and the key that opens it a little too long down.
        for key in ("o", "o", "o", *"eth", "enter", "enter", "enter", *"0.001"):
            name = "full_stop" if key == "." else key
            event = events.Key(name, key if len(key) == 1 else "\r")
            event.set_sender(app)
            driver.send_message(event)
        # One after another, so the number is there when its last digit is, and not before.
        await until(
            pilot,
            lambda: any(one.value.endswith("1") for one in app.screen.query("#quantity").results(Field)),
        )
        assert field(app, "symbol").value == "ETHUSDT"
        assert field(app, "quantity").value == "0.001"

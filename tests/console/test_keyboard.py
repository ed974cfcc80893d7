"""Keys that come faster than they can be done: what cannot wait comes first, and a flood is left out."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from aster_tui.console.app import ConsoleApp
from aster_tui.console.keyboard import MOST_WAITING, ActingScreen
from aster_tui.console.screens.close_all import CloseAllPanel
from tests.console.driving import console, line, until
from tests.console.scripted import Scripted, trading


def come(app: ConsoleApp, *keys: str) -> None:
    """Keys come all at once, as a line that hung gives them."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_what_cannot_wait_comes_while_others_wait_for_a_dialog_to_stand() -> None:
    async with console(Scripted(trading())) as (app, pilot):
        await pilot.press("o")
        ticket = app.screen
        assert isinstance(ticket, ActingScreen)
        ticket.standing.clear()  # as on a machine that has not put it together yet
        come(app, "b", "t")
        await until(pilot, lambda: not app.keyboard.idle)
        come(app, "ctrl+x")
        await until(pilot, lambda: isinstance(app.screen, CloseAllPanel))
        ticket.standing.set()
        await until(pilot, lambda: app.keyboard.idle)
        await pilot.press(*"fla")
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == "fla")


async def test_a_flood_is_left_out_and_what_cannot_wait_comes_through_it() -> None:
    port = Scripted(trading())
    async with console(port) as (app, pilot):
        await pilot.press("o")
        come(app, *("1xq" * MOST_WAITING))
        await until(pilot, lambda: "too many keys at once" in line(app, "footer"))
        come(app, *("y" * 40), *("a b" * MOST_WAITING), "ctrl+x", *"flat")
        await until(pilot, lambda: isinstance(app.screen, CloseAllPanel))
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == "flat")
        assert port.asked == []

"""Dialogs close themselves alone, and once."""

from __future__ import annotations

from rich.text import Text

from aster_tui.console.details import Overlay
from aster_tui.console.palette import Palette
from tests.console.driving import console, until
from tests.console.scripted import Scripted, fleet


def text_of(words: str) -> Overlay:
    return Overlay(words, lambda width: Text(words))


async def test_what_closes_twice_takes_nothing_else_away() -> None:
    async with console(Scripted(fleet())) as (app, pilot):
        below, above = text_of("below"), text_of("above")
        await app.push_screen(below)
        await app.push_screen(above)
        above.dismiss()
        above.dismiss()
        assert app.screen is below
        below.dismiss()
        below.dismiss()
        assert not app.covered
        await pilot.press("1")


async def test_what_closes_below_another_leaves_that_one_and_is_gone_after_it() -> None:
    async with console(Scripted(fleet())) as (app, pilot):
        below = text_of("below")
        await app.push_screen(below)
        await pilot.press("ctrl+x")
        panel = app.screen
        assert panel is not below
        below.dismiss()
        assert app.screen is panel
        await pilot.press("escape")
        await until(pilot, lambda: not app.covered)


async def test_the_palette_knows_no_page_before_it_is_laid_out() -> None:
    async with console(Scripted(fleet())) as (app, pilot):
        await pilot.press("colon")
        assert isinstance(app.screen, Palette)
        app.screen._action_command_list("page_down")
        await pilot.press("escape")
        await until(pilot, lambda: not app.covered)

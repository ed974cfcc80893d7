"""The palette: every action by its name, with its key, its danger and why it cannot be done now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from rich.text import Text
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.css.query import NoMatches
from textual.worker import Worker

from aster_tui.console import format as fmt
from aster_tui.console.actions import Action
from aster_tui.console.layer import Closing

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

#: What an action can change, in words.
DANGERS = {"none": "", "write": "writes into MongoDB", "risk": "can change an account"}


class ActionProvider(Provider):
    """The registry's actions, found by any letters of their titles, ids and keys."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in self._actions():
            yield DiscoveryHit(
                entry(self._console, action), partial(self._console.do, action.id), action.title
            )

    async def search(self, query: str) -> Hits:
        """Those that match, best first."""
        matcher = self.matcher(query)
        for action in self._actions():
            score = max(matcher.match(text) for text in (action.title, action.id))
            if query == action.shown:
                score = 2.0  # the key itself: no title can match better
            if score > 0:
                line = entry(self._console, action)
                yield Hit(score, line, partial(self._console.do, action.id), action.title)

    @property
    def _console(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def _actions(self) -> Iterator[Action]:
        return (a for a in self._console.registry.actions if a.id != "palette")


def entry(app: ConsoleApp, action: Action) -> Text:
    """An action's lines in the palette."""
    styles, why = app.looks, app.why_not(action)
    line = Text(action.title, style=styles["dim"] if why else "")
    line.append(f"   {action.shown}", style=styles["key"])
    if DANGERS[action.danger]:
        line.append(f"   {DANGERS[action.danger]}", style=styles["warn"])
    line.append(f"\n  {action.id}", style=styles["dim"])
    if why:
        line.append(f"  not now: {fmt.one_line(why)}", style=styles["warn"])
    return line


class Palette(Closing, CommandPalette):
    """Textual's palette. Its busy sign is never needed here: nothing is fetched."""

    def _start_busy_countdown(self) -> None:
        """A sign that turns costs a terminal 168 KB a second (measured)."""

    def run_worker(self, work: Any, *args: Any, **more: Any) -> Worker[Any]:
        """Its searches. One that begins when the palette is closed already finds no list to fill, and must
        not take the console down with it."""
        return super().run_worker(partial(_while_it_stands, work), *args, **more)

    def _action_command_list(self, action: str) -> None:
        """Move in the list. One that has options and is not laid out yet knows no page to go to, and must not
        take the console down with it."""
        with suppress(KeyError, IndexError):
            super()._action_command_list(action)


async def _while_it_stands(work: Callable[[], Awaitable[None]]) -> None:
    with suppress(NoMatches):
        await work()


def open_palette(app: ConsoleApp) -> None:
    """Show it."""
    providers: Any = [ActionProvider]
    app.push_screen(Palette(providers, placeholder="what to do"))

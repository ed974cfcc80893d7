"""Keys, one after another: each is done before the next one is looked at.

Textual hands a key to whatever has the focus when it comes, and lets its consequences take their way through
the widgets meanwhile: of what is typed quickly, over a slow line or into a slow machine, an action can come
before the cursor that was moved for it, and a number can land in the field before the one that enter led to.
For an operator these are other orders than the ones that were meant.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ScreenStackError
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widgets import Input

from aster_tui.console.held import HeldKey
from aster_tui.console.layer import Layer

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

#: A widget that has not taken a key by then is not waited for any longer, nor a dialog that does not stand.
PATIENCE_SECONDS, STANDS_SECONDS = 0.25, 2.0
#: More keys than this nobody types ahead: a text was pasted into a terminal that does not say so, or a line
#: that hung gives everything at once. Such a flood is over when no key came for so long.
MOST_WAITING, QUIET_SECONDS = 200, 0.5

#: A pane that came into sight gets its place when its styles have come: how often that is looked for.
LAYOUT_SECONDS = 0.01


class ActingScreen(Layer):
    """A screen that acts. ``standing`` is set when it is put together and has the focus where it belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.standing = asyncio.Event()


class Keyboard:
    """The keys that wait. ``held`` says of the one being done whether it is one that stays down.

    A key that stays down is meant for the screen it was pressed on: in a dialog that it opened, and below one
    that it closed, it means nothing. A word may begin with the letter that opened its dialog.
    """

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._key = HeldKey()
        self._waiting: list[tuple[events.Key, bool, bool]] = []
        self._came = asyncio.Event()
        self._painted = asyncio.Event()
        self._painted.set()
        self._pressed_on: tuple[Screen[Any], ...] = ()
        self._flooded_at: float | None = None
        self.held = False
        #: Whether every key that came is done.
        self.idle = True

    def takes(self, event: events.Key) -> bool:
        """Take a key that came, to be done in its turn, or with a flood not at all; False for what cannot
        wait."""
        now = time.monotonic()
        self._key.press(event.key, now)
        if event.key in self._app.registry.urgent_keys:
            self.held = self._key.repeats
            self._waiting.clear()  # what was typed before was meant for another screen
            self._flooded_at = None
            return False
        if self._floods(now):
            return True
        self.idle = False
        self._waiting.append((event, self._key.repeats, self._key.rapid))
        self._came.set()
        return True

    def _floods(self, now: float) -> bool:
        """Whether a key belongs to a flood: of one nothing more is done, for nobody means it key by key."""
        if self._flooded_at is not None and now - self._flooded_at < QUIET_SECONDS:
            self._flooded_at = now
            return True
        self._flooded_at = None
        if len(self._waiting) < MOST_WAITING:
            return False
        self._waiting.clear()
        self._flooded_at = now
        self._app.say("too many keys at once: they were left out; look, then go on")
        return True

    def after(self, paint: Callable[[], None]) -> Callable[[], None]:
        """What paints the panes that came into sight, once they have a place: the keys wait until it is
        done."""
        self._painted.clear()
        until = time.monotonic() + STANDS_SECONDS

        def painted() -> None:
            try:
                paint()
            finally:
                if self._app.pane.region or time.monotonic() > until:
                    self._painted.set()
                else:
                    self._app.set_timer(LAYOUT_SECONDS, painted)

        return painted

    async def run(self) -> None:
        """Do the keys, until cancelled or until there is no screen any more they could be for."""
        with suppress(ScreenStackError):
            while True:
                await self._came.wait()
                self._came.clear()
                while self._waiting:
                    await self._stands()
                    if not self._waiting:  # what cannot wait came meanwhile, or a flood
                        break
                    event, self.held, rapid = self._waiting.pop(0)
                    if not self.held:
                        self._pressed_on = tuple(self._app.screen_stack)
                    elif self._means_nothing(rapid):
                        continue
                    await self._do(event)
                self.idle = True

    def _means_nothing(self, rapid: bool) -> bool:
        """Whether the key that stays down was pressed for another screen than the one on top."""
        top, before = self._app.screen, self._pressed_on
        if not before or top is before[-1]:
            return False
        if top in before:  # what was on top is closed
            return isinstance(before[-1], ActingScreen)
        types = isinstance(self._app.focused, Input)
        return isinstance(top, ActingScreen) and (rapid or not types)

    async def _do(self, event: events.Key) -> None:
        app = self._app
        screen, focused = app.screen, app.focused
        ways: list[MessagePump] = [screen, app] if focused is None else [*focused.ancestors_with_self]
        await app.take_key(event)
        for pump in ways:
            await passed(pump)

    async def _stands(self) -> None:
        """Until what is on top is put together: what is typed ahead is meant for its first field, or for the
        first row of the pane that was gone to."""
        top = self._app.screen
        standing = top.standing if isinstance(top, ActingScreen) else self._painted
        with suppress(TimeoutError):
            async with asyncio.timeout(STANDS_SECONDS):
                await standing.wait()


async def passed(pump: MessagePump) -> None:
    """Until a widget has done what was posted to it so far."""
    done = asyncio.Event()
    if pump.is_running and pump.call_later(done.set):
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await done.wait()

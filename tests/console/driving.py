"""Drives the console by keys, without a terminal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from aster_tui.console.app import TICK_SECONDS, ConsoleApp
from aster_tui.console.details import Overlay
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.pane import Pane
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.dialog import Dialog
from aster_tui.console.widgets.line import Line
from tests.console.scripted import NOW, Scripted

WIDE, SMALL = (120, 40), (80, 24)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@asynccontextmanager
async def console(
    port: Scripted,
    size: tuple[int, int] = WIDE,
    clock: Clock | None = None,
    options: ConsoleOptions | None = None,
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    app = ConsoleApp(port, options=options, clock=clock or Clock())
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: port.started)
        await pilot.pause(TICK_SECONDS * 1.5)
        yield app, pilot


async def until(pilot: Pilot[None], condition: Any, patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        await pilot.pause(0.02)


def pane(app: ConsoleApp, name: str) -> Pane:
    return app.screen_stack[0].query_one(f"#{name}", Pane)


def line(app: ConsoleApp, name: str) -> str:
    return app.screen_stack[0].query_one(f"#{name}", Line).text


def shown(app: ConsoleApp, name: str) -> str:
    """The text a pane paints."""
    widget = pane(app, name)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


async def confirm(app: ConsoleApp, pilot: Pilot[None], key: str = "y") -> None:
    """Read the question, then confirm it."""
    await until(pilot, lambda: isinstance(app.screen, Confirm) and app.screen.was_seen)
    await pilot.press(key)


def said(app: ConsoleApp) -> str:
    """All that the dialog on top says."""
    return app.screen.text if isinstance(app.screen, Dialog) else ""


def painted(app: ConsoleApp) -> str:
    """The whole screen as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in strips)


def overlay(app: ConsoleApp) -> str:
    return app.screen.text if isinstance(app.screen, Overlay) else ""

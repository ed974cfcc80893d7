"""What every test of the console's keys shares."""

from __future__ import annotations

import asyncio
import time

import pytest
from textual._context import active_app

from aster_tui.console.app import ConsoleApp
from aster_tui.console.keyboard import passed

#: A console that does a key for longer is waited for by whoever asserts what came of it.
PATIENCE = 2.0


async def keys_done(*_: float) -> None:
    """Until the console has done the keys that came, and painted."""
    app = active_app.get(None)
    await asyncio.sleep(0.004)
    if not isinstance(app, ConsoleApp):
        return
    await passed(app)
    deadline = time.monotonic() + PATIENCE
    while not app.keyboard.idle and time.monotonic() < deadline:
        await asyncio.sleep(0.002)
    if app.screen_stack:
        await passed(app.screen)
    await asyncio.sleep(0.004)


@pytest.fixture(autouse=True)
def waits_for_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's pilot waits after each key until the whole process is idle, up to a second, twice: one with
    an engine, an exchange and a database never is. Here it waits for the console alone."""
    monkeypatch.setattr("textual.app.wait_for_idle", keys_done)
    monkeypatch.setattr("textual.pilot.wait_for_idle", keys_done)

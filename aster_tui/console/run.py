"""Runs the console and leaves the terminal, the engine and the process in order, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aster_tui.console.app import ConsoleApp
from aster_tui.console.port import EnginePort

# The standard library's: structlog takes 20 ms to import, and its formatter writes these lines too.
log = logging.getLogger(__name__)

#: After the terminal has gone, how long the clean way out may take before the process just ends.
LAST_SECONDS = 8.0
HUNG_UP = 129
BROKE = (
    "aster-tui: the console broke and was closed; agents and orders were not touched. "
    "The log says more (aster-tui paths)."
)


def run_console(engine: EnginePort, *, note: str = "", app: ConsoleApp | None = None) -> int:
    """Show the console until the operator quits or the terminal goes; returns the exit code."""
    app = app or ConsoleApp(engine, note=note)
    try:
        with _hang_up(app):
            asyncio.run(_shown(app))
    except KeyboardInterrupt:
        pass
    except OSError as error:  # a terminal that went away while it was being put in order
        log.warning("the terminal is gone: %s", error)
        return HUNG_UP
    finally:
        engine.stop()
    if app._exception is not None:
        log.error("the console broke", exc_info=app._exception)
        print(BROKE, file=sys.stderr)
        return 1
    return app.return_code or 0


async def _shown(app: ConsoleApp) -> None:
    await app.run_async()


@contextmanager
def _hang_up(app: ConsoleApp) -> Iterator[None]:
    """On SIGHUP and SIGTERM leave cleanly; a terminal that cannot be written to any more must not stop that.

    Without this, Textual's process is killed by SIGHUP without any clean-up, and spins at full load where
    SIGHUP is ignored (measured).
    """

    def leave(number: int, frame: object) -> None:
        app.call_later(app.exit, return_code=128 + number)
        timer = threading.Timer(LAST_SECONDS, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()

    before = {s: signal.signal(s, leave) for s in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

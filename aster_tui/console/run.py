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

from aster_tui.console import terminal
from aster_tui.console.app import ConsoleApp
from aster_tui.console.format import one_line
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.port import EnginePort
from aster_tui.console.registry import KeysError
from aster_tui.exits import USAGE

# The standard library's: structlog takes 20 ms to import, and its formatter writes these lines too.
log = logging.getLogger(__name__)

#: When told to leave: how long the terminal may keep the farewell waiting before it is left without one,
#: and how long that may take before the process just ends.
PATIENT_SECONDS, LAST_SECONDS = 1.0, 3.0
HUNG_UP = 129
BROKE = "aster-tui: the console broke and was closed; agents and orders were not touched. "
LOGGED = "The log says more (aster-tui paths)."


def run_console(
    engine: EnginePort, *, options: ConsoleOptions | None = None, app: ConsoleApp | None = None
) -> int:
    """Show the console until the operator quits or the terminal goes; returns the exit code, at once where
    there is no terminal.

    Raises:
        KeysError: the keys of ``options`` cannot be; nothing was shown or started.
    """
    stays = options is not None and options.stays
    try:
        app = app or ConsoleApp(engine, options=options)
    except KeysError:
        raise
    except Exception as error:
        code = _broke(error)
        engine.stop()
        return code
    if why := terminal.none_there():
        print(f"aster-tui: {why}; aster-tui status prints the fleet", file=sys.stderr)
        engine.stop()
        return USAGE
    code = 0
    with _hang_up(app, engine) as left:
        try:
            asyncio.run(_shown(app))
            code = app.return_code or 0
        except KeyboardInterrupt:
            pass
        except OSError as error:  # a terminal that went away while it was being put in order
            log.warning("the terminal is gone: %s", error)
            code = HUNG_UP
        except Exception as error:  # the last line of defence: an operator reads no tracebacks
            code = _broke(error)
        finally:
            left.set()
            if code == HUNG_UP and stays:
                _stay()
            with _deaf():
                engine.stop()
    return _broke(app._exception) if app._exception is not None else code


def _stay() -> None:
    """The terminal is gone and the engine goes on, as the setting says, until SIGTERM or SIGINT."""
    terminal.let_go()
    told = threading.Event()
    before = {s: signal.signal(s, lambda *_: told.set()) for s in (signal.SIGTERM, signal.SIGINT)}
    log.warning("the terminal is gone; the engine goes on until it is told to end")
    while not told.wait(0.5):
        pass
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def _deaf() -> Iterator[None]:
    """Nothing but SIGKILL breaks off an end that is waited for: a close-all may be what it waits for."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _broke(error: Exception) -> int:
    """Say so in one line: with a log what happened is there, and otherwise in the line."""
    if any(not isinstance(handler, logging.NullHandler) for handler in logging.getLogger().handlers):
        log.error("the console broke", exc_info=error)
        words = LOGGED
    else:
        from aster_tui.logs import redact

        words = f"What happened: {one_line(redact(f'{type(error).__name__}: {error}'))}"
    print(BROKE + words, file=sys.stderr)
    return 1


async def _shown(app: ConsoleApp) -> None:
    try:
        await app.run_async(mouse=app.options.mouse)
    finally:
        app.comfort.end()


@contextmanager
def _hang_up(app: ConsoleApp, engine: EnginePort) -> Iterator[threading.Event]:
    """On SIGHUP, SIGTERM and SIGINT leave cleanly; a terminal that cannot be written to any more must not
    stop that. Gives what is to be set once the console has left: from then on it is leaving already.

    Without this, Textual's process is killed by SIGHUP without any clean-up, and spins at full load where
    SIGHUP is ignored (measured).
    """

    asked, left = threading.Event(), threading.Event()

    def leave(number: int, frame: object) -> None:
        if asked.is_set() or left.is_set():
            return
        asked.set()
        code = 128 + number
        app.call_later(app.exit, return_code=code)
        threading.Thread(target=_see_out, args=(app, engine, left, code), daemon=True).start()

    before = {s: signal.signal(s, leave) for s in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    try:
        yield left
    finally:
        left.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _see_out(app: ConsoleApp, engine: EnginePort, left: threading.Event, code: int) -> None:
    """Wait until the console has left; a terminal that does not read must not hold it up for ever."""
    if left.wait(PATIENT_SECONDS):
        return
    terminal.turn_away(app._driver)
    if left.wait(LAST_SECONDS):
        return
    log.error("the console did not leave in time: the process ends without it")
    engine.stop()
    os._exit(code)

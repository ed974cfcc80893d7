"""``aster-tui demo``: the console, or a headless run, on servers of its own."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aster_tui import logs
from aster_tui.config import SettingsError, load
from aster_tui.console.options import ConsoleOptions
from aster_tui.demo.companion import Companion, DemoError
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.status import status_document
from aster_tui.engine.thread import EngineThread
from aster_tui.exits import DONE, FAILED, UNREACHABLE, USAGE

if TYPE_CHECKING:
    from aster_tui.engine.recording import Recorder


def demo(
    *, seed: int, agents: int, read_only: bool, seconds: float | None, record: Path | None = None
) -> int:
    """Run the demo; ``seconds`` makes it headless, ``record`` is the file of a recording. Returns the exit
    code."""
    missing = _what_is_missing()
    if record is not None and record.exists():
        click.echo(f"aster-tui demo: --record {record}: the file is there already", err=True)
        return USAGE
    if missing:
        click.echo(f"aster-tui demo: {missing}", err=True)
        return UNREACHABLE
    try:
        taste = _taste() if seconds is None else None
    except SettingsError as error:
        click.echo(f"aster-tui: {error}", err=True)
        return USAGE
    companion = Companion(seed=seed, agents=agents, read_only=read_only)
    close_log = logs.configure(companion.folder / "state")
    recordings: list[Recorder] = []
    try:
        companion.start()
        engine = _engine(companion, read_only, record, recordings, attached=seconds is None)
        if seconds is not None:
            return _headless(engine, seconds)
        return _console(engine, replace(taste or ConsoleOptions(), state_folder=companion.folder / "state"))
    finally:
        for recording in recordings:
            recording.close()
        close_log()
        companion.stop()


def _what_is_missing() -> str:
    """One line when the demo cannot run here, before any screen opens."""
    import importlib.util
    import os

    if importlib.util.find_spec("aiohttp") is None:
        return "aiohttp is missing: install aster-tui[demo]"
    from aster_tui.store.mongod import MongodMissing, find_mongod

    try:
        find_mongod()
    except MongodMissing as error:
        return "" if os.environ.get("MONGODB_URI") else str(error)
    return ""


def _engine(
    companion: Companion, read_only: bool, record: Path | None, recordings: list[Recorder], *, attached: bool
) -> EngineThread:
    async def make() -> Any:
        # The console is open already; its engine waits here for the servers.
        ready = asyncio.ensure_future(companion.ready())
        from aster_tui.engine.engine import Engine

        served = await ready
        if record is not None:
            from aster_tui.engine.recorder import CannotRecord, recorder

            try:
                recordings.append(recorder(record, served.settings))
            except CannotRecord as error:
                raise DemoError(str(error)) from None
        kept = recordings[0] if recordings else None
        return Engine(served.settings, served.environment, recorder=kept, attached=attached)

    return EngineThread(make, FleetSnapshot(network="PRACTICE", read_only=read_only, starting=("demo",)))


def _taste() -> ConsoleOptions:
    """How the operator's own settings want a console to look and to be handled; nothing of what it is to be
    connected to, and nothing of what their own console remembers.

    Raises:
        SettingsError: one line naming the wrong setting.
    """
    settings = load({"profile": "practice"})
    return ConsoleOptions(
        keys=settings.keys,
        theme=settings.theme,
        mouse=settings.mouse,
        disarm_minutes=settings.disarm_minutes,
    )


def _console(engine: EngineThread, options: ConsoleOptions) -> int:
    from aster_tui.console.registry import KeysError
    from aster_tui.console.run import run_console

    try:
        return run_console(engine, options=options)
    except KeysError as error:
        click.echo(f"aster-tui: {error}", err=True)
        return USAGE


def _headless(engine: EngineThread, seconds: float) -> int:
    engine.start()
    try:
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline and engine.failure is None:
                time.sleep(min(0.2, max(0.0, deadline - time.monotonic())))
        except KeyboardInterrupt:  # enough seen: the document still comes
            pass
        seen = engine.snapshot()
    finally:
        engine.stop()
    if engine.failure is not None:
        click.echo(f"aster-tui demo: {engine.failure}", err=True)
        return FAILED
    click.echo(json.dumps(status_document(seen), indent=1))
    return DONE


__all__ = ["DemoError", "demo"]

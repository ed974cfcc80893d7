"""``aster-tui demo``: the console, or a headless run, on servers of its own."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import click

from aster_tui import logs
from aster_tui.demo.companion import Companion, DemoError
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.status import status_document
from aster_tui.engine.thread import EngineThread
from aster_tui.exits import DONE, FAILED, UNREACHABLE


def demo(*, seed: int, agents: int, read_only: bool, seconds: float | None) -> int:
    """Run the demo; ``seconds`` makes it headless. Returns the exit code."""
    missing = _what_is_missing()
    if missing:
        click.echo(f"aster-tui demo: {missing}", err=True)
        return UNREACHABLE
    companion = Companion(seed=seed, agents=agents, read_only=read_only)
    close_log = logs.configure(companion.folder / "state")
    try:
        companion.start()
        engine = _engine(companion, read_only)
        return _console(engine) if seconds is None else _headless(engine, seconds)
    finally:
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


def _engine(companion: Companion, read_only: bool) -> EngineThread:
    async def make() -> Any:
        # The console is open already; its engine waits here for the servers.
        ready = asyncio.ensure_future(companion.ready())
        from aster_tui.engine.engine import Engine

        served = await ready
        return Engine(served.settings, served.environment)

    return EngineThread(make, FleetSnapshot(network="PRACTICE", read_only=read_only, starting=("demo",)))


def _console(engine: EngineThread) -> int:
    from aster_tui.console.run import run_console

    return run_console(engine)


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

"""What the commands do: each starts the same engine the console runs, without a screen."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aster_tui import logs
from aster_tui.config import Settings, agent_environment
from aster_tui.domain.commands import SyncAgents
from aster_tui.domain.symbols import plain
from aster_tui.domain.views import AgentView, FleetSnapshot
from aster_tui.engine.core import now_ms
from aster_tui.engine.status import status_document
from aster_tui.engine.thread import EngineThread
from aster_tui.exits import DONE, FAILED, REFUSED, UNKNOWN, UNREACHABLE, USAGE

if TYPE_CHECKING:
    from aster_tui.engine.recording import Recorder


def console(settings: Settings, record: Path | None = None) -> int:
    """Open the console, recorded into a file where one is said; returns the exit code."""
    with logging_to_file(settings), ExitStack() as ends:
        recording = None
        if record is not None:
            from aster_tui.engine.recorder import CannotRecord, recorder

            try:
                recording = recorder(record, settings)
            except CannotRecord as error:
                click.echo(f"aster-tui: {error}", err=True)
                return USAGE
            ends.callback(recording.close)
        return run_with(settings, engine_thread(settings, attached=True, recorder=recording))


def run_with(settings: Settings, engine: Any, *, replay: Any = None) -> int:
    """Show an engine in the console, as the settings want it; returns the exit code."""
    from aster_tui.console.options import ConsoleOptions
    from aster_tui.console.registry import KeysError
    from aster_tui.console.run import run_console

    options = ConsoleOptions(
        keys=settings.keys,
        stays=settings.when_terminal_goes == "stay" and replay is None,
        replay=replay,
        state_folder=settings.state_folder,
        profile=settings.profile if replay is None else "replay",
        theme=settings.theme,
        mouse=settings.mouse,
        connected=replay is not None or settings.mongodb_uri is not None or bool(agent_environment()),
        disarm_minutes=settings.disarm_minutes,
    )
    try:
        return run_console(engine, options=options)
    except KeysError as error:
        click.echo(f"aster-tui: {error}", err=True)
        return USAGE


def engine_thread(
    settings: Settings,
    *,
    working: bool = False,
    agents: frozenset[str] = frozenset(),
    attached: bool = False,
    recorder: Recorder | None = None,
) -> EngineThread:
    """The engine of these settings, not started. Its imports happen on its own thread."""

    async def make() -> Any:
        from aster_tui.engine.engine import Engine

        return Engine(
            settings,
            agent_environment(),
            working=working,
            agents=agents,
            attached=attached,
            recorder=recorder,
        )

    return EngineThread(make, FleetSnapshot(network=settings.network, read_only=settings.watching))


def status(settings: Settings, *, as_json: bool, timeout: float) -> int:
    """Print the fleet once every part has answered or failed."""
    with _running(settings) as engine:
        seen = wait_for(engine, lambda s: bool(s.feeds) and not s.starting, timeout)
    if as_json:
        click.echo(json.dumps(status_document(seen), indent=1))
    else:
        _print_fleet(seen)
    return _reached(engine, seen)


def sync(settings: Settings, names: tuple[str, ...], *, as_json: bool, timeout: float) -> int:
    """Sync agents and report what differed."""
    if settings.watching:
        return refused("read-only: nothing was synced", as_json=as_json)
    if settings.mongodb_uri is None:
        return refused("no database is configured: set MONGODB_URI", as_json=as_json)
    deadline = time.monotonic() + timeout
    with _running(settings) as engine:
        seen = wait_for(engine, lambda s: bool(s.feeds) and not s.starting, timeout)
        chosen, problem = _choose(seen, names)
        if problem:
            return finish({"ok": False, "code": _word(USAGE), "message": problem}, USAGE, as_json)
        asked_at = now_ms()
        engine.submit(SyncAgents(tuple(a.key for a in chosen)))
        ids = {a.key for a in chosen}

        def done(s: FleetSnapshot) -> bool:
            return all(_synced(a, asked_at) for a in s.agents if a.key in ids)

        seen = wait_for(engine, done, max(0.0, deadline - time.monotonic()))
    rows = [_sync_row(a, asked_at) for a in seen.agents if a.key in ids]
    failed = [row for row in rows if not row["ok"]]
    reached = _reached(engine, seen)
    code = DONE if not failed else (reached or FAILED)
    message = f"{len(rows) - len(failed)} of {len(rows)} agents synced"
    document = {"ok": code == DONE, "code": _word(code), "message": message, "agents": rows}
    return finish(document, code, as_json)


def _choose(seen: FleetSnapshot, names: tuple[str, ...]) -> tuple[list[AgentView], str]:
    real = [a for a in seen.agents if a.mode == "real"]
    if not names:
        return (real, "") if real else ([], "no real agent is known: nothing to sync")
    by_name = {a.name.lower(): a for a in seen.agents}
    chosen = []
    for name in names:
        agent = by_name.get(name.lower())
        if agent is None:
            return (
                [],
                f"no agent is called {name}; known are {', '.join(a.name for a in seen.agents) or 'none'}",
            )
        if agent.mode == "paper":
            return [], f"{agent.name} trades on paper: it has no account to sync"
        chosen.append(agent)
    return chosen, ""


def _synced(agent: AgentView, since: int) -> bool:
    sync = agent.sync
    return not sync.running and (bool(sync.error) or (sync.at is not None and sync.at >= since))


def _sync_row(agent: AgentView, since: int) -> dict[str, Any]:
    ok = _synced(agent, since) and not agent.sync.error
    return {
        "name": agent.name,
        "ok": ok,
        "balance": plain(agent.balance),
        "positions": agent.positions,
        "open_orders": agent.open_orders,
        "drift": list(agent.sync.drift),
        "error": agent.sync.error or ("" if ok else "no answer in time"),
    }


def wait_for(engine: EngineThread, wanted: Callable[[FleetSnapshot], bool], timeout: float) -> FleetSnapshot:
    """The first snapshot for which ``wanted`` holds, or the last one when time is up or the engine ended."""
    changed = threading.Event()
    unsubscribe = engine.subscribe(changed.set)
    deadline = time.monotonic() + timeout
    try:
        while not wanted(engine.snapshot()) and engine.failure is None:
            left = deadline - time.monotonic()
            if left <= 0 or not changed.wait(left):
                break
            changed.clear()
    finally:
        unsubscribe()
    return engine.snapshot()


@contextmanager
def _running(settings: Settings) -> Iterator[EngineThread]:
    with logging_to_file(settings):
        engine = engine_thread(settings)
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()


@contextmanager
def logging_to_file(settings: Settings) -> Iterator[None]:
    """The log file, while a command runs."""
    try:
        close = logs.configure(settings.state_folder, settings.log_level)
    except OSError as error:
        click.echo(f"aster-tui: setting state_dir: the log cannot be written: {error}", err=True)
        sys.exit(USAGE)
    try:
        yield
    finally:
        close()


def _reached(engine: EngineThread, seen: FleetSnapshot) -> int:
    """Exit code of what could be reached: 5 when neither the exchange nor the database answered."""
    if engine.failure is not None:
        click.echo(f"aster-tui: {engine.failure}", err=True)
        return FAILED
    states = {feed.name: feed for feed in seen.feeds}
    missing = [
        f for name in ("exchange", "mongo") if (f := states.get(name)) and f.state in ("down", "stale")
    ]
    for feed in missing:
        click.echo(f"aster-tui: {feed.name}: {feed.detail}", err=True)
    return UNREACHABLE if missing else DONE


def _print_fleet(seen: FleetSnapshot) -> None:
    click.echo(f"{seen.network}{'  read-only' if seen.read_only else ''}")
    for agent in seen.agents:
        drift = f"  {'; '.join(agent.sync.drift)}" if agent.sync.drift else ""
        stale = "  (not live)" if agent.stale else ""
        click.echo(
            f"{agent.name:<16} {agent.mode.upper() if agent.mode == 'real' else agent.mode:<6}"
            + (
                f"{agent.balance:>14,.2f} USD {agent.pnl_percent:>+8.2f} %"
                if agent.told
                else f"{'balance not known':>29}"
            )
            + f"  {agent.positions:>2} positions{stale}{drift}"
        )
        for position in seen.positions:
            if agent.key in position.agent_id.split("+"):
                pnl = "?" if position.unrealized_pnl is None else f"{position.unrealized_pnl:+.2f}"
                click.echo(
                    f"    {position.symbol:<12} {position.side:<6}{plain(position.quantity):>14} "
                    f"at {plain(position.entry_price)}  {pnl} USD"
                )
    for feed in seen.feeds:
        click.echo(f"{feed.name:<20} {feed.state}{'  ' + feed.detail if feed.detail else ''}", err=True)


def refused(message: str, *, as_json: bool) -> int:
    """Say why nothing was done; returns the exit code."""
    return finish({"ok": False, "code": _word(REFUSED), "message": message}, REFUSED, as_json)


def finish(document: dict[str, Any], code: int, as_json: bool) -> int:
    """Print an answer, as JSON or for people; returns the exit code."""
    if as_json:
        click.echo(json.dumps(document, indent=1))
        return code
    click.echo(document["message"], err=code != DONE)
    for row in document.get("agents", ()):
        drift = f"  drift: {'; '.join(row['drift'])}" if row["drift"] else ""
        click.echo(f"{row['name']:<16} {'ok' if row['ok'] else row['error']}{drift}")
    return code


def _word(code: int) -> str:
    """The ``code`` of an answer document: the exit code's name."""
    return {
        DONE: "done",
        FAILED: "failed",
        USAGE: "usage",
        REFUSED: "refused",
        UNKNOWN: "unknown",
        UNREACHABLE: "unreachable",
    }[code]

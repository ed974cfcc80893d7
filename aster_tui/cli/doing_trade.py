"""The commands of trading: the worker, and what queues a decision for it."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import Any

import click

from aster_tui.cli.doing import engine_thread, finish, logging_to_file, refused
from aster_tui.config import Settings, agent_environment
from aster_tui.domain.decisions import DecisionRefused, parse_decision
from aster_tui.domain.records import decision_document
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.core import now_ms
from aster_tui.exits import DONE, FAILED, UNREACHABLE, USAGE

#: How long a decision waits for the database before it is queued on this machine.
DECIDE_SECONDS = 2.0


def worker(settings: Settings, names: tuple[str, ...]) -> int:
    """Carry out queued decisions until SIGINT or SIGTERM; what happens is told on stderr."""
    if settings.watching:
        return refused("read-only: a worker sends orders", as_json=False)
    if settings.mongodb_uri is None:
        return refused("no database is configured: set MONGODB_URI", as_json=False)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with logging_to_file(settings):
        engine = engine_thread(settings, working=True, agents=frozenset(n.lower() for n in names))
        said: dict[str, int] = {}
        unsubscribe = engine.subscribe(lambda: _say(engine.snapshot(), said))
        engine.start()
        click.echo(f"aster-tui worker: {settings.network}, {', '.join(names) or 'all agents'}", err=True)
        try:
            while not ended.wait(0.2) and engine.failure is None:
                pass
        finally:
            unsubscribe()
            engine.stop()
    if engine.failure is not None:
        click.echo(f"aster-tui: {engine.failure}", err=True)
        return FAILED
    return DONE


def _say(seen: FleetSnapshot, said: dict[str, int]) -> None:
    """Each line of the errors pane, once per occurrence; called on the engine's thread only."""
    for error in reversed(seen.errors):
        if said.get(error.key) != error.count:
            said[error.key] = error.count
            remedy = f" ({error.remedy})" if error.remedy else ""
            click.echo(f"{error.source}: {error.message}{remedy}", err=True)


def decide(settings: Settings, name: str, arguments: dict[str, Any], *, as_json: bool) -> int:
    """Queue a decision for an agent."""
    if settings.watching:
        return refused("read-only: nothing was queued", as_json=as_json)
    try:
        parse_decision(arguments, decision_id="", agent_id="", made_at=0)
    except DecisionRefused as problem:
        return finish({"ok": False, "code": "usage", "message": str(problem)}, USAGE, as_json)
    with logging_to_file(settings):
        document, code = asyncio.run(queue_decision(settings, name, arguments))
    return finish(document, code, as_json)


async def queue_decision(
    settings: Settings, name: str, arguments: dict[str, Any]
) -> tuple[dict[str, Any], int]:
    """Queue a decision in the database, or without it for the worker of this machine; the answer's document
    and the exit code."""
    from aster_tui.store.base import StoreError
    from aster_tui.store.trading import new_id, trading_store

    decision_id, at = new_id(), now_ms()
    uri = settings.mongodb_uri.get_secret_value() if settings.mongodb_uri else ""
    why = "no database is configured"
    if uri:
        store = trading_store(uri, settings.mongodb_database, DECIDE_SECONDS)
        try:
            agents = {a.name.lower(): a for a in await store.load_agents()}
            agent = agents.get(name.lower())
            if agent is None:
                known = ", ".join(a.name for a in agents.values()) or "none"
                message = f"no agent is called {name}; known are {known}"
                return {"ok": False, "code": "usage", "message": message}, USAGE
            document = decision_document(decision_id, agent.agent_id, agent.name, arguments, at)
            await store.queue_decision(document)
            message = f"queued for {agent.name}"
            return {"ok": True, "code": "done", "message": message, "decision_id": decision_id}, DONE
        except StoreError as error:
            why = str(error)
        finally:
            await store.close()
    return await _queue_here(settings, name, arguments, decision_id, at, why)


async def _queue_here(
    settings: Settings, name: str, arguments: dict[str, Any], decision_id: str, at: int, why: str
) -> tuple[dict[str, Any], int]:
    """Without the database: for the worker of this machine, through its journal."""
    from aster_tui.engine.keys import agents_in
    from aster_tui.engine.remembered import recall
    from aster_tui.store.base import StoreError
    from aster_tui.store.journal import Journal

    remembered = recall(settings.state_folder, settings.network, paper=True)
    known = (*remembered, *agents_in(agent_environment()))
    agent = next((a for a in known if a.name.lower() == name.lower()), None)
    if agent is None:
        message = f"{why}; and no agent called {name} is remembered here"
        return {"ok": False, "code": "unreachable", "message": message}, UNREACHABLE
    journal = Journal(settings.state_folder)
    try:
        await journal.open()
        document = decision_document(decision_id, agent.agent_id, agent.name, arguments, at)
        await journal.queue(decision_id, agent.name, document)
        await journal.close()
    except StoreError as error:
        return {"ok": False, "code": "failed", "message": str(error)}, FAILED
    message = f"queued on this machine for {agent.name}, for its worker here ({why})"
    return {"ok": True, "code": "done", "message": message, "decision_id": decision_id}, DONE

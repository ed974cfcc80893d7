"""The commands an operator acts with: the same requests as the console's, carried out by the same engine."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import click

from aster_tui.cli.doing import engine_thread, finish, logging_to_file, refused, wait_for
from aster_tui.config import Settings, agent_environment
from aster_tui.domain.commands import (
    Asked,
    CancelOrders,
    ModifyOrder,
    PlaceOrder,
    ReducePosition,
    Request,
    SetLeverage,
    SetMode,
)
from aster_tui.domain.controls import FLEET
from aster_tui.domain.requests import title_of
from aster_tui.domain.symbols import symbol_among
from aster_tui.domain.ticket import read_number, read_ticket
from aster_tui.domain.views import AgentView, FleetSnapshot, RequestView, TradingState
from aster_tui.engine.thread import EngineThread
from aster_tui.exits import DONE, FAILED, REFUSED, UNKNOWN, UNREACHABLE, USAGE

#: How long the engine may take until an agent's account was read, and a request until it is answered.
READY_SECONDS, ANSWER_SECONDS = 20.0, 60.0
#: How long a halt waits for the database; it holds on this machine before.
TELL_SECONDS = 3.0
EXITS = {
    "done": DONE,
    "failed": FAILED,
    "refused": REFUSED,
    "unknown": UNKNOWN,
    "unreachable": UNREACHABLE,
    "running": UNKNOWN,
}


def order(
    settings: Settings, agent: str, fields: Mapping[str, str], *, test: bool, yes: bool, as_json: bool
) -> int:
    """Place an order, or with ``test`` only have the exchange validate it."""
    typed = read_ticket(fields)
    if typed.ticket is None:
        message = "; ".join(f"{name.replace('_', ' ')}: {why}" for name, why in typed.wrong.items())
        return _usage(message, as_json)
    ticket = typed.ticket
    return _request(
        settings, agent, lambda key: PlaceOrder(key, ticket, test), yes=yes or test, as_json=as_json
    )


def cancel(
    settings: Settings, agent: str, order_id: str, symbol: str, *, everything: bool, yes: bool, as_json: bool
) -> int:
    """Cancel one order, those of a symbol, or all."""
    if sum((bool(order_id), bool(symbol) and not order_id, everything)) != 1:
        return _usage("say --order ID, --symbol S or --all", as_json)
    return _request(
        settings, agent, lambda key: CancelOrders(key, symbol, order_id), yes=yes, as_json=as_json
    )


def modify(
    settings: Settings,
    agent: str,
    symbol: str,
    order_id: str,
    quantity: str,
    price: str,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """Change a resting limit order."""
    try:
        amount, at = read_number(quantity), read_number(price)
    except ValueError as error:
        return _usage(f"quantity and price: {error}", as_json)
    if amount is None or at is None:
        return _usage("say both a quantity and a price", as_json)
    return _request(
        settings,
        agent,
        lambda key: ModifyOrder(key, symbol.upper(), order_id, amount, at),
        yes=yes,
        as_json=as_json,
    )


def reduce(
    settings: Settings, agent: str, symbol: str, part: str, *, reverse: bool, yes: bool, as_json: bool
) -> int:
    """Close a part of a position, or reverse it."""
    try:
        share = read_number(part)
    except ValueError as error:
        return _usage(f"part: {error}", as_json)
    if share is None or not 0 < share <= 1:
        return _usage("the part is above 0 and at most 1", as_json)
    return _request(
        settings,
        agent,
        lambda key: ReducePosition(key, symbol.upper(), share, reverse),
        yes=yes,
        as_json=as_json,
    )


def leverage(settings: Settings, agent: str, symbol: str, value: int, *, yes: bool, as_json: bool) -> int:
    """Set a symbol's leverage."""
    return _request(
        settings, agent, lambda key: SetLeverage(key, symbol.upper(), value), yes=yes, as_json=as_json
    )


def mode(
    settings: Settings, agent: str, word: str, *, close_positions: bool, yes: bool, as_json: bool
) -> int:
    """Flip an agent to paper, or after the preflight to real."""
    return _request(
        settings,
        agent,
        lambda key: SetMode((key,), word == "paper", close_positions),
        yes=yes,
        as_json=as_json,
        word=agent if word == "real" else "yes",
        account=False,
    )


def doctor(settings: Settings, names: tuple[str, ...], *, as_json: bool) -> int:
    """Check everything that trading for real needs; places nothing."""
    from aster_tui.engine.operator.preflight import Check, Checker, checks_document
    from aster_tui.engine.trade.room import limits_of

    async def check() -> dict[str, Any]:
        from aster_tui.aster.nonces import NonceSource
        from aster_tui.store.mongo import connect

        uri = settings.mongodb_uri.get_secret_value() if settings.mongodb_uri else ""
        store = connect(uri, settings.mongodb_database, writable=False) if uri else None
        nonces = NonceSource(settings.state_folder / "nonces")

        def say(made: Check) -> None:
            if not as_json:
                sign = "ok    " if made.ok else "NOT OK"
                remedy = f"\n       → {made.remedy}" if made.remedy and not made.ok else ""
                click.echo(
                    f"{sign} {made.agent + ' ' if made.agent else ''}{made.name}: {made.message}{remedy}"
                )

        checker = Checker(
            settings, agent_environment(), store, limits_of(settings), nonces=nonces, on_check=say
        )
        try:
            checks = await checker.general()
            known = await _known_agents(settings, store)
            chosen = [a for a in known if not names or a.name.lower() in {n.lower() for n in names}]
            missing = {n for n in names if n.lower() not in {a.name.lower() for a in chosen}}
            if missing:
                known_names = ", ".join(a.name for a in known) or "none"
                words = f"no such agent is known; known are {known_names}"
                unknown = Check("agent", ", ".join(sorted(missing)), False, words)
                checks.append(unknown)
                say(unknown)
            for agent in chosen:
                if names or not agent.paper:
                    checks += await checker.agent(agent)
            return checks_document(checks)
        finally:
            if store is not None:
                await store.close()
            nonces.close()

    if settings.no_keys:
        return refused("this process loads no keys (--no-keys): nothing to check", as_json=as_json)
    with logging_to_file(settings):
        document = asyncio.run(check())
    code = DONE if document["ok"] else FAILED
    if not as_json:
        click.echo(document["message"], err=True)
        return code
    return finish(document, code, as_json)


def set_trading(
    settings: Settings, names: tuple[str, ...], state: TradingState, reason: str, *, as_json: bool
) -> int:
    """Halt, only reduce, or resume: on this machine at once, and in the database for everybody."""
    if settings.watching:
        return refused("read-only: nothing was changed", as_json=as_json)
    reason = " ".join(reason.split())
    if state == "ACTIVE" and not reason:
        if not sys.stdin.isatty():
            return _usage("resuming wants --reason, for whoever reads it later", as_json)
        reason = click.prompt("why is it safe to resume", err=True)
    with logging_to_file(settings):
        document, code = asyncio.run(_set_trading(settings, names, state, reason))
    return finish(document, code, as_json)


async def _set_trading(
    settings: Settings, names: tuple[str, ...], state: TradingState, reason: str
) -> tuple[dict[str, Any], int]:
    from aster_tui.engine.halts import halt_locally, tell_database
    from aster_tui.engine.identity import identity
    from aster_tui.store.base import StoreError
    from aster_tui.store.trading import trading_store

    who = identity()
    uri = settings.mongodb_uri.get_secret_value() if settings.mongodb_uri else ""
    store = trading_store(uri, settings.mongodb_database, TELL_SECONDS) if uri else None
    words = {"HALTED": "halted", "REDUCING": "only reducing", "ACTIVE": "resumed"}[state]
    try:
        keys = [FLEET]
        if names:
            here = _called(_known_here(settings), names)
            if state != "ACTIVE" and here:
                with contextlib.suppress(OSError):  # said below
                    # At once: the database may take its time to say who else is called so.
                    ids = [agent.agent_id for agent in here]
                    halt_locally(settings.state_folder, reason, who.operator, keys=ids, state=state)
            everyone = await _known_agents(settings, store)
            known = [*here, *_called(everyone, names)]
            if missing := [n for n in names if not _called(known, [n])]:
                others = ", ".join(agent.name for agent in everyone) or "none"
                message = f"no agent is called {', '.join(missing)}; known are {others}"
                return {"ok": False, "code": "usage", "message": message}, USAGE
            keys = [*dict.fromkeys(agent.agent_id for agent in known)]
        whom = ", ".join(names) or "the fleet"
        try:
            halt_locally(settings.state_folder, reason, who.operator, keys=keys, state=state)
        except OSError as error:
            message = f"it could not be written down: {error}"
            return {"ok": False, "code": "failed", "message": message}, FAILED
        _audit(settings, f"{words} {whom}", state, names, reason)
        document = {
            "ok": True,
            "code": "done",
            "message": f"{whom}: {words}",
            "trading": state,
            "reason": reason,
        }
        if store is None:
            return document | {
                "message": f"{whom}: {words} on this machine (no database is configured)"
            }, DONE
        try:
            await tell_database(store, settings.state_folder)
        except StoreError as error:
            message = f"{whom}: {words} on this machine; others were not told: {error}"
            return document | {"ok": False, "code": "unreachable", "message": message}, UNREACHABLE
        return document, DONE
    finally:
        if store is not None:
            await store.close()


def _audit(settings: Settings, title: str, state: TradingState, names: tuple[str, ...], reason: str) -> None:
    """A line in the audit of this machine; a halt is not held up where that cannot be written."""
    from aster_tui.domain.audit import AuditLine
    from aster_tui.domain.commands import SetTrading, command_line
    from aster_tui.engine.core import now_ms
    from aster_tui.engine.identity import identity
    from aster_tui.store.audit import AuditFile
    from aster_tui.store.base import StoreError

    who = identity()
    words = command_line(SetTrading(state, reason, names), {name: name for name in names})
    chain = AuditFile(settings.state_folder, who.host)
    line = AuditLine(
        0, now_ms(), who.operator, who.host, "command", secrets.token_hex(8), "answered", title, words,
        settings.network, "done", title,
    )  # fmt: skip
    try:
        chain.append(line)
    except StoreError as error:
        click.echo(f"aster-tui: {error}", err=True)
    finally:
        chain.close()


async def _known_agents(settings: Settings, store: Any) -> list[Any]:
    """The agents of the database, or those remembered and named by the environment."""
    from aster_tui.store.base import StoreError

    if store is not None:
        try:
            return list(await store.load_agents())
        except StoreError as error:
            click.echo(f"aster-tui: {error}; the agents of the last connection are used", err=True)
    return _known_here(settings)


def _known_here(settings: Settings) -> list[Any]:
    """The agents that are remembered, and those the environment names."""
    from aster_tui.engine.keys import agents_in
    from aster_tui.engine.remembered import recall

    remembered = recall(settings.state_folder, settings.network, paper=True)
    names = {agent.name.upper() for agent in remembered}
    return [*remembered, *(a for a in agents_in(agent_environment()) if a.name.upper() not in names)]


def _called(agents: Iterable[Any], names: Iterable[str]) -> list[Any]:
    """The agents that have one of these names: several may have the same."""
    wanted = {name.lower() for name in names}
    return [agent for agent in agents if agent.name.lower() in wanted]


# One request, through an engine


def _request(
    settings: Settings,
    name: str,
    make: Callable[[str], Asked],
    *,
    yes: bool,
    as_json: bool,
    word: str = "yes",
    account: bool = True,
) -> int:
    """Carry out one request of an agent; returns the exit code."""
    if settings.watching:
        return refused("read-only: nothing was sent", as_json=as_json)
    if not yes and not sys.stdin.isatty():
        return _usage("without a terminal this wants --yes", as_json)
    with logging_to_file(settings):
        engine = engine_thread(settings)
        engine.start()
        try:
            agent, problem, code = _ready(engine, name, account=account)
            if agent is None:
                return finish({"ok": False, "code": _code(code), "message": problem}, code, as_json)
            asked = _meant(make(agent.key), engine.snapshot())
            if not yes and not _confirmed(engine.snapshot(), agent, asked, word):
                return refused("it was not confirmed: nothing was sent", as_json=as_json)
            view = _answered(engine, asked, quiet=as_json)
        finally:
            engine.stop()
    if view is None:
        message = "no answer in time: look at the exchange before doing it again"
        return finish({"ok": False, "code": "unknown", "message": message}, UNKNOWN, as_json)
    document = dict(view.document) or {"ok": False, "code": view.state, "message": view.message}
    code = EXITS[view.state]
    if not as_json:
        click.echo(document["message"], err=code != DONE)
        for row in document.get("orders", ()):
            click.echo(f"  {row.get('symbol')} {row.get('client_order_id')} {row.get('status')}", err=True)
        return code
    return finish(document, code, as_json)


def _meant(asked: Asked, seen: FleetSnapshot) -> Asked:
    """The request about the symbol that its name means: ``BTC`` is ``BTCUSDT``."""
    if isinstance(asked, CancelOrders | ModifyOrder | ReducePosition | SetLeverage) and asked.symbol:
        known = {*seen.rules, *(p.symbol for p in seen.positions), *(o.symbol for o in seen.orders)}
        return replace(asked, symbol=symbol_among(asked.symbol, known))
    return asked


def _ready(engine: EngineThread, name: str, *, account: bool) -> tuple[AgentView | None, str, int]:
    """The agent once its account was read, or why not, with the exit code."""

    def found(seen: FleetSnapshot) -> AgentView | None:
        return next((a for a in seen.agents if a.name.lower() == name.lower()), None)

    def settled(seen: FleetSnapshot) -> bool:
        if not seen.feeds or seen.starting:
            return False
        agent = found(seen)
        wants = agent is not None and account and (agent.mode == "real" or agent.watched)
        return not wants or bool(agent and agent.wallet_at and seen.rules and seen.marks)

    seen = wait_for(engine, settled, READY_SECONDS)
    if engine.failure is not None:
        return None, engine.failure, FAILED
    agent = found(seen)
    if agent is None:
        known = ", ".join(a.name for a in seen.agents) or "none"
        return None, f"no agent is called {name}; known are {known}", USAGE
    if not settled(seen):
        down = [f"{f.name}: {f.detail or f.state}" for f in seen.feeds if f.state != "live"]
        return None, f"{agent.name} cannot be read: {'; '.join(down) or 'no answer in time'}", UNREACHABLE
    return agent, "", DONE


def _confirmed(seen: FleetSnapshot, agent: AgentView, asked: Asked, word: str) -> bool:
    names = {a.key: a.name for a in seen.agents}
    mode_word = "REAL" if agent.mode == "real" else "paper"
    click.echo(f"{seen.network}  {agent.name} ({mode_word}, account {agent.account or 'none'})", err=True)
    if agent.shared_with:
        click.echo(f"shares its account with {', '.join(agent.shared_with)}", err=True)
    click.echo(title_of(asked, names), err=True)
    said: str = click.prompt(f"type {word} to go on", default="", show_default=False, err=True)
    return said.strip() == word


def _answered(engine: EngineThread, asked: Asked, *, quiet: bool) -> RequestView | None:
    request = Request(secrets.token_hex(8), asked, source="command")
    told = ""

    def mine(seen: FleetSnapshot) -> RequestView | None:
        return next((r for r in seen.requests if r.request_id == request.request_id), None)

    def ended(seen: FleetSnapshot) -> bool:
        nonlocal told
        view = mine(seen)
        if view is not None and view.message != told and view.state == "running" and not quiet:
            told = view.message
            click.echo(told, err=True)
        return view is not None and view.state != "running"

    engine.submit(request)
    started = time.monotonic()
    view = mine(wait_for(engine, ended, ANSWER_SECONDS))
    if view is None or view.state == "running":
        click.echo(f"aster-tui: no answer for {time.monotonic() - started:.0f} s", err=True)
        return None
    return view


def _usage(message: str, as_json: bool) -> int:
    return finish({"ok": False, "code": "usage", "message": message}, USAGE, as_json)


def _code(code: int) -> str:
    return {FAILED: "failed", USAGE: "usage", UNREACHABLE: "unreachable"}.get(code, "failed")

"""``aster-tui keys``: import a key into a keystore, list what there is, check that it fits. Never prints a
key."""

from __future__ import annotations

import getpass
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from aster_tui.cli.doing import finish
from aster_tui.config import Settings, agent_environment
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.keys import PrivateKey
from aster_tui.engine.key_sources import KeyProblem, keystore_path, keystores, password_file, to_keystore
from aster_tui.engine.keys import agents_in, check_signer, find_keys
from aster_tui.engine.remembered import recall
from aster_tui.exits import DONE, FAILED, USAGE


def import_key(settings: Settings, name: str, password_from: str | None, *, as_json: bool) -> int:
    """Read a key from the terminal, or from standard input, into an encrypted keystore."""
    try:
        secret = getpass.getpass(f"private key of {name}: ") if sys.stdin.isatty() else sys.stdin.readline()
        key = PrivateKey.parse(secret)
        password = password_file(Path(password_from)) if password_from else _asked_password()
        path = keystore_path(settings.state_folder, name)
        address = to_keystore(path, key, password)
    except ValueError as error:
        return finish({"ok": False, "code": "usage", "message": str(error)}, USAGE, as_json)
    except KeyProblem as problem:
        return finish({"ok": False, "code": "failed", "message": str(problem)}, FAILED, as_json)
    message = f"{name}: the key of signer {address} is in {path}"
    return finish(
        {"ok": True, "code": "done", "message": message, "signer": address, "keystore": str(path)},
        DONE,
        as_json,
    )


def _asked_password() -> str:
    if not sys.stdin.isatty():
        found = os.environ.get("SHARED_ASTER_PASSWORD", "")
        if not found:
            raise KeyProblem("without a terminal the password comes from --password-file")
        return found
    first = getpass.getpass("password for the keystore: ")
    if len(first) < 8:
        raise KeyProblem("a password has at least eight characters")
    if first != getpass.getpass("the same again: "):
        raise KeyProblem("the two passwords differ")
    return first


def list_keys(settings: Settings, *, as_json: bool) -> int:
    """The keystores of the state folder, and where each known agent's key comes from."""
    rows = [{"keystore": str(path), "signer": address} for path, address in keystores(settings.state_folder)]
    if as_json:
        click.echo(json.dumps({"keystores": rows}, indent=1))
        return DONE
    for row in rows:
        click.echo(f"{row['signer']}  {row['keystore']}")
    if not rows:
        click.echo("no keystores: aster-tui keys import NAME makes one", err=True)
    return DONE


def check_keys(settings: Settings, names: tuple[str, ...], *, as_json: bool) -> int:
    """Open each agent's key and compare it with the configured signer."""
    from aster_tui.aster.signing import Signer

    environment = agent_environment()
    known: dict[str, AgentDocument] = {}
    for agent in (*recall(settings.state_folder, settings.network), *agents_in(environment)):
        known.setdefault(agent.name.lower(), agent)
    chosen = [known.get(n.lower(), _unknown(n)) for n in names] if names else list(known.values())
    checks: list[dict[str, Any]] = []
    for agent in chosen:
        check: dict[str, Any] = {"name": "key", "agent": agent.name, "ok": False, "message": "", "remedy": ""}
        try:
            keys = find_keys(agent, environment, settings.state_folder)
            address = Signer(keys.key, settings.chain_id).address
            check_signer(agent.name, keys.signer, address)
        except KeyProblem as problem:
            check["message"] = str(problem)
        else:
            check |= {"ok": True, "message": f"signer {address}, from {keys.source}"}
        checks.append(check)
    ok = bool(checks) and all(c["ok"] for c in checks)
    message = (
        f"{sum(c['ok'] for c in checks)} of {len(checks)} keys are usable" if checks else "no agent is known"
    )
    document = {"ok": ok, "code": "done" if ok else "failed", "message": message, "checks": checks}
    if not as_json:
        for check in checks:
            click.echo(f"{check['agent']:<16} {'ok' if check['ok'] else 'NOT OK'}  {check['message']}")
    return finish(document, DONE if ok else FAILED, as_json)


def _unknown(name: str) -> AgentDocument:
    return AgentDocument(agent_id=f"named:{name}", name=name, paper=False)

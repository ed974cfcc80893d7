"""The agents of the last connection, kept on disk for when MongoDB is away."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

from aster_tui.domain.documents import AgentDocument

log = structlog.get_logger(__name__)

FILE = "agents.json"


def remember(state: Path, network: str, agents: Iterable[AgentDocument]) -> None:
    """Write the agents' names and addresses; never a key. Replaces the file in one step."""
    rows = [
        {
            "id": a.agent_id,
            "name": a.name,
            "strategy": a.strategy,
            "user": a.user_address,
            "signer": a.signer_address,
            "paper": a.paper,
            "keeps": a.keeps_positions,
        }
        for a in agents
    ]
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = {**_read(state), network: rows}
    handle, name = tempfile.mkstemp(dir=state, prefix=FILE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(known, file, indent=1)
        Path(name).replace(state / FILE)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def recall(state: Path, network: str, *, paper: bool = False) -> tuple[AgentDocument, ...]:
    """The agents on real accounts that are remembered for a network, also those that went to paper and left
    positions there; with ``paper`` the others too."""
    found = []
    for row in _read(state).get(network, []):
        if not isinstance(row, dict):
            continue
        texts = {key: value for key, value in row.items() if isinstance(value, str)}
        keeps = row.get("keeps") is True
        if "name" in texts and (paper or keeps or row.get("paper") is not True):
            found.append(
                AgentDocument(
                    agent_id=texts.get("id") or f"remembered:{texts['name']}",
                    name=texts["name"],
                    strategy=texts.get("strategy", ""),
                    balance=Decimal(0),
                    paper=row.get("paper") is True,
                    user_address=texts.get("user"),
                    signer_address=texts.get("signer"),
                    keeps_positions=keeps,
                )
            )
    return tuple(found)


def _read(state: Path) -> dict[str, Any]:
    try:
        content = json.loads((state / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("remembered agents could not be read", error=str(error))
        return {}
    return content if isinstance(content, dict) else {}

"""What tests of the whole path share: settings for real servers, and waiting for conditions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aster_tui.config import Settings
from aster_tui.domain.views import AgentView, FleetSnapshot
from aster_tui.engine.engine import Engine
from aster_tui.engine.thread import EngineThread

PATIENCE = 60.0


async def until(
    condition: Callable[[], Any], what: str = "", patience: float = PATIENCE, *, every: float = 0.02
) -> Any:
    """Wait until ``condition`` gives something true, and return it."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen in {patience} s: {what or condition}")
        await asyncio.sleep(every)
    return found


def settings(
    tmp_path: Path, rest: str, ws: str, mongo: str | None, database: str = "asterroyale", **more: Any
) -> Settings:
    """Settings that point at real servers."""
    values: dict[str, Any] = {
        "profile": "practice",
        "rest_url": rest,
        "ws_url": ws,
        "chain_id": 1666,
        "mongodb_uri": mongo,
        "mongodb_database": database,
        "state_dir": tmp_path / "state",
        "sync_seconds": 5,
        **more,
    }
    return Settings(**values)


@contextmanager
def running(
    chosen: Settings,
    environment: Mapping[str, str] | None = None,
    *,
    working: bool = False,
    attached: bool = False,
) -> Iterator[EngineThread]:
    """An engine on its thread."""

    async def make() -> Engine:
        return Engine(chosen, environment or {}, working=working, attached=attached)

    engine = EngineThread(make, FleetSnapshot())
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def agent(engine: EngineThread, name: str) -> AgentView | None:
    """One agent of the newest snapshot."""
    return next((a for a in engine.snapshot().agents if a.name == name), None)


def feed(engine: EngineThread, name: str) -> str:
    """The state of a feed, by the beginning of its name."""
    return next((f.state for f in engine.snapshot().feeds if f.name.startswith(name)), "unknown")


def errors(engine: EngineThread) -> str:
    """Every line of the errors pane."""
    return "\n".join(f"{e.source}: {e.message} / {e.remedy}" for e in engine.snapshot().errors)


def agent_document(name: str, account: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A document of ``agents`` as the other side writes it; with an account it is a real agent."""
    document: dict[str, Any] = {
        "name": name,
        "strategy": "momentum",
        "description": "",
        "prompt": "",
        "avatar": "",
        "balance": 1000.0,
        "pnl": 0.0,
        "pnlAbsolute": 0.0,
        "winRate": 50.0,
        "totalTrades": 0,
        "volume24h": 0.0,
        "activePositions": [],
        "lastTrade": None,
        "decisionHistory": [],
        "status": "active",
    }
    if account is not None:
        document |= {
            "isPaperTrading": False,
            "asterUserAddress": account["user"],
            "asterSignerAddress": account["signer"],
        }
    return {**document, **more}


def keys(**accounts: Mapping[str, str]) -> dict[str, str]:
    """The environment that holds agents' keys."""
    return {f"AGENT_{n.upper()}_PRIVATE_KEY": a["signer_private_key"] for n, a in accounts.items()}

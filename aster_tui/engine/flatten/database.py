"""What a close-all wants of MongoDB, as a process of its own: the imports and threads of the driver, and a
database that hangs, then cost the close nothing.

``python -m aster_tui.engine.flatten.database`` reads one JSON line: the address, the database, the state
folder. It answers with the agents, or an error, on one line. A second line that names accounts and agents has
it halt them, in this machine's file and in the database, and say how far it got.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.domain.documents import AgentDocument

#: How long the database may take for one answer.
ASK_SECONDS = 3.0
_FIELDS = ("agent_id", "name", "strategy", "user_address", "signer_address", "paper", "keeps_positions")


class DatabaseProblem(Exception):
    """The database did not do it. The text is for people, without secrets."""


class DatabaseProcess:
    """The process, seen from the close-all."""

    def __init__(self, uri: str, database: str, state_folder: Path) -> None:
        self._asked = {"uri": uri, "database": database, "state_folder": str(state_folder)}
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def agents(self) -> tuple[AgentDocument, ...]:
        """All agents the database knows.

        Raises:
            DatabaseProblem: it cannot be asked.
        """
        async with self._turn:
            await self._start()
            answer = await self._ask(self._asked, "agents")
        return tuple(
            AgentDocument(balance=Decimal(0), **{name: row[name] for name in _FIELDS})
            for row in answer["agents"]
        )

    async def halt(self, request: Mapping[str, Any]) -> str:
        """Halt there, too; in words how far it got."""
        async with self._turn:
            answer = await self._ask(request, "halt")
        return str(answer["halt"])

    async def _start(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a hang-up of the terminal is not for it
                limit=2**26,
            )
        except OSError as error:
            raise DatabaseProblem(f"MongoDB cannot be asked: {error}") from None

    async def _ask(self, request: Mapping[str, Any], wanted: str) -> Mapping[str, Any]:
        """The answer that has what is wanted. One that comes too late for whoever asked is passed over."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise DatabaseProblem("MongoDB was not asked")
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
            answer: Mapping[str, Any] = {}
            while wanted not in answer and not answer.get("error"):
                answer = json.loads(await process.stdout.readline())
        except (OSError, ValueError) as error:
            raise DatabaseProblem(f"MongoDB was not asked to its end: {type(error).__name__}") from None
        if answer.get("error"):
            raise DatabaseProblem(str(answer["error"]))
        return answer

    async def close(self) -> None:
        """End it; what it began with the database is finished there or not."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def _serve() -> None:
    from aster_tui.store.base import StoreError
    from aster_tui.store.trading import trading_store

    asked = json.loads(sys.stdin.readline())
    store = trading_store(asked["uri"], asked["database"], ASK_SECONDS)
    agents: tuple[AgentDocument, ...] = ()
    try:
        try:
            agents = await store.load_agents()
            _say({"agents": [{name: getattr(agent, name) for name in _FIELDS} for agent in agents]})
        except StoreError as error:
            _say({"error": f"MongoDB: {error}"})  # it may take the halt all the same, a moment later
        if line := await asyncio.to_thread(sys.stdin.readline):
            _say({"halt": await _halt(store, json.loads(line), agents, Path(asked["state_folder"]))})
    except StoreError as error:
        _say({"error": f"MongoDB: {error}"})
    finally:
        await store.close()


async def _halt(
    store: Any, request: Mapping[str, Any], agents: tuple[AgentDocument, ...], state_folder: Path
) -> str:
    from aster_tui.domain.controls import FLEET
    from aster_tui.domain.trading import account_key
    from aster_tui.engine.halts import halt_locally, tell_database
    from aster_tui.store.base import StoreError

    keys = [FLEET]
    if request["accounts"]:
        accounts = set(request["accounts"])
        on_them = [a.agent_id for a in agents if a.user_address and account_key(a.user_address) in accounts]
        keys = [*dict.fromkeys((*request["agent_ids"], *on_them))]
    told = "everybody who asks the database is halted, too"
    try:
        halt_locally(state_folder, request["reason"], request["by"], keys=keys)
        await tell_database(store, state_folder)
    except OSError:
        # This machine's disk refuses; the database is told all the same.
        for key in keys:
            control = {
                "state": "HALTED",
                "reason": request["reason"],
                "by": request["by"],
                "at": request["at"],
            }
            await store.set_control(key, control)
    except StoreError as error:
        return f"the database was not told: {error}"
    return told


def _say(document: Mapping[str, Any]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    os.nice(10)  # the close comes first
    asyncio.run(_serve())
    sys.stdout.flush()
    os._exit(0)  # a driver's thread may hang

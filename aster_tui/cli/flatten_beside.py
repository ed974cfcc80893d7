"""What a close-all of the command line does beside closing: the halt of new risk, and the audit."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from typing import Any, Literal

from aster_tui.config import Settings
from aster_tui.domain.audit import AuditLine
from aster_tui.domain.controls import FLEET
from aster_tui.domain.flatten.report import FlattenReport
from aster_tui.domain.trading import account_key
from aster_tui.engine.apart import apart, on_a_thread
from aster_tui.engine.clock import now_ms
from aster_tui.engine.flatten.database import DatabaseProblem, DatabaseProcess
from aster_tui.engine.flatten.targets import Scope
from aster_tui.engine.halt_file import halt_locally
from aster_tui.engine.identity import Identity
from aster_tui.store.audit import AuditFile
from aster_tui.store.base import StoreError

#: What an ending is called in the audit, as other requests' answers are.
OUTCOMES = {"flat": "done", "left": "failed", "doubtful": "unknown"}
#: How long the accounts that only the database knows are waited for; nothing else waits for it.
DATABASE_SECONDS = 4.0
#: How long the disk may take for what is written at the end, and for the halt.
DISK_SECONDS = 1.0
DISK_SILENT = "the disk did not answer"


class Audit:
    """What was asked for and what came of it, in the audit of this machine; no disk holds the close up."""

    def __init__(
        self,
        settings: Settings,
        who: Identity,
        names: tuple[str, ...],
        symbols: frozenset[str],
        run_id: str,
    ) -> None:
        self._settings, self._who, self._run_id = settings, who, run_id
        self._title = f"CLOSE ALL of {', '.join(names) or 'every account'}"
        self._title += f" in {', '.join(sorted(symbols))}" if symbols else ""
        options = [*(("--agent", n) for n in names), *(("--symbol", s) for s in sorted(symbols))]
        self._words = shlex.join(["aster-tui", "close-all", *(word for pair in options for word in pair)])
        self._chain = AuditFile(settings.state_folder, who.host)
        self._asked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        on_a_thread(lambda: self._append("asked", "", ""), self._asked)

    async def answered(self, report: FlattenReport) -> str:
        """Write down what came of it; why not, empty when it was."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._asked)
                outcome = OUTCOMES.get(report.ending, report.ending)
                on_a_thread(lambda: self._append("answered", outcome, report.message), done)
                await asyncio.shield(done)
        except TimeoutError:
            return "the audit was not written: the disk did not answer"
        except StoreError as error:
            return str(error)
        self._chain.close()
        return ""

    def _append(self, phase: Literal["asked", "answered"], outcome: str, answer: str) -> None:
        who, line = self._who, (self._title, self._words, self._settings.network, outcome, answer[:500])
        self._chain.append(
            AuditLine(0, now_ms(), who.operator, who.host, "command", self._run_id, phase, *line)
        )


class Halting:
    """Stops new risk: on this machine at once, everywhere through the database."""

    def __init__(
        self,
        settings: Settings,
        names: tuple[str, ...],
        scope: Scope,
        operator: str,
        database: DatabaseProcess | None,
    ) -> None:
        self._settings, self._operator, self._database = settings, operator, database
        self._all = not names
        self._accounts = [account_key(target.account) for target in scope.targets]
        agents = [agent for target in scope.targets for agent in target.agents]
        self._ids = [agent.agent_id for agent in agents]
        self._whom = "the fleet is" if self._all else f"{', '.join(agent.name for agent in agents)}:"

    async def run(self, tell: Callable[[str], None]) -> None:
        """Halt; tells in words how far it got."""
        reason, at, keys = "close-all", now_ms(), [FLEET] if self._all else self._ids
        folder, operator = self._settings.state_folder, self._operator
        here = f"{self._whom} halted on this machine"
        try:
            at = (await apart(lambda: halt_locally(folder, reason, operator, keys=keys), DISK_SECONDS)).at
        except (TimeoutError, OSError) as error:
            here = f"{self._whom} NOT halted on this machine ({str(error) or DISK_SILENT})"
        if self._database is None:
            tell(here)
            return
        tell(f"{here}; the database did not answer yet, so others may not know")
        request = {
            "accounts": [] if self._all else self._accounts,
            "agent_ids": self._ids,
            "reason": reason,
            "by": operator,
            "at": at,
        }
        try:
            async with asyncio.timeout(2 * DATABASE_SECONDS):
                tell(f"{here}; {await self._database.halt(request)}")
        except TimeoutError:
            tell(f"{here}; the database did not answer, so others may not know")
        except DatabaseProblem as problem:
            tell(f"{here}; the database was not told, so others may not know: {problem}")

"""What became of a decision: written down for the database, and said where it did not go well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aster_tui.domain.decisions import ARGUMENTS
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.trading import ZERO
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.trade.executor import Outcome
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from aster_tui.store.trading import QueuedDecision

AGAIN_SECONDS = 1.0
_WORDS = {
    "refused": "was refused",
    "failed": "failed",
    "stale": "came too late",
    "interrupted": "was interrupted",
}
_REMEDIES = {
    "refused": "the agent goes on; change the decision or the safeguard's setting",
    "failed": "nothing is sent again; look at the order and the position",
    "stale": "was the worker stopped? the agent decides anew",
    "interrupted": "look at the agent's positions and protective orders",
}


class Reports:
    """Tells the journal, which tells the database. While the disk takes nothing it is tried again and nothing
    else is begun: an end that is not written down is not known to anybody."""

    def __init__(self, core: Core, journal: Journal) -> None:
        self._core, self._journal = core, journal

    async def finish(
        self, agent: AgentDocument, taken: QueuedDecision, state: str, outcome: Outcome, started: int
    ) -> None:
        """A decision ended in ``state``."""
        at = now_ms()
        fields: dict[str, Any] = {
            "state": state,
            "reasons": list(outcome.reasons),
            "finishedAt": at,
            "latencyMs": at - started,
            "result": _result(outcome),
        }
        key, made_at = taken.decision_id, taken.made_at
        await self._until_written(lambda: self._journal.finish(key, agent.name, made_at, at, fields))
        if state != "done":
            await self.keep(_error(agent, taken, state, outcome, at))

    async def keep(self, error: ErrorRaised) -> None:
        """Say an error here, and keep it for the database."""
        self._core.emit(error)
        await self.note("error", {name: getattr(error, name) for name in error.__slots__}, error.at)

    async def note(self, kind: str, data: Mapping[str, Any], at: int = 0) -> None:
        """Write a line, however long it takes."""
        await self._until_written(lambda: self._journal.note(kind, at or now_ms(), data))

    async def _until_written(self, write: Callable[[], Awaitable[None]]) -> None:
        told = False
        while True:
            try:
                await write()
                return
            except StoreError as error:
                if not told:
                    told = True
                    self._core.problem("journal", str(error), remedy=error.remedy)
                await asyncio.sleep(AGAIN_SECONDS)


def arguments_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a decision's document that says what is wanted."""
    nested = raw.get(ARGUMENTS)
    return nested if isinstance(nested, Mapping) else raw


def _error(agent: AgentDocument, taken: QueuedDecision, state: str, outcome: Outcome, at: int) -> ErrorRaised:
    arguments = arguments_of(taken.raw)
    text = f"{arguments.get('signal', '?')} {arguments.get('coin', '?')}"
    named = " ".join(text.split())[:40]
    reasons = "; ".join(outcome.reasons) or "no reason was given"
    return ErrorRaised(
        at,
        "safeguard" if outcome.verdicts and state == "refused" else "decision",
        f"{agent.name}: {named} {_WORDS[state]}: {reasons}",
        agent=agent.name,
        code=_code(outcome),
        remedy=outcome.remedy or _REMEDIES[state],
    )


def _code(outcome: Outcome) -> str:
    """The exchange's code, or the name of the safeguard that tripped."""
    codes = (r.error_code for r in outcome.orders if r.error_code)
    safeguard = next((v.name for v in outcome.verdicts if not v.ok), "")
    return outcome.code or next(codes, safeguard)


def _result(outcome: Outcome) -> dict[str, Any]:
    plan = outcome.plan
    shown: dict[str, Any] = {
        "orders": [r.client_order_id for r in outcome.orders],
        "safeguards": [{"name": v.name, "ok": v.ok, "message": v.message} for v in outcome.verdicts],
    }
    if plan is not None and plan.side is not None:
        shown |= {
            "symbol": plan.symbol,
            "side": plan.side,
            "quantity": str(plan.quantity),
            "mark": str(plan.mark),
        }
    executed = [r for r in outcome.orders if r.executed and r.purpose in ("entry", "close")]
    if executed:
        shown |= {
            "executed": str(sum((r.executed for r in executed), ZERO)),
            "averagePrice": str(executed[0].average_price),
            "slippageBp": str(executed[0].slippage_bp) if executed[0].slippage_bp is not None else None,
        }
    return shown

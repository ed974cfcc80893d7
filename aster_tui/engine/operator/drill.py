"""A drill as an operator's request: rehearsed by processes of its own while the console goes on."""

from __future__ import annotations

from pathlib import Path

from aster_tui.domain.commands import HoldDrill
from aster_tui.domain.drill import INCIDENTS, alike, as_data, beside
from aster_tui.engine.flatten.drill import Asked, DrillProblem, earlier_drills, hold_drill
from aster_tui.engine.operator.operator import Answer, Move, Refused, answer


class DrillTask:
    """Holds drills; each is kept beside the earlier ones in the state folder."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder

    async def hold(self, asked: HoldDrill, move: Move) -> Answer:
        """Hold one."""
        if asked.incident not in INCIDENTS:
            raise Refused(f"there is no such incident: {asked.incident}")
        try:
            held = await hold_drill(Asked(asked.incident), self._folder, move)
        except DrillProblem as problem:
            return answer("failed", str(problem))
        compared = beside(held, alike(held, earlier_drills(self._folder)))
        flat = "not flat" if held.flat_ms is None else f"flat after {held.flat_ms} ms"
        words = f"drill {held.incident}: {flat}, verified in {held.verified_ms} ms; {compared}"
        return answer("done" if held.ok else "failed", words, drill=as_data(held))

"""What balances were since the console opened: kept thin, for the charts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from aster_tui.domain.views import FleetSnapshot

#: Points kept of one agent; when there are more, every other one is given up.
MOST_POINTS = 720
EVERY_MS = 2_000

#: Time (Unix ms), the balance, and what the same decisions came to on paper.
Point = tuple[int, Decimal, Decimal | None]


class Balances:
    """The balances of every agent over the session."""

    def __init__(self) -> None:
        self._points: dict[str, list[Point]] = {}
        self._every: dict[str, int] = {}
        self._looked_at = 0

    def look(self, snapshot: FleetSnapshot, now: int) -> None:
        """Keep what the balances are, at most every :data:`EVERY_MS`."""
        if 0 <= now - self._looked_at < EVERY_MS:
            return
        self._looked_at = now
        for agent in snapshot.agents:
            if agent.stale:
                continue  # what nobody told is no point of a curve
            points = self._points.setdefault(agent.key, [])
            every = self._every.setdefault(agent.key, EVERY_MS)
            if points and now - points[-1][0] < every:
                continue
            points.append((now, agent.balance, agent.paper_balance if agent.mode == "real" else None))
            if len(points) > MOST_POINTS:
                self._points[agent.key] = points[::2]
                self._every[agent.key] = every * 2

    def of(self, agent_key: str) -> tuple[Point, ...]:
        """An agent's points, oldest first."""
        return tuple(self._points.get(agent_key, ()))

    @property
    def all(self) -> Mapping[str, list[Point]]:
        """Every agent's."""
        return self._points

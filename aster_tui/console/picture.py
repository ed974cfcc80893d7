"""A picture of the console as SVG, painted by the console itself, without a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable

from aster_tui.console.app import TICK_SECONDS, ConsoleApp
from aster_tui.domain.commands import Command
from aster_tui.domain.views import FleetSnapshot


class _Still:
    """A port that shows one snapshot for ever."""

    failure: str | None = None

    def __init__(self, snapshot: FleetSnapshot) -> None:
        self._snapshot = snapshot

    def snapshot(self) -> FleetSnapshot:
        return self._snapshot

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def submit(self, command: Command) -> None:
        """There is nobody to ask."""

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> None:
        """There is nothing to stop."""


async def picture(snapshot: FleetSnapshot, *, columns: int = 120, rows: int = 40) -> str:
    """The console showing ``snapshot`` at its own time, as an SVG document."""
    app = ConsoleApp(_Still(snapshot), clock=lambda: snapshot.at)
    async with app.run_test(size=(columns, rows)) as pilot:
        await pilot.pause(3 * TICK_SECONDS)
        drawn = app.export_screenshot(title="aster-tui")
    # A picture must not fetch anything: the reader's own monospaced font will do.
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)

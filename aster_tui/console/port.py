"""What the console knows of the engine: a snapshot to look at, and a place to put commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aster_tui.domain.commands import Command
    from aster_tui.domain.views import FleetSnapshot


class EnginePort(Protocol):
    """An engine that runs elsewhere: nothing here waits for a network or a database."""

    @property
    def failure(self) -> str | None:
        """Why the engine ended, if it did."""

    def snapshot(self) -> FleetSnapshot:
        """The newest snapshot; cheap, from any thread."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` called after each new snapshot, on the engine's thread."""

    def submit(self, command: Command) -> None:
        """Hand over a command."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Stop it; takes at most a few seconds."""

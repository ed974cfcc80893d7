"""The newest snapshot of an engine, and who is told of the next one."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from aster_tui.domain.views import FleetSnapshot

log = structlog.get_logger(__name__)


class Published:
    """What of an engine is looked at, from any thread.

    Args:
        first: the snapshot to show before the engine said anything.
    """

    def __init__(self, first: FleetSnapshot) -> None:
        self._snapshot = first
        self._subscribers: list[Callable[[], None]] = []

    def snapshot(self) -> FleetSnapshot:
        """The newest snapshot. Cheap, from any thread."""
        return self._snapshot

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` called, on the engine's thread, after each new snapshot. Returns the way out."""
        self._subscribers = [*self._subscribers, callback]

        def unsubscribe() -> None:
            self._subscribers = [c for c in self._subscribers if c is not callback]

        return unsubscribe

    def _publish(self, snapshot: FleetSnapshot) -> None:
        self._snapshot = snapshot
        self._notify()

    def _notify(self) -> None:
        for callback in self._subscribers:
            try:
                callback()
            except Exception:  # one broken listener must not silence the others or the feeds
                log.exception("a listener failed")

"""What the footer says for a while, and which news ring."""

from __future__ import annotations

from collections.abc import Callable

from aster_tui.console import format as fmt
from aster_tui.domain.views import ALARMS, ErrorView, FleetSnapshot

SECONDS = 5.0
FOR_EVER_MS = 10**12


class Notices:
    """One notice at a time; ``clock`` is Unix ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._text = ""
        self._until = 0

    def say(self, text: str, *, seconds: float, lasting: bool) -> None:
        """Say something for a while, or until something else is said."""
        self._text = fmt.one_line(text)
        self._until = self._clock() + (FOR_EVER_MS if lasting else int(seconds * 1000))

    @property
    def text(self) -> str:
        """What is said now; empty for nothing."""
        return self._text if self._clock() < self._until else ""


class Ringing:
    """Finds what must not be missed, each once; what is older than ``since`` is old news."""

    def __init__(self, since: int) -> None:
        self._since = since

    def news(self, snapshot: FleetSnapshot, now: int) -> ErrorView | None:
        """The newest alarm that was not rung for."""
        for error in snapshot.errors:
            if error.at < self._since:
                break  # newest first
            if error.source in ALARMS:
                self._since = max(now, error.at + 1)
                return error
        return None

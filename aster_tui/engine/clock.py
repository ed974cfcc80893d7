"""What time it is here."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Local wall-clock time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def clock_ms() -> int:
    """A clock that never goes back, whole ms; its zero means nothing."""
    return time.monotonic_ns() // 1_000_000

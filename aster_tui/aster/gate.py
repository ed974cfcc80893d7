"""Keeps this process inside the venue's limits: what would be refused or punished is not sent at all.

The limit is per address, so all clients of one base address share a gate. A part of each minute's weight is
kept back: reads stop at :data:`READS_SHARE` of it, what changes something and what it needs may use the
rest. After a 429 nothing is sent for as long as the venue says, and after a 418 (every request lengthens a
ban) neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from aster_tui.aster.errors import RateLimited

#: Reads (the console's display, syncs) may use this share of a minute's weight; orders the rest too.
READS_SHARE = 0.9
MINUTE_S = 60
#: Reads that must go on when the display's may not: what became of an order, the clock of every nonce, and
#: the key of the stream that spares all other reads.
URGENT_PATHS = frozenset({"/fapi/v3/order", "/fapi/v3/time", "/fapi/v3/listenKey"})


class Gate:
    """One address's allowance.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.limit = 2400
        self._minute, self._used = 0, 0
        self._closed_until, self._banned = 0.0, False

    def told(self, used: int) -> None:
        """The venue told the weight used in the present minute."""
        with self._lock:
            self._turn()
            self._used = max(self._used, used)

    def refused(self, retry_after_s: float, *, banned: bool) -> None:
        """The venue refused: send nothing for this long."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + retry_after_s)
            self._banned = banned

    def check(self, path: str, *, changes: bool) -> None:
        """Whether a request may go now.

        Raises:
            RateLimited: not yet; it says until when. Nothing was sent.
        """
        now = self._clock()
        with self._lock:
            self._turn()
            closed, used = self._closed_until, self._used
        if now < closed:
            why = "banned by the exchange" if self._banned else "too many requests"
            raise self._held(418 if self._banned else 429, why, closed - now)
        urgent = changes or path in URGENT_PATHS
        if not urgent and used >= self.limit * READS_SHARE:
            left = MINUTE_S - now % MINUTE_S
            raise self._held(429, f"{used} of {self.limit} request weight used; the rest is for orders", left)

    def _held(self, status: int, why: str, seconds: float) -> RateLimited:
        error = RateLimited(status, 0, "", seconds)
        until = time.strftime("%H:%M:%S", time.localtime(self._clock() + seconds))
        error.message = f"{why}: nothing is sent until {until}"
        error.remedy = "wait; it goes on by itself"
        return error

    def _turn(self) -> None:
        minute = int(self._clock() // MINUTE_S)
        if minute != self._minute:
            self._minute, self._used = minute, 0


_GATES: dict[str, Gate] = {}
_LOCK = threading.Lock()


def gate_of(base: str) -> Gate:
    """The gate that all clients of a base address share."""
    with _LOCK:
        return _GATES.setdefault(base, Gate())

"""Nonces: microseconds, strictly increasing per signer, also across threads and a clock that jumps back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class NonceSource:
    """Gives nonces near server time.

    The venue wants microseconds, refuses a nonce twice and one too far from its own time (``-4225``).
    ``offset_ms`` (server minus local time) moves them to server time.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()

    def next(self, signer: str, offset_ms: int = 0) -> int:
        """The next nonce of a signer's address."""
        now = self._clock_ns() // 1000 + offset_ms * 1000
        with self._lock:
            nonce = max(now, self._last.get(signer, 0) + 1)
            self._last[signer] = nonce
        return nonce


#: One source per process: two counters for one signer would give the same nonce twice.
SHARED = NonceSource()

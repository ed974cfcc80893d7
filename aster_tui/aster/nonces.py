"""Nonces: microseconds, strictly increasing per signer, whoever on this machine asks.

The venue refuses a nonce twice and one too far from its own time (``-4225``), per signer. So one counter
per signer serves every task, thread and process of this machine, survives restarts, and does not follow a
clock that jumps. Once server time was measured it goes by a clock that nobody sets.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

_BYTES = 8
#: How long a signer's file, which is held for a few µs, is waited for: by a source that insists, and by
#: others the first time. Then whoever holds it was stopped, or its disk hangs.
LOCK_SECONDS, STOPPED_SECONDS = 0.02, 0.25
#: A nonce that is ahead of the exchange's time by more came from a clock that was wrong.
FAR_AHEAD_US = 3_000_000
#: By how much the machine's clock and the steady one may part before the machine's counts as set.
SET_US = 500_000
#: As many of a signer's newest nonces the venue keeps.
VENUE_KEEPS = 100


def steady_ns() -> int:
    """Time in ns on a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class NonceSource:
    """Gives nonces near server time.

    Args:
        folder: where the last nonce of each signer is kept, one file of eight bytes each, locked while it
            is read and written (a few µs). Without a folder the counter is this process's own, as it is
            while a process that was stopped holds that lock: a nonce that happens to be used twice the venue
            refuses.
        insists: for what must not wait. When the folder cannot be used, or its lock is not to be had soon, go
            on with this process's own counter; and where nonces were given by a clock far ahead of the
            exchange's, which it all refuses, go back to its time instead of counting on.
        clock_ns: Unix time in ns.
        steady: time in ns on a clock that is never set.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        insists: bool = False,
        clock_ns: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = steady_ns,
    ) -> None:
        self._folder = folder
        self._insists = insists
        self._clock_ns, self._steady = clock_ns, steady
        #: Server time in µs less the steady clock's, and the venue's window in µs, once measured.
        self._ahead: int | None = None
        self._window_us = 0
        self._recent: dict[str, deque[int]] = {}
        self._last: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._stopped: set[int] = set()
        self._lock = threading.Lock()
        #: Server minus local time, in ms, as last measured by anybody who shares this source.
        self.offset_ms = 0

    def next(self, signer: str) -> int:
        """The next nonce of a signer's address.

        Raises:
            OSError: the folder cannot be written. Nothing may be signed then: another process could use
                the same nonce.
        """
        signer = signer.lower()
        now = self._server_us()
        with self._lock:
            nonce = self._after(now, self._last.get(signer, 0))
            if self._folder is not None:
                try:
                    nonce = self._shared(signer, nonce)
                except OSError as error:
                    if not self._insists and not isinstance(error, BlockingIOError):
                        raise
            self._last[signer] = nonce
            self._recent.setdefault(signer, deque(maxlen=VENUE_KEEPS)).append(nonce)
        return nonce

    @property
    def knows_server_time(self) -> bool:
        """Whether somebody measured it."""
        return self._ahead is not None

    def measured(self, offset_ms: int, window_s: float) -> None:
        """Server time was measured: it is ``offset_ms`` ahead of the machine's clock now, and the venue takes
        nonces that are within ``window_s`` of it."""
        with self._lock:
            self.offset_ms = offset_ms
            self._ahead = self._clock_ns() // 1000 + offset_ms * 1000 - self._steady() // 1000
            self._window_us = int(window_s * 1_000_000)

    def is_recent(self, signer: str, nonce: int) -> bool:
        """Whether fewer nonces were given here after this one than the venue keeps: then it cannot be our
        own that made it too old."""
        recent = self._recent.get(signer.lower())
        return recent is None or len(recent) < VENUE_KEEPS or nonce >= recent[0]

    def _server_us(self) -> int:
        told = self._clock_ns() // 1000 + self.offset_ms * 1000
        if self._ahead is None:
            return told
        steady = self._steady() // 1000 + self._ahead
        # The machine's clock was set since: its difference will be measured again in a moment.
        return told if abs(told - steady) < SET_US else steady

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for descriptor in self._files.values():
                os.close(descriptor)
            self._files.clear()

    def _shared(self, signer: str, least: int) -> int:
        descriptor = self._files.get(signer)
        if descriptor is None:
            descriptor = self._files[signer] = self._open(signer)
        self._lock_file(descriptor)
        try:
            kept = os.pread(descriptor, _BYTES, 0)
            # A file cut short by a full disk says nothing; ours and the clock's are then the best known.
            newest = int.from_bytes(kept, "big") if len(kept) == _BYTES else 0
            nonce = self._after(least, newest)
            os.pwrite(descriptor, nonce.to_bytes(_BYTES, "big"), 0)
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        return nonce

    def _after(self, least: int, newest: int) -> int:
        """The nonce after ``newest``, unless that came from a clock that was wrong: once server time is
        known, what is ahead of it by more than the window was refused, and so would be all that follow."""
        far = FAR_AHEAD_US if self._insists else self._window_us
        if newest > least + far and (self._insists or self._ahead is not None):
            return least
        return max(least, newest + 1)

    def _lock_file(self, descriptor: int) -> None:
        known = descriptor in self._stopped
        if self._insists:
            # Once it is known to be held by one that was stopped, not again for each of many requests.
            seconds = 0.0 if known else LOCK_SECONDS
        else:
            seconds = LOCK_SECONDS if known else STOPPED_SECONDS
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._stopped.add(descriptor)
                    raise
                time.sleep(0.0005)
            else:
                self._stopped.discard(descriptor)
                return

    def _open(self, signer: str) -> int:
        folder = self._folder
        if folder is None or not signer.removeprefix("0x").isalnum():
            raise OSError(f"no file for {signer!r}")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(folder / signer, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


#: One source per process for those that name no folder: two counters for one signer would collide.
SHARED = NonceSource()

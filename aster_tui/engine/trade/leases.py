"""The right to trade for an agent, or to add risk on an account: held by one process anywhere, renewed in the
database, lost by not renewing.

Time is measured from before the request was sent, on a clock that goes on while the process is stopped and
while the machine sleeps: whoever was paused past its lease finds it expired before it can send anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aster_tui.engine.trade.desk import Forbidden
from aster_tui.store.base import StoreError, StoreUnavailable
from aster_tui.store.trading import Lease, TradingStore

TTL_MS = 6_000
RENEW_SECONDS = 1.5
#: A renewal that takes longer counts as unanswered: the next one must come in time.
ANSWER_SECONDS = 1.2
#: Given up this long before it ends: the database's clock and the way there are not ours.
MARGIN_SECONDS = 1.0
LOST = "this worker no longer holds the agent: another one does, or may"


def seconds() -> float:
    """Seconds of a clock that nobody sets, the same for all processes of this machine. Where the system has
    one (Linux), it goes on while the machine sleeps, which the usual one does not."""
    sleepless: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if sleepless is None else time.clock_gettime(sleepless)


class HeldLease:
    """One lease, as this process knows it.

    Args:
        asked_at: when the database was asked for it.
        clock: seconds that go on while the process is stopped.
        without_database: whether to go on with a lease that cannot be renewed because the database cannot be
            reached: then nobody else can take it either, unless only this machine is cut off. Each decision
            is still claimed once by somebody.
    """

    def __init__(
        self,
        lease: Lease,
        asked_at: float,
        *,
        without_database: bool,
        clock: Callable[[], float] = seconds,
    ) -> None:
        self.lease = lease
        self._clock = clock
        self._until = asked_at + TTL_MS / 1000 - MARGIN_SECONDS
        self._without_database = without_database
        self._away_at: float | None = None
        self._lost = False

    @property
    def lost(self) -> bool:
        """Whether somebody else has it, for certain."""
        return self._lost

    @property
    def valid(self) -> bool:
        """Whether orders may leave now."""
        if self._lost:
            return False
        now = self._clock()
        if now < self._until:
            return True
        # Expired: only fresh knowledge that the database is away, for all we can see, lets it go on.
        fresh = self._away_at is not None and now - self._away_at < 3 * RENEW_SECONDS
        return self._without_database and fresh

    def permit(self) -> None:
        """Raises Forbidden unless orders may leave now."""
        if not self.valid:
            raise Forbidden(LOST, remedy="nothing was sent; the worker that holds it goes on")

    async def renew(self, store: TradingStore) -> bool:
        """Ask for it again; False when it is lost."""
        if self._lost:
            return False
        asked_at = self._clock()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                held = await store.renew_lease(self.lease, TTL_MS)
        except (StoreUnavailable, TimeoutError):
            self._away_at = self._clock()
            return True
        except StoreError:
            return True  # refused: it runs out by itself
        self._away_at = None
        if not held:
            self._lost = True
            return False
        self._until = asked_at + TTL_MS / 1000 - MARGIN_SECONDS
        return True

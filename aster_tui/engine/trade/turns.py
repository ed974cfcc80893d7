"""One order that adds risk at a time on an account: each is judged by what the one before it left.

Agents that share an account, and the operator, have one balance and one exposure there. Whoever wants more
waits, from the judging to the moment the account shows what came of it, for who was first. What only reduces
waits for nobody; accounts do not wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aster_tui.domain.trading import account_key

#: As long as an order is waited for whose outcome must be found out: a nonce window, and asking.
WAIT_SECONDS = 15.0


class StillUnderWay(Exception):
    """An earlier order of the account has not ended; nothing was sent. One line for people."""

    remedy = "look at the account's last order; decide again once it is known what became of it"


class Turns:
    """Of all accounts, in this process."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def of(self, account: str) -> AsyncIterator[None]:
        """Hold an account's turn.

        Raises:
            StillUnderWay: it did not come within :data:`WAIT_SECONDS`.
        """
        lock = self._locks.setdefault(account_key(account), asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise StillUnderWay(
                f"another order of its account is still under way after {WAIT_SECONDS:.0f} s: what may be"
                " opened beside it is not known"
            ) from None
        try:
            yield
        finally:
            lock.release()

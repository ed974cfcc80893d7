"""One order that adds risk at a time on an account, anywhere: each is judged by what the one before it left.

Agents that share an account, and the operator, have one balance and one exposure there. Whoever wants more
waits, from the judging to the moment the account shows what came of it, for who was first: in its process, on
its machine (a turn in the journal's folder) and everywhere (a lease in MongoDB). Whoever may have been
preceded by another process reads the account before it judges: what that one did may not be told here yet.
What only reduces waits for nobody; accounts do not wait for each other.

While the database is away nobody can say what other machines do; those of one machine follow one another
all the same. That one holds whether or not each of its processes sees the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aster_tui.aster.errors import AsterError
from aster_tui.aster.trader import Trader
from aster_tui.domain.events import Event, FeedChanged
from aster_tui.domain.trading import account_key
from aster_tui.engine.core import Core
from aster_tui.engine.trade.desk import Forbidden
from aster_tui.engine.trade.leases import MARGIN_SECONDS, RENEW_SECONDS, TTL_MS, HeldLease, seconds
from aster_tui.store.base import StoreError, StoreUnavailable
from aster_tui.store.journal import Journal
from aster_tui.store.trading import TradingStore, key_of_account

#: As long as an order is waited for whose outcome must be found out: a nonce window, and asking.
WAIT_SECONDS = 15.0
#: The pause before another process's turn is asked for again: at random, so that nobody is always late.
PAUSE_SECONDS = (0.02, 0.06)
#: A database that does not answer for so long counts as away; while it does, it is given less.
ANSWER_SECONDS, AWAY_ANSWER_SECONDS = 2.5, 0.3
#: How long giving a turn back may take; what is not given back runs out.
GIVE_BACK_SECONDS = 2.0
#: The database's feed.
DATABASE = "mongo"
LOST = "the account's turn was lost before the order left: another process may be opening there by now"
_APART = "it is not known whether another machine opens something on its account"


class StillUnderWay(Exception):
    """What may be opened on the account is not known now; nothing was sent. One line for people."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy or (
            "look at the account's last order; decide again once it is known what became of it"
        )


class Turn:
    """An account's turn, as long as it is held: that of this machine, and the lease where there is one.

    Args:
        number: the machine's number of the turn.
        asked_at: when the machine's was asked for, by ``clock``: seconds that go on while the process is
            stopped, and are the same for all processes of this machine.
    """

    def __init__(
        self, name: str, number: int, asked_at: float, lease: HeldLease | None, clock: Callable[[], float]
    ) -> None:
        self.name, self.number, self.lease = name, number, lease
        self._clock = clock
        self._until = _until(asked_at)
        self._lost = False

    @property
    def valid(self) -> bool:
        """Whether what adds risk may leave now."""
        here = not self._lost and self._clock() < self._until
        return here and (self.lease is None or self.lease.valid)

    def permit(self) -> None:
        """Raises Forbidden unless what adds risk may leave now."""
        if not self.valid:
            raise Forbidden(LOST, remedy="nothing was sent; decide again")

    async def renew(self, journal: Journal, store: TradingStore | None) -> None:
        """Ask for it again; what ended meanwhile is not had again."""
        asked_at = self._clock()
        if self._lost or asked_at >= self._until:
            self._lost = True
            return
        with contextlib.suppress(StoreError):  # refused: it runs out by itself
            number = await journal.take_turn(self.name, _ms(asked_at), TTL_MS)
            self._lost = number != self.number
            self._until = _until(asked_at)
        if self.lease is not None and store is not None:
            await self.lease.renew(store)


@dataclass(frozen=True, slots=True)
class _Had:
    """Which turn of an account this process had last: the machine's number, and the lease's epoch (0 without
    one)."""

    number: int
    epoch: int


class Turns:
    """Of all accounts.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
        store: None where there is no database.
        without_database: whether to go on while the database cannot be reached.
        clock: seconds that go on while the process is stopped, the same for all processes of this machine.
    """

    def __init__(
        self,
        core: Core,
        journal: Journal,
        store: TradingStore | None,
        client_of: Callable[[str], Trader | None],
        *,
        without_database: bool = True,
        clock: Callable[[], float] = seconds,
    ) -> None:
        self._core, self._journal, self._store = core, journal, store
        self._client_of, self._clock = client_of, clock
        self._without_database = without_database
        self._locks: dict[str, asyncio.Lock] = {}
        self._had: dict[str, _Had] = {}
        self._away = False
        self._counted = itertools.count(1)
        self._ending: set[asyncio.Task[None]] = set()

    def listen(self, event: Event) -> None:
        """Take an event of the engine: while the database is away, other machines need no lease to trade."""
        if isinstance(event, FeedChanged) and event.name == DATABASE and event.state != "live":
            self._had.clear()

    @asynccontextmanager
    async def of(self, account: str) -> AsyncIterator[Turn]:
        """Hold an account's turn. Before what adds risk leaves, its permit must be asked.

        Raises:
            StillUnderWay: it did not come within :data:`WAIT_SECONDS`, or what came before cannot be known.
        """
        key = account_key(account)
        turn = await self._had_in_time(key)
        renewing = asyncio.create_task(self._renew(turn))
        try:
            await self._know(key, turn)
            yield turn
        finally:
            renewing.cancel()
            self._end(key, turn.name, turn.lease)

    async def close(self, patience_s: float) -> None:
        """Wait for turns that are being given back."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=patience_s)

    # Taking

    async def _had_in_time(self, key: str) -> Turn:
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await lock.acquire()
                try:
                    return await self._taken(key)
                except BaseException:
                    self._end(key, _name(key), None)
                    raise
        except TimeoutError:
            after = f"after {WAIT_SECONDS:.0f} s"
            if self._away and not self._without_database:
                raise StillUnderWay(
                    f"the database cannot be reached {after}: {_APART}",
                    remedy="see the database's feed; trade_without_database lets it go on",
                ) from None
            raise StillUnderWay(
                f"another order of its account is still under way {after}: what may be"
                " opened beside it is not known"
            ) from None
        except StoreError as error:
            raise StillUnderWay(f"its account's turn cannot be had: {error}", remedy=error.remedy) from None

    async def _taken(self, key: str) -> Turn:
        # A name of its own for each turn: what of an earlier one arrives late at the database ends nothing.
        name, owner = _name(key), f"{self._journal.owner}-{next(self._counted)}"
        while True:
            asked_at = self._clock()
            # The machine's first, and gone on with as long as the lease is another's.
            if number := await self._journal.take_turn(name, _ms(asked_at), TTL_MS):
                agreed, lease = await self._agreed(key, owner)
                if agreed:
                    return Turn(name, number, asked_at, lease, self._clock)
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))

    async def _agreed(self, key: str, owner: str) -> tuple[bool, HeldLease | None]:
        """Whether no other machine has the turn, as far as can be known, and the lease that says so."""
        if self._store is None:
            return True, None
        asked_at = self._clock()
        try:
            async with asyncio.timeout(AWAY_ANSWER_SECONDS if self._away else ANSWER_SECONDS):
                lease = await self._store.take_lease(key_of_account(key), owner, TTL_MS)
        except (StoreUnavailable, TimeoutError):
            self._away = True
            return self._without_database, None
        self._away = False
        if lease is None:
            return False, None
        return True, HeldLease(lease, asked_at, without_database=self._without_database, clock=self._clock)

    async def _know(self, key: str, turn: Turn) -> None:
        """Until what came before this turn is known here."""
        now = _Had(turn.number, turn.lease.lease.epoch if turn.lease is not None else 0)
        if not self._follows(now, self._had.get(key)):
            await self._read(key)
        self._had[key] = now

    def _follows(self, now: _Had, had: _Had | None) -> bool:
        """Whether nobody else can have had the turn since it was ours."""
        if had is None or now.number not in (had.number, had.number + 1):
            return False
        if self._store is None:
            return True
        return had.epoch > 0 and now.epoch == had.epoch + 1

    async def _read(self, account: str) -> None:
        remedy = "nothing was sent; decide again once the account can be read"
        client = self._client_of(account)
        if client is None:
            raise StillUnderWay("its account cannot be read", remedy=remedy)
        try:
            self._core.emit(await client.account_snapshot(open_orders=True))
        except AsterError as error:
            raise StillUnderWay(
                f"another process may have traded on its account, which cannot be read: {error}",
                remedy=error.remedy or remedy,
            ) from None

    # Holding, and giving back

    async def _renew(self, turn: Turn) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await turn.renew(self._journal, self._store)

    def _end(self, key: str, name: str, lease: HeldLease | None) -> None:
        """Give a turn back, beside what the caller does next and even if that is stopped."""
        lock = self._locks[key]

        def ended(task: asyncio.Task[None]) -> None:
            self._ending.discard(task)
            lock.release()

        task = asyncio.create_task(self._given_back(name, lease))
        self._ending.add(task)
        task.add_done_callback(ended)

    async def _given_back(self, name: str, held: HeldLease | None) -> None:
        # What cannot be given back runs out.
        with contextlib.suppress(StoreError):
            await self._journal.leave_turn(name)
        if held is not None and self._store is not None and not self._away:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self._store.release_lease(held.lease)


def _name(key: str) -> str:
    """The name of an account's turn among the files of this machine."""
    return f"account-{re.sub(r'[^0-9a-z]', '-', key)}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _until(asked_at: float) -> float:
    return asked_at + TTL_MS / 1000 - MARGIN_SECONDS

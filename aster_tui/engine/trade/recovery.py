"""What processes of this machine left behind when they died: their orders of unknown outcome, found out
before anything new of those accounts is sent, by whichever process can send at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aster_tui.aster.errors import AsterError
from aster_tui.aster.trader import Trader
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.trading import account_key
from aster_tui.engine.core import Core
from aster_tui.engine.supervise import Tasks
from aster_tui.engine.trade.desk import OrderDesk
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal

LOOK_SECONDS = 1.0


class Recovery:
    """Takes over, asks and writes down.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
    """

    def __init__(
        self, core: Core, journal: Journal, desk: OrderDesk, client_of: Callable[[str], Trader | None]
    ) -> None:
        self._core, self._journal, self._desk, self._client_of = core, journal, desk, client_of
        #: What nobody alive has under way, and what of it this process finds out about.
        self._left: dict[str, OrderRecord] = {}
        self._mine: dict[str, OrderRecord] = {}
        self._tasks = Tasks(core)
        self._looked = asyncio.Event()
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._tasks.close()

    async def _look(self) -> None:
        gone = [record for record, gone in await self._journal.unresolved() if gone]
        # Who cannot ask for an order leaves it to whoever can.
        able = {r.client_order_id for r in gone if self._client_of(r.account) is not None}
        taken = await self._journal.take_over(able)
        self._mine |= {record.client_order_id: record for record in taken}
        async with self._moved:
            self._left = {record.client_order_id: record for record in gone} | self._mine
            self._moved.notify_all()
        self._looked.set()
        for name, record in self._mine.items():
            client = self._client_of(record.account)
            if client is not None and name not in self._tasks:
                self._tasks.start(name, self._resolve(client, record))

    def add(self, records: list[OrderRecord]) -> None:
        """Orders that a worker of another machine left behind, which are ours to find out."""
        added = {record.client_order_id: record for record in records}
        self._mine |= added
        self._left = self._left | added

    async def settled(self, account: str) -> None:
        """Until nothing of an account is unresolved that this process knows of."""
        await self._looked.wait()
        key = account_key(account)
        async with self._moved:
            await self._moved.wait_for(
                lambda: all(account_key(record.account) != key for record in self._left.values())
            )

    async def _resolve(self, client: Trader, record: OrderRecord) -> None:
        try:
            sent = await self._desk.recover(client, record)
        except (AsterError, StoreError) as error:
            self._core.problem(
                "worker",
                f"{record.agent}: an order whose outcome is unknown could not be asked for: {error}",
                agent=record.agent,
                remedy="it is asked for again; look at the account meanwhile",
            )
            await asyncio.sleep(LOOK_SECONDS)
            return
        async with self._moved:
            self._mine.pop(record.client_order_id, None)
            self._left.pop(record.client_order_id, None)
            self._moved.notify_all()
        self._core.problem(
            "worker",
            f"{record.agent}: an order whose outcome was unknown is {sent.word}:"
            f" {record.side} {record.symbol} {record.client_order_id}",
            agent=record.agent,
        )

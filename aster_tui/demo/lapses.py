"""What goes wrong in the demo, in rotation: decisions that a safeguard refuses, decisions that are no
decisions, incidents at the exchange, and a document written wrong.

Everything here is what others do to a fleet: a decision maker's mistakes go through the queue, the
exchange's incidents through the practice exchange's operator, the rest is written into MongoDB as another
program would.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

from aster_tui.demo.maker import Maker
from aster_tui.demo.strategy import COINS
from aster_tui.domain.documents import AgentDocument
from aster_tui.store.base import StoreError
from aster_tui.store.trading import TradingStore

#: The settings under which the demo's worker works: tighter than usual, so that each safeguard can be met.
DENIED = "SUI"
ORDERS_PER_MINUTE = 12
STALE_PRICE_SECONDS, STALE_BALANCE_SECONDS = 5, 12
MOST_POSITIONS = 5
#: A coin that nobody trades: it can stand still for a while without anybody missing it.
QUIET = "LINK"
#: When the first lapse comes, the pauses of the first seconds, and those after.
FIRST_AT, EARLY_SECONDS, EARLY, LATER = 1.0, 8.0, 0.4, 6.0
#: In the first seconds there is no document yet that could be written wrong: how often one is looked for.
DRIFT_PAUSE = 0.25
#: How long an order's end may take to be known by the decision maker.
SETTLE = 2.0

Mark = Callable[[str], Decimal | None]
Lapse = Callable[[], Awaitable[None]]


class Lapses:
    """Goes through all of them, again and again.

    Args:
        mark: the newest mark price of a coin.
        exchange: address of the practice exchange, whose operator makes the incidents.
        database: address and name of the database.
        unlucky: the name of an agent that lost too much today.
    """

    def __init__(
        self,
        agents: Sequence[AgentDocument],
        maker: Maker,
        store: TradingStore,
        mark: Mark,
        exchange: str,
        database: tuple[str, str],
        *,
        seed: int,
        unlucky: str,
        haste: float,
    ) -> None:
        self._maker, self._store, self._mark, self._exchange = maker, store, mark, exchange
        self._uri, self._database = database
        self._random = random.Random(f"{seed}/lapses")
        self._haste = haste
        self._unlucky = [a for a in agents if a.name == unlucky]
        lucky = [a for a in agents if a.name != unlucky]
        self._real = [a for a in lucky if not a.paper and a.user_address]
        self._paper = [a for a in lucky if a.paper]
        self._all = lucky

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.sleep(FIRST_AT)
        async with asyncio.TaskGroup() as tasks:
            # Those that take their time go beside the others.
            tasks.create_task(self._rotate(self._slow(), started))
            if self._real:
                tasks.create_task(self._rotate([self._drift], started))
            await self._rotate(self._quick(), started)

    async def _rotate(self, lapses: Sequence[Lapse], started: float) -> None:
        loop = asyncio.get_running_loop()
        while lapses:
            for lapse in lapses:
                try:
                    await lapse()
                except (StoreError, OSError) as error:
                    print(f"lapse: {error}", file=sys.stderr, flush=True)
                early = loop.time() - started < EARLY_SECONDS
                await asyncio.sleep(EARLY if early else LATER / self._haste)

    def _quick(self) -> list[Lapse]:
        found: list[Lapse] = [self._wants("BTC", size_usd=3000.0, leverage=10)]
        if self._real:
            found.append(self._reduce_only)
        found += [
            self._wants("ETH", size_usd=1500.0, leverage=1),
            self._wants("SOL", size_usd=9000.0, leverage=10),
            self._wants("BNB", leverage=25),
            self._wants("ETH", entry=1.05),
            self._wants(DENIED),
            self._twice,
            self._wants("SOL", stop=1.02),
            self._wants("MOON"),
            self._wants("XRP", size_usd=None),
            self._wants("XRP", size_usd="200"),
            self._wants("AVAX", leverage=-3),
            self._wants("DOGE", size_usd=0.05),
        ]
        if self._unlucky:
            found.append(lambda: self._maker.queue(self._unlucky[0], self._long("BTC")))
        if self._paper:
            found += [self._greedy, self._halted]
        if len(self._paper) > 1:
            found.append(self._hurried)
        return found

    def _slow(self) -> list[Lapse]:
        return [self._quiet_symbol, *([self._revoked] if self._real else [])]

    def _long(self, coin: str, **more: Any) -> dict[str, Any]:
        return {"coin": coin, "signal": "long", "size_usd": 120.0, "leverage": 5, **more}

    # Mistakes of a decision maker

    def _wants(
        self, coin: str, *, stop: float | None = None, entry: float | None = None, **more: Any
    ) -> Lapse:
        """A decision of any agent that cannot be carried out; ``stop`` and ``entry`` are parts of the
        mark."""

        async def decide() -> None:
            mark = float(self._mark(coin) or 0)
            wanted = self._long(coin, **more)
            if stop is not None:
                wanted["stop_loss"] = mark * stop
            if entry is not None:
                wanted["entry_price"] = mark * entry
            await self._maker.queue(await self._without(coin), wanted)

        return decide

    async def _without(self, coin: str) -> AgentDocument:
        """An agent that holds nothing in a coin: what is refused is then refused for what it was meant to
        be."""
        # The greedy one is left alone: its orders of this minute are its own.
        others = [a for a in self._all if a not in self._paper[:1]] or self._all
        agents = self._random.sample(others, len(others))
        for agent in agents:
            if coin not in await self._maker.busy(agent):
                return agent
        return agents[0]

    async def _twice(self) -> None:
        """The same opening twice in a moment."""
        agent = self._random.choice(self._all)
        free = await self._free(agent)
        for _ in range(2 if free else 0):
            await self._maker.queue(agent, self._long(free[0]))

    async def _greedy(self) -> None:
        """More positions than are allowed; they are closed again."""
        agent = self._paper[0]
        busy = await self._maker.busy(agent)
        opened = (await self._free(agent))[: MOST_POSITIONS + 1 - len(busy)]
        for coin in opened:
            await self._maker.queue(agent, self._long(coin))
        await asyncio.sleep(SETTLE)
        for coin in opened[:-1]:
            await self._maker.queue(agent, {"coin": coin, "signal": "close"})

    async def _hurried(self) -> None:
        """More orders than are allowed in a minute."""
        agent = self._paper[-1]
        orders = 0
        for coin in await self._free(agent):
            for signal in ("long", "short"):
                if orders <= ORDERS_PER_MINUTE:
                    await self._maker.queue(agent, {**self._long(coin), "signal": signal})
                    orders += 1
                    if orders <= ORDERS_PER_MINUTE:
                        await self._maker.queue(agent, {"coin": coin, "signal": "close"})

    async def _free(self, agent: AgentDocument) -> list[str]:
        busy = await self._maker.busy(agent)
        return [c for c in COINS if c not in busy]

    # What others do

    async def _drift(self) -> None:
        """What a second writer with an old picture does: a size that is not the exchange's."""
        while True:
            for agent in self._random.sample(self._real, len(self._real)):
                held = await self._store.open_positions(agent.agent_id)
                if held:
                    await self._write("positions", held[0].position_id, {"$mul": {"size_usd": 1.25}})
                    # The next fill has the agent synced, and the difference found.
                    free = await self._free(agent)
                    if free:
                        await self._maker.queue(agent, self._long(free[0]))
                    await asyncio.sleep(8 * LATER / self._haste)
                    return
            await asyncio.sleep(DRIFT_PAUSE)

    async def _halted(self) -> None:
        """An operator halts an agent for a moment, and it wants to open."""
        agent = self._paper[len(self._paper) // 2]
        halted = {"state": "HALTED", "reason": "a look at its last trades", "by": "the demo"}
        await self._write("controls", agent.agent_id, {"$set": halted})
        await asyncio.sleep(SETTLE)
        await self._maker.queue(agent, self._long("BTC"))
        await asyncio.sleep(SETTLE)
        await self._write("controls", agent.agent_id, {"$set": {"state": "ACTIVE", "reason": ""}})

    async def _write(self, collection: str, key: str, update: dict[str, Any]) -> None:
        await asyncio.to_thread(self._written, collection, key, update)

    def _written(self, collection: str, key: str, update: dict[str, Any]) -> None:
        from bson import ObjectId
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        known = ObjectId(key) if collection == "positions" else key
        try:
            with MongoClient[dict[str, Any]](self._uri, serverSelectionTimeoutMS=3000) as client:
                client[self._database][collection].update_one(
                    {"_id": known}, update, upsert=collection == "controls"
                )
        except PyMongoError as error:
            raise OSError(str(error)) from error

    # Incidents at the exchange

    async def _reduce_only(self) -> None:
        """An account may only reduce for a while: the first order is refused by the exchange."""
        agent = self._random.choice(self._real)
        free = await self._free(agent)
        await self._tell("account", user=agent.user_address, trading="reduce")
        try:
            for coin in free[:2]:
                await self._maker.queue(agent, self._long(coin))
                await asyncio.sleep(SETTLE / 2)
        finally:
            await self._tell("account", user=agent.user_address, trading="all")

    async def _revoked(self) -> None:
        """An API wallet is revoked for as long as a balance may be old."""
        agent = self._real[-1]
        await self._tell("account", user=agent.user_address, trading="unknown")
        try:
            await asyncio.sleep(STALE_BALANCE_SECONDS + SETTLE)
            await self._maker.queue(agent, self._long("BTC"))
            await asyncio.sleep(SETTLE)
        finally:
            await self._tell("account", user=agent.user_address, trading="all")
        # Seldom: while it lasts the account can be closed by nobody.
        await asyncio.sleep(20 * LATER / self._haste)

    async def _quiet_symbol(self) -> None:
        """A symbol is closed, and its mark price stands still."""
        await asyncio.sleep(LATER / self._haste)
        await self._tell("symbol", symbol=f"{QUIET}USDT", status="CLOSE")
        try:
            await asyncio.sleep(STALE_PRICE_SECONDS + SETTLE)
            await self._maker.queue(self._random.choice(self._all), self._long(QUIET))
            await asyncio.sleep(SETTLE)
        finally:
            await self._tell("symbol", symbol=f"{QUIET}USDT", status="TRADING")

    async def _tell(self, what: str, **body: Any) -> None:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(f"{self._exchange}/practice/{what}", json=body) as answer,
            ):
                if answer.status != 200:
                    print(f"lapse: {await answer.text()}", file=sys.stderr, flush=True)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OSError(str(error)) from error

"""The demo's decision maker at work: real agents trade through the client, paper agents in MongoDB.

It stands for the existing system's worker: it decides (:mod:`aster_tui.demo.strategy`), sends a MARKET
order with its protective STOP_MARKET and TAKE_PROFIT_MARKET, records every order in ``orders`` and every
refusal in ``errors``. Now and then an agent wants more than it can pay, and now and then a document is
written wrong, so that a rejected order and a drift are on screen too.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aster_tui.aster.errors import AsterError
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.rest import Observer
from aster_tui.aster.signing import Signer
from aster_tui.aster.streams import MarkPriceStream
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.demo import fleet
from aster_tui.demo.desks import Desk, PaperDesk, RealDesk
from aster_tui.demo.strategy import Strategist
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import MarkPrices
from aster_tui.domain.keys import PrivateKey
from aster_tui.store.base import StoreError
from aster_tui.store.mongo import MongoWriter, connect

#: Pauses between decisions: brisk in the first seconds, then at a pace an eye can follow.
FIRST_SECONDS, BRISK, CALM = 7.0, (0.2, 0.4), (1.2, 2.6)
#: When, in seconds from the start, an agent overreaches and a document is written wrong; then every so often.
REJECTED_AT, DRIFT_AT, AGAIN_SECONDS = 2.0, 3.5, 40.0


class Decider:
    """Makes decisions until cancelled.

    Args:
        exchange: the practice exchange's ready document.
        nonces: shared with the console, which signs with the same signers.
    """

    def __init__(
        self, exchange: Mapping[str, Any], uri: str, database: str, *, seed: int, nonces: NonceSource
    ) -> None:
        self._accounts = {row["user"].lower(): row for row in exchange["accounts"]}
        self._venue = Venue(exchange["rest"], exchange["ws"], exchange["chain_id"])
        self._uri, self._database = uri, database
        self._random = random.Random(f"{seed}/pace")
        self._strategist = Strategist(seed)
        self._nonces = nonces
        self._marks: dict[str, Decimal] = {}

    async def run(self) -> None:
        """Until cancelled; closes its connections."""
        store = connect(self._uri, self._database, writable=True)
        assert isinstance(store, MongoWriter)
        public = Observer(self._venue)
        desks: list[Desk] = []
        marks = MarkPriceStream(
            self._venue,
            on_prices=self._take,
            on_state=lambda state, detail: None,
            on_problem=lambda message, raw: print(message, file=sys.stderr),
        )
        following = asyncio.create_task(marks.run())
        try:
            info = await public.exchange_info()
            self._take(await public.mark_prices())
            for agent in await store.load_agents():
                desks.append(self._desk(agent, store, info.rules))
            await self._decide(desks)
        finally:
            following.cancel()
            for desk in desks:
                await desk.close()
            await public.aclose()
            await store.close()

    def _take(self, prices: MarkPrices) -> None:
        self._marks.update(prices.prices)
        self._strategist.remember(prices.prices)

    def _desk(self, agent: AgentDocument, store: MongoWriter, rules: Mapping[str, Any]) -> Desk:
        if agent.paper or agent.user_address is None:
            return PaperDesk(agent, store, self._marks, fleet.INITIAL)
        return RealDesk(
            agent,
            store,
            self._marks,
            self._trader(self._accounts[agent.user_address.lower()]),
            rules,
        )

    def _trader(self, account: Mapping[str, str]) -> Trader:
        signer = Signer(PrivateKey.parse(account["signer_private_key"]), self._venue.chain_id)
        return Trader(self._venue, Wallet(account["user"], signer), nonces=self._nonces)

    async def _decide(self, desks: list[Desk]) -> None:
        started = time.monotonic()
        rejected_at, drift_at = REJECTED_AT, DRIFT_AT
        turn = 0
        while True:
            age = time.monotonic() - started
            desk = desks[turn % len(desks)] if turn < 2 * len(desks) else self._random.choice(desks)
            turn += 1
            real = [d for d in desks if isinstance(d, RealDesk)]
            try:
                if real and age > rejected_at:
                    rejected_at = age + AGAIN_SECONDS
                    await self._random.choice(real).overreach()
                elif real and age > drift_at:
                    wrong = await asyncio.to_thread(self._write_wrong, [d.agent for d in real])
                    drift_at = age + (AGAIN_SECONDS if wrong else 0.5)
                else:
                    await desk.watch()
                    held = await desk.held()
                    opening = turn <= 2 * len(desks) and len(held) < 2
                    decision = self._strategist.decide(
                        desk.agent.name, desk.agent.strategy, held, opening=opening
                    )
                    if decision is not None:
                        await desk.execute(decision)
            except (AsterError, StoreError) as error:
                # The desks recorded it where the console sees it; the next decision is another one.
                print(f"{desk.agent.name}: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(self._random.uniform(*(BRISK if age < FIRST_SECONDS else CALM)))

    def _write_wrong(self, agents: list[AgentDocument]) -> bool:
        """What a second writer with an old picture does: a size that is not the exchange's."""
        from pymongo import MongoClient

        known = {"agentId": {"$in": [a.agent_id for a in agents]}, "status": "open"}
        with MongoClient[dict[str, Any]](self._uri, serverSelectionTimeoutMS=3000) as client:
            result = client[self._database].positions.update_one(known, {"$mul": {"size_usd": 1.25}})
        return result.modified_count > 0

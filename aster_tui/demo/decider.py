"""The demo's decision maker: it decides (:mod:`aster_tui.demo.strategy`) and queues; a worker trades.

It stands for the existing system's side: it reads the fleet from MongoDB and the prices from the exchange,
and sends no order itself. Beside the sound decisions go the lapses (:mod:`aster_tui.demo.lapses`).
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Mapping
from typing import Any

from aster_tui.aster.rest import Observer
from aster_tui.aster.streams import MarkPriceStream
from aster_tui.aster.venue import Venue
from aster_tui.demo.lapses import Lapses
from aster_tui.demo.maker import Maker
from aster_tui.demo.strategy import Decision, Strategist
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import MarkPrices
from aster_tui.store.base import StoreError
from aster_tui.store.trading import trading_store

#: Pauses between decisions: brisk in the first seconds, then at a pace an eye can follow.
FIRST_SECONDS, BRISK, CALM = 7.0, (0.2, 0.4), (1.2, 2.6)


class Decider:
    """Makes decisions until cancelled.

    Args:
        exchange: the practice exchange's ready document.
        unlucky: the name of an agent that has had its day: only the lapses decide for it.
        haste: how many times faster than usual the lapses follow each other.
    """

    def __init__(
        self,
        exchange: Mapping[str, Any],
        uri: str,
        database: str,
        *,
        seed: int,
        unlucky: str = "",
        haste: float = 1.0,
    ) -> None:
        self._venue = Venue(exchange["rest"], exchange["ws"], exchange["chain_id"])
        self._uri, self._database = uri, database
        self._seed, self._unlucky, self._haste = seed, unlucky, haste
        self._random = random.Random(f"{seed}/pace")
        self._strategist = Strategist(seed)

    async def run(self) -> None:
        """Until cancelled; closes its connections."""
        store = trading_store(self._uri, self._database)
        public = Observer(self._venue)
        marks = MarkPriceStream(
            self._venue,
            on_prices=self._take,
            on_state=lambda state, detail: None,
            on_problem=lambda message, raw: print(message, file=sys.stderr),
        )
        following = asyncio.create_task(marks.run())
        try:
            self._take(await public.mark_prices())
            agents = await store.load_agents()
            maker = Maker(store)
            lapses = Lapses(
                agents,
                maker,
                store,
                self._strategist.mark,
                self._venue.rest_url,
                (self._uri, self._database),
                seed=self._seed,
                unlucky=self._unlucky,
                haste=self._haste,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._decide([a for a in agents if a.name != self._unlucky], maker))
                tasks.create_task(lapses.run())
        finally:
            following.cancel()
            await public.aclose()
            await store.close()

    def _take(self, prices: MarkPrices) -> None:
        self._strategist.remember(prices.prices)

    async def _decide(self, agents: list[AgentDocument], maker: Maker) -> None:
        started = time.monotonic()
        turn = 0
        while agents:
            age = time.monotonic() - started
            agent = agents[turn % len(agents)] if turn < 2 * len(agents) else self._random.choice(agents)
            turn += 1
            try:
                held, busy = await maker.held(agent), await maker.busy(agent)
                opening = turn <= 2 * len(agents) and len(busy) < 2
                decision = self._strategist.decide(agent.name, agent.strategy, held, busy, opening=opening)
                if decision is not None:
                    await maker.queue(agent, as_arguments(decision))
            except StoreError as error:
                # The console says that the database is away; the next decision is another one.
                print(f"{agent.name}: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(self._random.uniform(*(BRISK if age < FIRST_SECONDS else CALM)))


def as_arguments(decision: Decision) -> dict[str, Any]:
    """A decision in the existing system's words (``trade_signal_args``); numbers are doubles there."""
    arguments: dict[str, Any] = {"coin": decision.coin, "signal": decision.signal}
    if decision.signal != "close":
        arguments |= {
            "size_usd": float(decision.size_usd),
            "leverage": decision.leverage,
            "stop_loss": float(decision.stop_loss),
            "profit_target": float(decision.profit_target),
            "confidence": decision.confidence,
        }
    return {**arguments, "justification": decision.justification}

"""Sync: what the exchange says of an agent's account goes into MongoDB, and differences are named.

An agent is synced at the first connection, after its fills, on a timer and on demand. Never two syncs
of one agent at a time; requests that arrive meanwhile become one more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from aster_tui.aster.errors import AsterError
from aster_tui.aster.rest import Observer
from aster_tui.domain.accounts import AccountState
from aster_tui.domain.client_ids import is_of_agent
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.drift import NAKED, journal_drift
from aster_tui.domain.events import (
    AccountSnapshot,
    Event,
    OrderUpdate,
    SyncFinished,
    SyncStarted,
)
from aster_tui.domain.exits import closings
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.shares import parts
from aster_tui.domain.sync_plan import plan_sync
from aster_tui.domain.trading import Order, Position, account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.supervise import Tasks
from aster_tui.engine.trade.adoption import Adoption
from aster_tui.engine.trade.follow_up import FollowUp
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.store.base import StoreError, StoreWriter

#: A market order and its protective orders come as a burst: one sync for all of them.
SETTLE_SECONDS = 1.0
#: What happened this shortly before a sync may not be in what it reads.
SETTLE_MS = 2_000
#: So many of the last orders that executed are remembered of each account: what a person closes by hand is in
#: no journal.
TOLD_KEPT = 100
_STOP = "place a stop, or close the position"
_PUT_RIGHT = "MongoDB was put right where the exchange is the truth; nothing was traded"


class SyncService:
    """Runs the syncs of all real agents.

    Args:
        client: gives the client of an account, None while its feed does not run.
        store: gives the database writer; None in read-only mode or without a database.
        blocked: says why nothing can be synced now ("" if it can): shown when somebody asks.
        ledger: the journal's orders, to compare with and to tell apart who of a shared account holds what.
        follow_up: brings the journal up to the exchange's word.
        adoption: brings in what other machines ordered.
    """

    def __init__(
        self,
        core: Core,
        *,
        client: Callable[[str], Observer | None],
        store: StoreWriter | None,
        blocked: Callable[[], str],
        initial_balance: Decimal,
        every_seconds: int,
        ledger: Ledger | None = None,
        follow_up: FollowUp | None = None,
        adoption: Adoption | None = None,
    ) -> None:
        self._core = core
        self._client = client
        self._store = store
        self._blocked = blocked
        self._initial = initial_balance
        self._every = every_seconds
        self._ledger = ledger
        self._follow_up = follow_up
        self._adoption = adoption
        self._tasks = Tasks(core)
        self._again: set[str] = set()
        self._just_filled: dict[str, set[str]] = {}
        self._told: dict[str, dict[int, Order]] = {}
        self._first: set[str] = set()
        self._drifted: dict[str, tuple[str, ...]] = {}
        self._failing: dict[str, str] = {}

    def listen(self, event: Event) -> None:
        """Sync after fills, and once when an account was first read."""
        if isinstance(event, OrderUpdate) and event.execution == "TRADE":
            told = self._told.setdefault(account_key(event.account), {})
            told.pop(event.order.order_id, None)
            told[event.order.order_id] = event.order
            while len(told) > TOLD_KEPT:
                del told[next(iter(told))]
            for agent in self._core.state.agents_of(event.account):
                self._just_filled.setdefault(agent.agent_id, set()).add(event.order.symbol)
                self._request(agent.agent_id, SETTLE_SECONDS)
        elif isinstance(event, AccountSnapshot):
            for agent in self._core.state.agents_of(event.account):
                if agent.agent_id not in self._first:
                    self._first.add(agent.agent_id)
                    self._request(agent.agent_id, 0)

    async def run(self) -> None:
        """The timer, until cancelled; ends running syncs on the way out."""
        try:
            while True:
                await asyncio.sleep(self._every)
                for agent in self._real():
                    self._request(agent.agent_id, 0)
        finally:
            await self._tasks.close()

    def ask(self, agent_ids: tuple[str, ...]) -> None:
        """A person asked. No ids means every real agent. What cannot be done says why."""
        if why := self._blocked():
            self._core.problem("sync", f"nothing was synced: {why}")
            return
        agents = self._core.state.agents
        chosen = [agents[i] for i in agent_ids if i in agents] if agent_ids else self._real()
        for agent in chosen:
            if agent.paper:
                self._core.problem(
                    "sync", f"{agent.name} trades on paper: no account to sync", agent=agent.name
                )
            else:
                self._request(agent.agent_id, 0)
        if not chosen:
            self._core.problem("sync", "no real agent is known: nothing to sync")

    def _real(self) -> list[AgentDocument]:
        return [a for a in self._core.state.agents.values() if not a.paper]

    def _request(self, agent_id: str, delay: float) -> None:
        if self._blocked() or self._store is None:
            return
        if agent_id in self._tasks:
            self._again.add(agent_id)
            return
        self._tasks.start(agent_id, self._work(agent_id, delay))

    async def _work(self, agent_id: str, delay: float) -> None:
        while True:
            await asyncio.sleep(delay)
            self._again.discard(agent_id)
            agent = self._core.state.agents.get(agent_id)
            if agent is None or agent.paper:
                return
            await self._sync(agent)
            if agent_id not in self._again:
                return
            delay = SETTLE_SECONDS

    async def _sync(self, agent: AgentDocument) -> None:
        self._core.emit(SyncStarted(agent.agent_id, now_ms()))
        expected = self._just_filled.pop(agent.agent_id, set())
        error, drift = "", ()  # type: str, tuple[str, ...]
        try:
            drift = await self._through(agent, expected)
        except (AsterError, StoreError) as problem:
            error = str(problem)
            self._just_filled.setdefault(agent.agent_id, set()).update(expected)
            # The same again and again is one line; the agent is marked meanwhile.
            if self._failing.get(agent.agent_id) != error:
                self._failing[agent.agent_id] = error
                self._core.problem(
                    "sync",
                    f"{agent.name} was not synced: {problem}",
                    agent=agent.name,
                    code=getattr(problem, "code", ""),
                    remedy=problem.remedy,
                )
        except BaseException:
            self._core.emit(SyncFinished(agent.agent_id, now_ms(), error="interrupted"))
            raise
        self._core.emit(SyncFinished(agent.agent_id, now_ms(), drift, error))
        if not error:
            self._failing.pop(agent.agent_id, None)
            self._say(agent, drift)

    def _say(self, agent: AgentDocument, drift: tuple[str, ...]) -> None:
        """Tell what differs that did not before: every console, and whoever is notified, is to know."""
        fresh = [line for line in drift if line not in self._drifted.get(agent.agent_id, ())]
        self._drifted[agent.agent_id] = drift
        for naked in (True, False):
            lines = [line for line in fresh if (NAKED in line) == naked]
            if lines:
                self._core.problem(
                    "naked" if naked else "drift",
                    f"{agent.name}: drift: {'; '.join(lines)}",
                    agent=agent.name,
                    remedy=_STOP if naked else _PUT_RIGHT,
                )

    async def _through(self, agent: AgentDocument, expected: set[str]) -> tuple[str, ...]:
        store = self._store
        client = self._client(agent.user_address) if agent.user_address else None
        if store is None or client is None:
            raise StoreError(
                "its account cannot be read", remedy="see the line about its key or its user stream"
            )
        started = now_ms()
        seen = await client.account_snapshot(open_orders=False)
        self._core.emit(seen)
        # Before the database is asked for anything: the journal is to be right also while that is away.
        if self._follow_up is not None:
            await self._follow_up.agent(client, agent.agent_id)
        await self._adopt(seen.account)
        at = now_ms()
        await store.sync_account(agent.agent_id, seen.wallet_balance, self._initial, at)
        sharing = self._core.state.agents_of(agent.user_address or "")
        others = [a.name for a in sharing if a.agent_id != agent.agent_id]
        account = self._core.state.accounts[account_key(seen.account)]
        records = await self._records(seen.account)
        if self._adoption is not None and self._journal_drift(account, seen.positions, records, expected):
            # Ordered by another machine since its orders were last read, perhaps: that is no difference.
            await self._adopt(seen.account, now=True)
            records = await self._records(seen.account)
        # What moved while we looked is no surprise: the next sync sees it whole.
        offset = self._core.state.clock_offset_ms or 0
        moved = {r.symbol for r in records if _moved_since(r, started - SETTLE_MS, offset)}
        expected = expected | moved | self._just_filled.get(agent.agent_id, set())
        positions = seen.positions
        if others:
            if not records:
                # One position on the exchange, several owners, and none of their orders is known here.
                return (
                    f"shares its account with {', '.join(others)}: balance synced, positions not attributed",
                )
            positions = self._own_part(agent, positions)
        documents = await store.open_positions(agent.agent_id)
        plan = plan_sync(
            agent.agent_id,
            agent.name,
            documents,
            positions,
            self._core.state.marks,
            at,
            expected=expected,
            orders=tuple(
                o
                for o in account.orders.values()
                if not others or is_of_agent(o.client_order_id, agent.agent_id)
            ),
            closings=closings(
                records,
                self._told.get(account_key(seen.account), {}).values(),
                agent.agent_id,
                seen.account,
                alone=not others,
                offset_ms=offset,
            ),
        )
        await store.apply_sync(agent.agent_id, plan, at)
        return (*plan.drift, *self._journal_drift(account, seen.positions, records, expected))

    async def _adopt(self, account: str, *, now: bool = False) -> None:
        """Bring in what other machines ordered on an account; ``now`` also if it was done a moment ago."""
        if self._adoption is not None:
            for agent in self._core.state.agents_of(account):
                await self._adoption.agent(agent.agent_id, now=now)

    async def _records(self, account: str) -> list[OrderRecord]:
        """The journal's orders on an account."""
        if self._ledger is None:
            return []
        await self._ledger.refresh()
        return self._ledger.of_account(account)

    def _own_part(self, agent: AgentDocument, positions: tuple[Position, ...]) -> tuple[Position, ...]:
        """An agent's part of a shared account's positions, as its orders made it."""
        shares = self._ledger.shares() if self._ledger is not None else {}
        agents = [a.agent_id for a in self._core.state.agents_of(agent.user_address or "")]
        found = []
        for position in positions:
            symbol = position.symbol
            held = [share for name in agents if (share := shares.get((name, symbol))) is not None]
            quantity = parts(held, position.quantity).get(agent.agent_id)
            if quantity is not None:
                share = shares[agent.agent_id, symbol]
                found.append(
                    replace(
                        position,
                        quantity=quantity,
                        entry_price=share.entry_price,
                        updated_at=share.opened_at,
                    )
                )
        return tuple(found)

    def _journal_drift(
        self,
        account: AccountState,
        positions: tuple[Position, ...],
        records: list[OrderRecord],
        expected: set[str],
    ) -> tuple[str, ...]:
        if self._ledger is None:
            return ()
        agents = {r.agent_id for r in records}
        shares = [s for (agent_id, _), s in self._ledger.shares().items() if agent_id in agents]
        orders = tuple(account.orders.values()) if account.snapshot_at else None
        return journal_drift(positions, orders, records, shares, expected=expected)


def _moved_since(record: OrderRecord, since: int, offset_ms: int) -> bool:
    """Whether an order was sent or executed since a time of this machine; the exchange's clock may differ."""
    return (
        record.unresolved or max(record.intent_at, record.executed_at, record.executed_at - offset_ms) > since
    )

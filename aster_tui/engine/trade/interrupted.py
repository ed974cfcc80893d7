"""Decisions that a worker began and did not finish: looked for at the exchange, protected, and closed.

None of them is begun again. What was bought gets the stop and target that its decision wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from aster_tui.aster.errors import AnswerError, AsterError
from aster_tui.aster.trader import Trader
from aster_tui.domain.client_ids import Purpose, client_order_id
from aster_tui.domain.decisions import Decision, DecisionRefused, Plan, parse_decision
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import Order
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.trade.executor import Executor, Outcome
from aster_tui.engine.trade.leases import HeldLease
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.outbox import MARK
from aster_tui.engine.trade.paper import PaperDesk
from aster_tui.engine.trade.reports import Reports, arguments_of
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from aster_tui.store.trading import QueuedDecision, TradingStore

#: How long what this machine knows is given to reach the database before a decision counts as interrupted.
TOLD_SECONDS, POLL_SECONDS, AGAIN_SECONDS = 20.0, 0.2, 1.5
#: How long past the nonce window an order of a dead worker is waited for.
GRACE_MS = 1_500
NO_SUCH_ORDER = -2013
PURPOSES: tuple[Purpose, ...] = ("entry", "close", "stop", "target")


class Interrupted:
    """Closes what earlier holders of an agent left behind."""

    def __init__(
        self,
        core: Core,
        store: TradingStore,
        journal: Journal,
        ledger: Ledger,
        executor: Executor,
        paper: PaperDesk,
        client_of: Callable[[str], Trader | None],
        reports: Reports,
        nonce_window_s: int,
    ) -> None:
        self._core, self._store, self._journal, self._ledger = core, store, journal, ledger
        self._executor, self._paper, self._client_of = executor, paper, client_of
        self._reports, self._window_ms = reports, nonce_window_s * 1000

    async def here(self, agent: AgentDocument) -> list[QueuedDecision]:
        """What earlier workers of this machine began for an agent and did not end. To be asked before
        anything new is begun.

        Raises:
            StoreError: the journal.
        """
        await self._ledger.refresh()
        found = []
        for document in await self._journal.begun(agent.name):
            decision_id, raw = str(document["_id"]), document.get("decision")
            # Every order is written down before it leaves: without one there was none.
            epochs = [r.epoch for r in self._ledger.of_decision(decision_id)]
            found.append(
                QueuedDecision(
                    decision_id,
                    agent.agent_id,
                    raw if isinstance(raw, Mapping) else document,
                    int(document.get("timestamp") or 0),
                    epoch=max(epochs, default=0),
                )
            )
        return found

    async def close_all(self, agent: AgentDocument, held: HeldLease, here: list[QueuedDecision]) -> None:
        """All of an agent's, oldest first. ``here`` are those of :meth:`here`."""
        taken_at = now_ms()
        # What a worker of this machine finished may not have reached the database when it died.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_SECONDS):
                while await self._journal.counts(MARK):  # noqa: ASYNC110 - other processes tell it, too
                    await asyncio.sleep(POLL_SECONDS)
        for queued in await self._left(held, here):
            if agent.paper:
                outcome = await self._on_paper(agent, queued)
            else:
                outcome = await self._at_the_exchange(agent, queued, held, taken_at)
            await self._reports.finish(agent, queued, "interrupted", outcome, taken_at)

    async def _left(self, held: HeldLease, here: list[QueuedDecision]) -> list[QueuedDecision]:
        """What is left to close: what the database says was claimed, and what this machine began; but for
        what has ended by now."""
        while not held.lost:
            try:
                left = {q.decision_id: q for q in here}
                left |= {q.decision_id: q for q in await self._store.interrupted_decisions(held.lease)}
                open_ones = await self._store.open_decisions(left.keys())
            except StoreError:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            return sorted((q for k, q in left.items() if k in open_ones), key=lambda q: q.made_at)
        return []

    async def _on_paper(self, agent: AgentDocument, queued: QueuedDecision) -> Outcome:
        with contextlib.suppress(StoreError):
            if (await self._paper.book(agent)).has(queued.decision_id):
                return Outcome("failed", ("its worker died after the paper position was opened",))
        return Outcome("failed", ("its worker died; it is not carried out again",))

    async def _at_the_exchange(
        self, agent: AgentDocument, queued: QueuedDecision, held: HeldLease, taken_at: int
    ) -> Outcome:
        # Until nothing of the dead worker can arrive any more.
        await asyncio.sleep(max(0, taken_at + self._window_ms + GRACE_MS - now_ms()) / 1000)
        symbol = symbol_of(str(arguments_of(queued.raw).get("coin", "")))
        there = {
            purpose: order
            for purpose in PURPOSES
            if (order := await self._order(agent, queued, purpose, symbol)) is not None
        }
        entry = there.get("entry")
        if entry is not None and entry.executed:
            return await self._protected(agent, queued, held, entry, there)
        if (close := there.get("close")) is not None:
            if close.executed:
                with contextlib.suppress(StoreError):
                    await (await self._paper.book(agent)).leave(symbol)
            return Outcome("failed", (f"its worker died after its close {close.client_order_id} was placed",))
        reason = "its worker died; no order of it is at the exchange, and it is not carried out again"
        return Outcome("failed", (reason,))

    async def _order(
        self, agent: AgentDocument, queued: QueuedDecision, purpose: Purpose, symbol: str
    ) -> Order | None:
        """The order a dead worker placed for a decision, whatever journal knows of it."""
        name = client_order_id(agent.agent_id, purpose, queued.epoch, queued.decision_id)
        while (client := self._client_of(agent.user_address or "")) is not None:
            try:
                return await client.order(symbol, client_order_id=name)
            except AnswerError as error:
                if error.number == NO_SUCH_ORDER or error.meaning.kind in ("rejected", "key"):
                    return None
            except AsterError:
                pass  # no answer proves nothing
            await asyncio.sleep(AGAIN_SECONDS)
        return None

    async def _protected(
        self,
        agent: AgentDocument,
        queued: QueuedDecision,
        held: HeldLease,
        entry: Order,
        there: dict[Purpose, Order],
    ) -> Outcome:
        placed = f"its worker died after {entry.client_order_id} was placed"
        try:
            decision = parse_decision(
                queued.raw, decision_id=queued.decision_id, agent_id=agent.agent_id, made_at=queued.made_at
            )
        except DecisionRefused as refused:
            return Outcome("failed", (placed, *refused.reasons))
        await self._shadowed(agent, decision, entry)
        if "close" in there:  # it was being closed, for want of its protection
            return Outcome("failed", (placed, "and it was closed again"))
        outcome = await self._executor.complete(
            agent, decision, held.permit, held.lease.epoch, entry, frozenset(there)
        )
        return Outcome("failed", (placed, *outcome.reasons), outcome.orders, plan=outcome.plan)

    async def _shadowed(self, agent: AgentDocument, decision: Decision, entry: Order) -> None:
        """The paper twin of what was bought, where its worker did not live to write it."""
        marks = (r.mark_price for r in self._ledger.of_decision(decision.decision_id) if r.purpose == "entry")
        plan = Plan(
            decision, entry.symbol, entry.side, entry.executed, next(marks, None) or entry.average_price
        )
        try:
            book = await self._paper.book(agent)
            if not book.has(decision.decision_id):
                await book.enter(decision, plan)
        except StoreError as error:
            self._core.problem("worker", f"{agent.name}: its paper account is not kept now: {error}")

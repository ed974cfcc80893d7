"""The worker: takes queued decisions, in order per agent and agents in parallel, and has them carried out.

One worker per agent anywhere, by lease. A decision is claimed once and carried out at most once: one whose
worker died is looked for at the exchange and then closed, never carried out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from aster_tui.aster.trader import Trader
from aster_tui.domain.decisions import Decision, DecisionRefused, parse_decision, plan_decision
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.fleet_views import user_feed
from aster_tui.domain.safeguards import DAY_MS, Limits, Situation, evaluate, refusals
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.halts import Controls
from aster_tui.engine.supervise import Tasks
from aster_tui.engine.trade.adoption import Adoption
from aster_tui.engine.trade.desk import OrderDesk
from aster_tui.engine.trade.executor import Executor, Outcome, proposal
from aster_tui.engine.trade.interrupted import Interrupted
from aster_tui.engine.trade.leases import RENEW_SECONDS, TTL_MS, HeldLease, seconds
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.paper import PaperDesk
from aster_tui.engine.trade.queue import Queue
from aster_tui.engine.trade.recovery import Recovery
from aster_tui.engine.trade.reports import Reports
from aster_tui.store.base import StoreError, StoreUnavailable
from aster_tui.store.journal import Journal
from aster_tui.store.trading import QueuedDecision, TradingStore

log = structlog.get_logger(__name__)

POLL_SECONDS, SNAPSHOT_SECONDS = 0.2, 1.0
#: How long a stop waits for orders that are under way.
WIND_DOWN_SECONDS = 3.0
#: How long an agent's first decision waits for its account to be read.
READY_SECONDS = 20.0
#: How long a decision for an agent that nobody knows waits for that agent.
UNKNOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """Settings of a worker: which agents (by name; empty for all), and how old a decision may be."""

    agents: frozenset[str] = frozenset()
    decision_max_age_s: int = 60
    without_database: bool = True
    nonce_window_s: int = 10


class Worker:
    """Serves the agents it holds leases for."""

    def __init__(
        self,
        core: Core,
        store: TradingStore,
        journal: Journal,
        desk: OrderDesk,
        ledger: Ledger,
        executor: Executor,
        recovery: Recovery,
        paper: PaperDesk,
        client_of: Callable[[str], Trader | None],
        controls: Controls,
        limits: Limits,
        rules: WorkerRules,
        adoption: Adoption,
    ) -> None:
        self._core, self._store, self._journal = core, store, journal
        self._desk, self._executor, self.paper = desk, executor, paper
        self._recovery, self._controls = recovery, controls
        self._limits, self._rules, self._adoption = limits, rules, adoption
        self._reports = Reports(core, journal)
        self._queue = Queue(store, journal)
        self._interrupted = Interrupted(
            core, store, journal, ledger, executor, paper, client_of, self._reports, rules.nonce_window_s
        )
        self._tasks = Tasks(core)
        self.held: dict[str, HeldLease] = {}
        self._fallen: set[str] = set()
        self._adopted: set[str] = set()
        self._stopping = False

    async def run(self) -> None:
        """Until cancelled; gives the leases back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._renew())
                tasks.create_task(self._queue.look())
                tasks.create_task(self._refuse_unknown())
                tasks.create_task(self.paper.run())
                tasks.create_task(self._snapshots())
        finally:
            await self._wind_down()

    async def _wind_down(self) -> None:
        """Finish what was begun, take nothing new, give the leases back."""
        self._stopping = True
        deadline = time.monotonic() + WIND_DOWN_SECONDS
        while self._tasks.names() and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        await self._tasks.close()
        await self._desk.close(max(0.0, deadline - time.monotonic()))
        await asyncio.gather(*(self._release(h) for h in self.held.values()), return_exceptions=True)
        self.held.clear()

    # Leases

    async def _renew(self) -> None:
        while True:
            agents = [a for a in self._core.state.agents.values() if self._wanted(a)]
            await asyncio.gather(*(self._hold(agent) for agent in agents))
            # An agent that appears is not kept waiting for the next round.
            known, again_at = {a.agent_id for a in agents}, time.monotonic() + RENEW_SECONDS
            while time.monotonic() < again_at:
                await asyncio.sleep(POLL_SECONDS)
                if not {a.agent_id for a in self._core.state.agents.values() if self._wanted(a)} <= known:
                    break

    def _wanted(self, agent: AgentDocument) -> bool:
        names = self._rules.agents
        return (not names or agent.name.lower() in names) and not agent.agent_id.startswith("env:")

    async def _hold(self, agent: AgentDocument) -> None:
        held = self.held.get(agent.agent_id)
        if held is not None:
            if not await held.renew(self._store):
                self._lose(agent)
            elif agent.agent_id not in self._tasks and not self._stopping:
                self._tasks.start(agent.agent_id, self._serve(agent.agent_id))
            return
        if self._stopping or agent.agent_id in self._tasks:
            return
        asked_at = seconds()
        try:
            lease = await self._store.take_lease(agent.agent_id, self._journal.owner, TTL_MS)
        except StoreUnavailable:
            return  # the database's feed says that it is away
        except StoreError as error:
            self._core.problem(
                "worker", f"{agent.name} is not served: {error}", agent=agent.name, remedy=error.remedy
            )
            return
        if lease is not None:
            self.held[agent.agent_id] = HeldLease(
                lease, asked_at, without_database=self._rules.without_database
            )
            log.info("lease taken", agent=agent.name, epoch=lease.epoch)
            self._tasks.start(agent.agent_id, self._serve(agent.agent_id))

    def _lose(self, agent: AgentDocument) -> None:
        # What it is in the middle of goes on to its end: no new risk can leave, and a position that was just
        # opened still gets its stop.
        self.held.pop(agent.agent_id, None)
        self.paper.forget(agent.agent_id)
        self._core.problem(
            "worker",
            f"{agent.name} is traded by another worker now; this one sends nothing more for it",
            agent=agent.name,
        )

    async def _release(self, held: HeldLease) -> None:
        async with asyncio.timeout(2):
            await self._store.release_lease(held.lease)

    async def _snapshots(self) -> None:
        """One balance snapshot per agent and second, as the existing system keeps them."""
        while True:
            await asyncio.sleep(SNAPSHOT_SECONDS)
            rows = [row for agent_id in self.held if (row := self._snapshot(agent_id)) is not None]
            # A snapshot of a moment that is over is not worth a second try.
            with contextlib.suppress(StoreError):
                await self._store.add_snapshots(rows)

    def _snapshot(self, agent_id: str) -> dict[str, Any] | None:
        agent = self._agent(agent_id)
        if agent is None:
            return None
        book = self.paper.books.get(agent_id)
        if agent.paper:
            balance = book.balance if book is not None and not book.shadow else None
        else:
            account = self._core.state.accounts.get(account_key(agent.user_address or ""))
            balance = account.wallet if account is not None else None
        if balance is None:
            return None
        initial = self._core.state.initial_balance
        return {
            "timestamp": now_ms(),
            "agentId": agent_id,
            "agentName": agent.name,
            "balance": float(balance),
            "pnl": float((balance - initial) / initial * 100),
            "pnlAbsolute": float(balance - initial),
        }

    async def _settled(self, agent: AgentDocument) -> None:
        """Until nothing of this agent's account is unresolved, and the account was read."""
        key = account_key(agent.user_address or "")
        await self._recovery.settled(key)
        state, feed = self._core.state, user_feed(key)
        async with asyncio.timeout(READY_SECONDS):
            while not ((account := state.accounts.get(key)) and account.told_at):
                if (known := state.feeds.get(feed)) and known.state == "off":
                    return  # it cannot be read, and that was said
                await asyncio.sleep(POLL_SECONDS)

    # Decisions

    async def _refuse_unknown(self) -> None:
        """Refuse the decisions that no worker will ever take: their agents do not exist."""
        reason = "no agent has the id in agentId"
        while True:
            await asyncio.sleep(UNKNOWN_SECONDS)
            fields = {"state": "refused", "reasons": [reason], "finishedAt": now_ms()}
            before = now_ms() - int(UNKNOWN_SECONDS * 1000)
            try:
                # Asked for anew: what this process last heard of the agents may be old.
                known = [a.agent_id for a in await self._store.load_agents()]
                refused = await self._store.refuse_unknown(known, before, fields)
            except StoreError:
                continue
            for decision_id in refused:
                words = f"decision {decision_id} was refused: {reason}"
                error = ErrorRaised(now_ms(), "decision", words, remedy="correct the decision maker")
                await self._reports.keep(error)

    def _agent(self, agent_id: str) -> AgentDocument | None:
        agent = self._core.state.agents.get(agent_id)
        if agent is None:
            return None
        if agent.paper:
            self._fallen.discard(agent_id)  # the database knows by now
            return agent
        return replace(agent, paper=True) if agent_id in self._fallen else agent

    async def _serve(self, agent_id: str) -> None:
        held = self.held[agent_id]
        agent = self._agent(agent_id)
        if agent is None:
            return
        self._adopted.discard(agent_id)
        # Until the database has said who is halted, nobody here knows.
        while not self._controls.known and not self._over(held):
            await asyncio.sleep(POLL_SECONDS)
        await self._opened(agent, held)
        await self._prepared(agent, held)
        settling = asyncio.create_task(
            self._interrupted.close_all(agent, held, await self._begun(agent, held))
        )
        try:
            while not self._over(held):
                agent = self._agent(agent_id)
                if agent is not None:
                    await self._prepared(agent, held)
                taken = await self._queue.take(agent, held) if agent is not None and held.valid else None
                if agent is None or taken is None:
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                await self._carry_out(agent, taken, held)
        finally:
            settling.cancel()
            await asyncio.wait({settling})

    async def _begun(self, agent: AgentDocument, held: HeldLease) -> list[QueuedDecision]:
        while not self._over(held):
            try:
                return await self._interrupted.here(agent)
            except StoreError as error:
                self._core.problem("journal", str(error), remedy=error.remedy)
                await asyncio.sleep(RENEW_SECONDS)
        return []

    def _over(self, held: HeldLease) -> bool:
        return held.lost or self._stopping

    async def _prepared(self, agent: AgentDocument, held: HeldLease) -> None:
        """Once a real agent: until all is known that was ordered for it, by whomever."""
        if agent.paper or agent.agent_id in self._adopted:
            return
        while not self._over(held):
            try:
                epoch = held.lease.epoch
                self._recovery.add(await self._adoption.agent(agent.agent_id, epoch=epoch, now=True))
                break
            except StoreError:
                await asyncio.sleep(RENEW_SECONDS)
        with contextlib.suppress(TimeoutError):  # the safeguards refuse what cannot be known
            await self._settled(agent)
        self._adopted.add(agent.agent_id)

    async def _opened(self, agent: AgentDocument, held: HeldLease) -> None:
        """The agent's paper book, read once: what comes later must not need the database."""
        while not held.lost and not self._stopping:
            try:
                await self.paper.book(agent)
                return
            except StoreError:
                await asyncio.sleep(RENEW_SECONDS)

    async def _carry_out(self, agent: AgentDocument, taken: QueuedDecision, held: HeldLease) -> None:
        started = now_ms()
        try:
            if why := self._too_old(taken, started):
                outcome = Outcome("stale", (why,))
            elif not held.valid:
                outcome = Outcome("failed", ("the lease was lost before it began",))
            else:
                decision = parse_decision(
                    taken.raw, decision_id=taken.decision_id, agent_id=agent.agent_id, made_at=taken.made_at
                )
                outcome = await self._execute(agent, taken, decision, held)
        except DecisionRefused as refused:
            outcome = Outcome("refused", refused.reasons)
        except Exception as error:  # the wall: a decision is never left half done without a word
            log.exception("a decision broke", decision=taken.decision_id, agent=agent.name)
            outcome = Outcome(
                "failed",
                (f"something unexpected: {type(error).__name__}: {error}",),
                remedy="look at the agent's orders and positions; please report it, the log has the details",
            )
        await self._reports.finish(agent, taken, outcome.state, outcome, started)
        if outcome.fall_back and not agent.paper:
            await self._fall_back(agent)

    def _too_old(self, taken: QueuedDecision, now: int) -> str:
        if not taken.made_at:
            return "the decision does not say when it was made (timestamp): it may be of any age"
        old = (now - taken.made_at) / 1000
        if -old > self._rules.decision_max_age_s:
            return f"the decision says that it is made in {-old:.0f} s from now: a clock is wrong"
        if old > self._rules.decision_max_age_s:
            return f"the decision is {old:.0f} s old, more than {self._rules.decision_max_age_s} s"
        return ""

    async def _execute(
        self, agent: AgentDocument, taken: QueuedDecision, decision: Decision, held: HeldLease
    ) -> Outcome:
        if agent.paper:
            return await self._on_paper(agent, decision)
        outcome = await self._executor.execute(
            agent, decision, held.permit, held.lease.epoch, lambda: self._too_old(taken, now_ms())
        )
        await self._shadow(agent, decision, outcome)
        return outcome

    async def _on_paper(self, agent: AgentDocument, decision: Decision) -> Outcome:
        try:
            book = await self.paper.book(agent)
        except StoreError as error:
            return Outcome("failed", (f"the paper positions cannot be read: {error}",))
        state, symbol = self._core.state, symbol_of(decision.coin)
        halt = self._controls.halted(agent)
        if decision.signal == "close" and book.share(symbol):
            if halt.words and not halt.reducing:
                return Outcome("refused", (f"halted: {halt.words}",))
            await book.leave(symbol)
            return Outcome("done")
        plan = plan_decision(decision, state.rules, state.marks, book.share(symbol))
        if plan.side is None:
            return Outcome("done", plan=plan)
        now = now_ms()
        offset = state.clock_offset_ms or 0
        situation = Situation(
            now=now + offset,
            balance=book.balance,
            balance_at=now + offset,
            available=book.available,
            mark=state.marks.get(plan.symbol),
            mark_at=state.marks_at.get(plan.symbol, 0),
            held=book.held(),
            lost_today=book.lost_since(now - now % DAY_MS),
            recent=tuple((at + offset, s, side) for at, s, side in book.recent()),
            halted=halt.words,
            reducing=halt.reducing,
        )
        verdicts = evaluate(proposal(plan), situation, self._limits)
        if reasons := refusals(verdicts):
            return Outcome("refused", reasons, verdicts=verdicts, plan=plan)
        await book.enter(decision, plan)
        return Outcome("done", verdicts=verdicts, plan=plan)

    async def _shadow(self, agent: AgentDocument, decision: Decision, outcome: Outcome) -> None:
        """What the decision would have come to on paper, beside the real one."""
        symbol = outcome.plan.symbol if outcome.plan is not None else symbol_of(decision.coin)
        if decision.signal == "close":
            # Where a real stop was hit, or the entry had failed, the paper position is closed all the same.
            wanted = outcome.state != "refused" or (outcome.plan is None and self._flat(agent, symbol))
        else:
            wanted = outcome.state != "refused" and outcome.plan is not None and decision.opens
        if not wanted:
            return
        try:
            book = await self.paper.book(agent)
            if decision.opens and outcome.plan is not None:
                await book.enter(decision, outcome.plan)
            else:
                await book.leave(symbol)
        except StoreError as error:  # what became of the real orders is told all the same
            self._core.problem("worker", f"{agent.name}: its paper account is not kept now: {error}")

    def _flat(self, agent: AgentDocument, symbol: str) -> bool:
        """Whether the agent is known to hold nothing in a symbol at the exchange."""
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        return account is not None and bool(account.told_at) and not self._executor.share(agent, symbol)

    async def _fall_back(self, agent: AgentDocument) -> None:
        """The agent goes on on paper; what it holds at the exchange stays there, and is watched."""
        self._fallen.add(agent.agent_id)
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        symbols = sorted({key[0] for key in account.positions}) if account is not None else []
        left = [s for s in symbols if self._executor.share(agent, s)]
        mode = {"agent_id": agent.agent_id, "paper": True, **({"keeps": True} if left else {})}
        await self._reports.note("mode", mode)
        held = f"; it still holds {', '.join(left)} at the exchange, which is watched" if left else ""
        self._core.problem(
            "worker",
            f"{agent.name} goes on on paper: an order of it failed{held}",
            agent=agent.name,
            remedy="look at its errors and positions, then flip it back to real",
        )

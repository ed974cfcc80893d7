"""The worker: takes queued decisions, in order per agent and agents in parallel, and has them carried out.

One worker per agent anywhere, by lease. A decision is claimed once and carried out at most once: one whose
worker died is looked for at the exchange and then closed, never carried out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from aster_tui.aster.errors import AsterError
from aster_tui.aster.trader import Trader
from aster_tui.domain.client_ids import Purpose, client_order_id
from aster_tui.domain.decisions import Decision, DecisionRefused, parse_decision, plan_decision
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.lifecycle import NEVER_THERE, UNRESOLVED
from aster_tui.domain.safeguards import DAY_MS, Limits, Situation, evaluate, refusals
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import ZERO, account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.desk import OrderDesk
from aster_tui.engine.executor import Executor, Outcome, proposal
from aster_tui.engine.halts import Halt
from aster_tui.engine.leases import RENEW_SECONDS, TTL_MS, HeldLease
from aster_tui.engine.ledger import Ledger
from aster_tui.engine.outbox import MARK
from aster_tui.engine.paper import PaperDesk
from aster_tui.engine.recovery import Recovery
from aster_tui.engine.supervise import Tasks
from aster_tui.store.base import StoreError, StoreUnavailable
from aster_tui.store.journal import Journal
from aster_tui.store.trading import QueuedDecision, TradingStore

log = structlog.get_logger(__name__)

POLL_SECONDS, SNAPSHOT_SECONDS = 0.2, 1.0
#: How long a stop waits for orders that are under way.
WIND_DOWN_SECONDS = 3.0
#: How long an agent's first decision waits for its account to be read.
READY_SECONDS = 20.0
#: How long what this machine knows is given to reach the database before a decision counts as interrupted.
TOLD_SECONDS = 20.0
#: How long past the nonce window an order of a dead worker is waited for.
GRACE_MS = 1_500


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
        halted: Callable[[AgentDocument], Halt],
        limits: Limits,
        rules: WorkerRules,
    ) -> None:
        self._core, self._store, self._journal = core, store, journal
        self._desk, self._ledger, self._executor, self._paper = desk, ledger, executor, paper
        self._recovery = recovery
        self._client_of, self._halted = client_of, halted
        self._limits, self._rules = limits, rules
        self._tasks = Tasks(core)
        self.held: dict[str, HeldLease] = {}
        self._waiting: set[str] = set()
        self._fallen: set[str] = set()
        self._stopping = False

    async def run(self) -> None:
        """Until cancelled; gives the leases back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._renew())
                tasks.create_task(self._look())
                tasks.create_task(self._paper.run())
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
        asked_at = time.monotonic()
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
        self._paper.forget(agent.agent_id)
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
        book = self._paper.books.get(agent_id)
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
        if agent.paper or not agent.user_address:
            return
        key = account_key(agent.user_address)
        await self._recovery.settled(key)
        async with asyncio.timeout(READY_SECONDS):
            while not ((account := self._core.state.accounts.get(key)) and account.told_at):
                await asyncio.sleep(POLL_SECONDS)

    # Decisions

    async def _look(self) -> None:
        while True:
            try:
                self._waiting = await self._store.agents_with_decisions()
            except StoreError:
                self._waiting = set()
            await asyncio.sleep(POLL_SECONDS)

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
        with contextlib.suppress(TimeoutError):  # the safeguards refuse what cannot be known
            await self._settled(agent)
        await self._opened(agent, held)
        settling = asyncio.create_task(self._interrupted(agent, held))
        try:
            while not held.lost and not self._stopping:
                agent = self._agent(agent_id)
                taken = await self._take(agent, held) if agent is not None and held.valid else None
                if agent is None or taken is None:
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                await self._carry_out(agent, taken, held)
        finally:
            settling.cancel()
            await asyncio.wait({settling})

    async def _opened(self, agent: AgentDocument, held: HeldLease) -> None:
        """The agent's paper book, read once: what comes later must not need the database."""
        while not held.lost and not self._stopping:
            try:
                await self._paper.book(agent)
                return
            except StoreError:
                await asyncio.sleep(RENEW_SECONDS)

    async def _take(self, agent: AgentDocument, held: HeldLease) -> QueuedDecision | None:
        claim = {"owner": held.lease.owner, "epoch": held.lease.epoch, "at": now_ms()}
        local = await self._journal.claim(agent.name, claim)
        if local is not None:
            made = int(local.get("timestamp", 0))
            return QueuedDecision(str(local["_id"]), agent.agent_id, local.get("decision", {}), made)
        if agent.agent_id not in self._waiting:
            return None
        try:
            return await self._store.claim_decision(held.lease, now_ms())
        except StoreError:
            return None

    async def _carry_out(self, agent: AgentDocument, taken: QueuedDecision, held: HeldLease) -> None:
        started = now_ms()
        try:
            decision = parse_decision(
                taken.raw, decision_id=taken.decision_id, agent_id=agent.agent_id, made_at=taken.made_at
            )
            old = (started - taken.made_at) / 1000
            if taken.made_at and old > self._rules.decision_max_age_s:
                reason = f"the decision is {old:.0f} s old, more than {self._rules.decision_max_age_s} s"
                return await self._finish(agent, taken, "stale", Outcome("refused", (reason,)), started)
            if not held.valid:
                return await self._finish(
                    agent,
                    taken,
                    "failed",
                    Outcome("failed", ("the lease was lost before it began",)),
                    started,
                )
            outcome = await self._execute(agent, decision, held)
        except DecisionRefused as refused:
            outcome = Outcome("refused", refused.reasons)
        await self._finish(agent, taken, outcome.state, outcome, started)
        return None

    async def _execute(self, agent: AgentDocument, decision: Decision, held: HeldLease) -> Outcome:
        if agent.paper:
            return await self._on_paper(agent, decision)
        outcome = await self._executor.execute(agent, decision, held.permit, held.lease.epoch)
        await self._shadow(agent, decision, outcome)
        return outcome

    async def _on_paper(self, agent: AgentDocument, decision: Decision) -> Outcome:
        try:
            book = await self._paper.book(agent)
        except StoreError as error:
            return Outcome("failed", (f"the paper positions cannot be read: {error}",))
        state, symbol = self._core.state, symbol_of(decision.coin)
        halt = self._halted(agent)
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
        if outcome.state == "refused" or outcome.plan is None or outcome.plan.side is None:
            return
        try:
            book = await self._paper.book(agent)
        except StoreError as error:
            self._core.problem("worker", f"{agent.name}: its paper account is not kept now: {error}")
            return
        if decision.opens:
            await book.enter(decision, outcome.plan)
        else:
            await book.leave(outcome.plan.symbol)

    async def _finish(
        self, agent: AgentDocument, taken: QueuedDecision, state: str, outcome: Outcome, started: int
    ) -> None:
        at = now_ms()
        fields: dict[str, Any] = {
            "state": state,
            "reasons": list(outcome.reasons),
            "finishedAt": at,
            "latencyMs": at - started,
            "result": _result(outcome),
        }
        await self._journal.note("decision", at, {"decision_id": taken.decision_id, "fields": fields})
        if state != "done":
            await self._say(agent, taken, state, outcome, at)
        if outcome.fall_back and not agent.paper:
            await self._fall_back(agent)

    async def _say(
        self, agent: AgentDocument, taken: QueuedDecision, state: str, outcome: Outcome, at: int
    ) -> None:
        source = "safeguard" if outcome.verdicts and state == "refused" else "decision"
        reasons = "; ".join(outcome.reasons) or "no reason was given"
        error = ErrorRaised(
            at,
            source,
            f"{agent.name}: {_named(taken.raw)} {_WORDS[state]}: {reasons}",
            agent=agent.name,
            code=_code(outcome),
            remedy=_REMEDIES[state],
        )
        self._core.emit(error)
        await self._journal.error(error)

    async def _fall_back(self, agent: AgentDocument) -> None:
        self._fallen.add(agent.agent_id)
        await self._journal.note("mode", now_ms(), {"agent_id": agent.agent_id, "paper": True})
        self._core.problem(
            "worker",
            f"{agent.name} goes on on paper: an order of it failed",
            agent=agent.name,
            remedy="look at its errors and positions, then flip it back to real",
        )

    # What another worker began

    async def _interrupted(self, agent: AgentDocument, held: HeldLease) -> None:
        """Close the decisions that a dead worker claimed: done if their order is there, else never carried
        out. None of them is begun again."""
        taken_at = now_ms()
        # What a worker of this machine finished may not have reached the database when it died.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_SECONDS):
                while await self._journal.counts(MARK):
                    await asyncio.sleep(POLL_SECONDS)
        try:
            left = await self._store.interrupted_decisions(held.lease)
        except StoreError:
            return
        for queued in left:
            await self._close_interrupted(agent, queued, taken_at)

    async def _close_interrupted(self, agent: AgentDocument, queued: QueuedDecision, taken_at: int) -> None:
        found = await self._order_of(agent, queued, taken_at)
        if found is None:
            reasons = ("its worker died; no order of it is at the exchange, and it is not carried out again",)
            await self._finish(agent, queued, "interrupted", Outcome("failed", reasons), taken_at)
            return
        reasons = (f"its worker died after {found} was placed: look at its stop and target",)
        await self._finish(agent, queued, "interrupted", Outcome("failed", reasons), taken_at)

    async def _order_of(self, agent: AgentDocument, queued: QueuedDecision, taken_at: int) -> str | None:
        """The order a dead worker placed for a decision, once none can come any more."""
        if agent.paper:
            book = await self._paper.book(agent)
            return "a paper position" if book.has(queued.decision_id) else None
        await self._ledger.refresh()
        mine = self._ledger.of_decision(queued.decision_id)
        for record in mine:
            if record.purpose in ("entry", "close") and record.state not in NEVER_THERE | UNRESOLVED:
                return record.client_order_id
        client = self._client_of(agent.user_address or "")
        if (mine and not any(r.unresolved for r in mine)) or client is None:
            return None
        closes_at = taken_at + self._rules.nonce_window_s * 1000 + GRACE_MS
        await asyncio.sleep(max(0, closes_at - now_ms()) / 1000)
        symbol = symbol_of(str(_arguments(queued.raw).get("coin", "")))
        purposes: tuple[Purpose, ...] = ("entry", "close")
        for purpose in purposes:
            name = client_order_id(agent.agent_id, purpose, queued.epoch, queued.decision_id)
            try:
                return (await client.order(symbol, client_order_id=name)).client_order_id
            except AsterError:
                continue
        return None


_WORDS = {
    "refused": "was refused",
    "failed": "failed",
    "stale": "came too late",
    "interrupted": "was interrupted",
}
_REMEDIES = {
    "refused": "the agent goes on; change the decision or the safeguard's setting",
    "failed": "nothing is sent again; look at the order and the position",
    "stale": "was the worker stopped? the agent decides anew",
    "interrupted": "look at the agent's positions and protective orders",
}


def _arguments(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    nested = raw.get("trade_signal_args")
    return nested if isinstance(nested, Mapping) else raw


def _named(raw: Mapping[str, Any]) -> str:
    arguments = _arguments(raw)
    text = f"{arguments.get('signal', '?')} {arguments.get('coin', '?')}"
    return " ".join(text.split())[:40]


def _code(outcome: Outcome) -> str:
    """The exchange's code, or the name of the safeguard that tripped."""
    codes = (r.error_code for r in outcome.orders if r.error_code)
    return next(codes, next((v.name for v in outcome.verdicts if not v.ok), ""))


def _result(outcome: Outcome) -> dict[str, Any]:
    plan = outcome.plan
    shown: dict[str, Any] = {
        "orders": [r.client_order_id for r in outcome.orders],
        "safeguards": [{"name": v.name, "ok": v.ok, "message": v.message} for v in outcome.verdicts],
    }
    if plan is not None and plan.side is not None:
        shown |= {
            "symbol": plan.symbol,
            "side": plan.side,
            "quantity": str(plan.quantity),
            "mark": str(plan.mark),
        }
    executed = [r for r in outcome.orders if r.executed and r.purpose in ("entry", "close")]
    if executed:
        shown |= {
            "executed": str(sum((r.executed for r in executed), ZERO)),
            "averagePrice": str(executed[0].average_price),
            "slippageBp": str(executed[0].slippage_bp) if executed[0].slippage_bp is not None else None,
        }
    return shown

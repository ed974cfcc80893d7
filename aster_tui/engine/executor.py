"""Decisions become orders: preconditions, safeguards, leverage, the entry, its protection. For real accounts.

Nothing is retried as an order. What goes wrong is written down, said, and by setting the agent goes on on
paper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from aster_tui.aster.errors import AnswerError, AsterError, InvalidOrder
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.trader import Trader
from aster_tui.domain.client_ids import Purpose, client_order_id
from aster_tui.domain.decisions import Decision, DecisionRefused, Plan, plan_decision
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.safeguards import Limits, Proposal, Situation, Verdict, evaluate, refusals
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import ZERO, PositionSide, Side, account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.desk import OrderDesk, OrderFor, Sent
from aster_tui.engine.halts import Halt
from aster_tui.engine.ledger import Ledger
from aster_tui.store.base import StoreError

State = Literal["done", "refused", "failed"]
Permit = Callable[[], None]
GONE, WRONG_SIDE = -2011, -4061


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of the execution: the safeguards' limits, what to do with a position that cannot be
    protected, and whether an agent goes on on paper after a failure."""

    limits: Limits = field(default_factory=Limits)
    close_unprotected: bool = True
    fall_back: bool = True
    working_type: str = "MARK_PRICE"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision. ``fall_back`` says that the agent should go on on paper."""

    state: State
    reasons: tuple[str, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    plan: Plan | None = None
    fall_back: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    """One decision being carried out."""

    agent: AgentDocument
    decision: Decision
    client: Trader
    permit: Permit
    epoch: int
    position_side: PositionSide


class Executor:
    """Carries out decisions on real accounts.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
        halted: whether and how far an agent is stopped.
    """

    def __init__(
        self,
        core: Core,
        desk: OrderDesk,
        ledger: Ledger,
        client_of: Callable[[str], Trader | None],
        halted: Callable[[AgentDocument], Halt],
        rules: Rules,
    ) -> None:
        self._core = core
        self._desk = desk
        self._ledger = ledger
        self._client_of = client_of
        self._halted = halted
        self._rules = rules
        self.limits = rules.limits
        self._hedged: dict[str, bool] = {}
        self._leverages: dict[tuple[str, str], int] = {}

    async def execute(self, agent: AgentDocument, decision: Decision, permit: Permit, epoch: int) -> Outcome:
        """Carry a decision out; never raises for what the exchange or the journal did."""
        client = self._client_of(agent.user_address) if agent.user_address else None
        if client is None:
            return Outcome("refused", (f"{agent.name} has no usable key or account: see the errors",))
        try:
            await self._ledger.refresh()
            plan = plan_decision(
                decision, self._core.state.rules, self._core.state.marks, self._share(agent, decision)
            )
            if plan.side is None:
                return Outcome("done", plan=plan)
            verdicts = evaluate(proposal(plan), self.situation(agent, plan.symbol), self._rules.limits)
            if reasons := refusals(verdicts):
                return Outcome("refused", reasons, verdicts=verdicts, plan=plan)
            side = await self.position_side(client, plan.side, reduces=plan.reduces)
            run = _Run(agent, decision, client, permit, epoch, side)
            if plan.reduces:
                return await self._close(run, plan, verdicts)
            return await self._open(run, plan, verdicts)
        except DecisionRefused as refused:
            return Outcome("refused", refused.reasons)
        except InvalidOrder as error:
            return Outcome("refused", (str(error),))
        except (AsterError, StoreError) as error:
            return Outcome("failed", (str(error),), fall_back=self._rules.fall_back)

    # The situation

    def _share(self, agent: AgentDocument, decision: Decision) -> Decimal:
        """What the agent holds in the decision's coin: on an account of its own what the exchange says; on a
        shared one its part, and never more than there is."""
        from aster_tui.domain.symbols import symbol_of

        return self.share(agent, symbol_of(decision.coin))

    def share(self, agent: AgentDocument, symbol: str) -> Decimal:
        """What an agent holds in a symbol, signed, base asset."""
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        if account is None:
            return ZERO
        there = sum((p.quantity for k, p in account.positions.items() if k[0] == symbol), ZERO)
        if len(self._core.state.agents_of(agent.user_address or "")) < 2:
            return there
        found = self._ledger.shares().get((agent.agent_id, symbol))
        mine = found.quantity if found else ZERO
        if mine * there <= 0:
            return ZERO
        return min(mine, there) if mine > 0 else max(mine, there)

    def situation(self, agent: AgentDocument, symbol: str) -> Situation:
        """What an order of an agent in a symbol is judged by. The ledger must be fresh."""
        state = self._core.state
        account = state.accounts.get(account_key(agent.user_address or ""))
        offset = state.clock_offset_ms or 0
        symbols = {k[0] for k in account.positions} if account else set()
        held = {s: abs(self.share(agent, s)) * state.marks.get(s, ZERO) for s in symbols}
        now, halt = now_ms(), self._halted(agent)
        return Situation(
            now=now + offset,
            balance=account.wallet if account else None,
            balance_at=max(account.told_at, account.wallet_at) if account else 0,
            available=account.available if account else None,
            mark=state.marks.get(symbol),
            mark_at=state.marks_at.get(symbol, 0),
            held={s: value for s, value in held.items() if value},
            lost_today=self._ledger.lost_today(agent.agent_id, now),
            recent=tuple((at + offset, s, d) for at, s, d in self._ledger.recent(agent.agent_id, now)),
            halted=halt.words,
            reducing=halt.reducing,
        )

    async def position_side(self, client: Trader, side: Side, *, reduces: bool) -> PositionSide:
        """The position side an order names: BOTH in one-way mode, which is asked for once."""
        account = client.wallet.user if client.wallet else ""
        if account not in self._hedged:
            self._hedged[account] = await client.hedge_mode()
        if not self._hedged[account]:
            return "BOTH"
        opens_long = (side == "BUY") != reduces
        return "LONG" if opens_long else "SHORT"

    # Orders

    async def _open(self, run: _Run, plan: Plan, verdicts: tuple[Verdict, ...]) -> Outcome:
        await self._set_leverage(run, plan)
        entry = await self._send(run, plan, "entry", plan.side or "BUY", "MARKET", plan.quantity)
        orders = [entry.record]
        if not entry.placed:
            return self._failed(run, plan, entry, tuple(orders), verdicts)
        executed = entry.record.executed
        if not executed:
            reason = f"nothing of the order was executed ({entry.record.status})"
            return Outcome("failed", (reason,), tuple(orders), verdicts, plan)
        problems: list[str] = []
        wanted = [("stop", "STOP_MARKET", plan.stop), ("target", "TAKE_PROFIT_MARKET", plan.target)]
        asked = [
            self._protect(run, plan, purpose, kind, price, executed)  # type: ignore[arg-type]
            for purpose, kind, price in wanted
            if price is not None
        ]
        for sent in await asyncio.gather(*asked):
            orders.append(sent.record)
            if not sent.placed:
                problems.append(f"{sent.record.purpose} was not placed: {sent.error or sent.word}")
        if problems:
            return await self._unprotected(run, plan, executed, problems, orders, verdicts)
        return Outcome("done", (), tuple(orders), verdicts, plan)

    async def _protect(
        self, run: _Run, plan: Plan, purpose: Purpose, kind: str, price: Decimal, quantity: Decimal
    ) -> Sent:
        side = plan.protective_side
        return await self._send(run, plan, purpose, side, kind, quantity, stop=price, reduces=True)

    async def _unprotected(
        self,
        run: _Run,
        plan: Plan,
        executed: Decimal,
        problems: list[str],
        orders: list[OrderRecord],
        verdicts: tuple[Verdict, ...],
    ) -> Outcome:
        what = f"{run.agent.name}: {plan.symbol} is not protected: {'; '.join(problems)}"
        if not self._rules.close_unprotected:
            remedy = "place the stop by hand, or close the position"
            self._core.problem("naked", what, agent=run.agent.name, remedy=remedy)
            return Outcome("failed", tuple(problems), tuple(orders), verdicts, plan, self._rules.fall_back)
        self._core.problem("naked", what, agent=run.agent.name, remedy="it is closed at once")
        closed = await self._send(run, plan, "close", plan.protective_side, "MARKET", executed, reduces=True)
        orders.append(closed.record)
        await self.cancel_orphans(run.agent, run.client, plan.symbol)
        if not closed.placed or closed.record.executed < executed:
            problems.append("and closing it failed, too: LOOK AT IT AT ONCE")
            self._core.problem(
                "naked",
                f"{run.agent.name}: {plan.symbol} is open without a stop, and could not be closed",
                agent=run.agent.name,
                remedy="close it by hand now",
            )
        return Outcome("failed", tuple(problems), tuple(orders), verdicts, plan, self._rules.fall_back)

    async def _close(self, run: _Run, plan: Plan, verdicts: tuple[Verdict, ...]) -> Outcome:
        sent = await self._send(
            run, plan, "close", plan.side or "SELL", "MARKET", plan.quantity, reduces=True
        )
        if not sent.placed:
            return self._failed(run, plan, sent, (sent.record,), verdicts)
        if sent.record.executed < plan.quantity:
            left = plain(plan.quantity - sent.record.executed)
            reason = f"{left} {plan.symbol} were not closed ({sent.record.status})"
            return Outcome("failed", (reason,), (sent.record,), verdicts, plan)
        await self.cancel_orphans(run.agent, run.client, plan.symbol)
        return Outcome("done", (), (sent.record,), verdicts, plan)

    async def cancel_orphans(self, agent: AgentDocument, client: Trader, symbol: str) -> None:
        """Cancel an agent's stops and targets in a symbol: their position is gone."""
        await self._ledger.refresh()
        await self.cancel(agent, client, self._ledger.open_protection(agent.agent_id, symbol))

    async def cancel(self, agent: AgentDocument, client: Trader, records: list[OrderRecord]) -> None:
        """Cancel orders of an agent; what cannot be cancelled is said."""
        for record in records:
            try:
                order = await client.cancel_order(record.symbol, client_order_id=record.client_order_id)
            except AnswerError as error:
                if error.number != GONE:  # gone already is what was wanted
                    self._orphaned(agent, record, error)
            except AsterError as error:
                self._orphaned(agent, record, error)
            else:
                await self._desk.told(order)

    def _orphaned(self, agent: AgentDocument, record: OrderRecord, error: AsterError) -> None:
        self._core.problem(
            "exchange",
            f"{agent.name}: the {record.purpose} {record.client_order_id} of {record.symbol} is left over and"
            f" could not be cancelled: {error}",
            agent=agent.name,
            code=error.code,
            remedy="it can only reduce; cancel it by hand if it stays",
        )

    async def _send(
        self,
        run: _Run,
        plan: Plan,
        purpose: Purpose,
        side: Side,
        kind: str,
        quantity: Decimal,
        *,
        stop: Decimal | None = None,
        reduces: bool = False,
    ) -> Sent:
        hedged = run.position_side != "BOTH"
        request = OrderRequest(
            plan.symbol,
            side,
            kind,
            client_order_id(run.agent.agent_id, purpose, run.epoch, run.decision.decision_id),
            quantity=quantity,
            stop_price=stop,
            reduce_only=reduces and not hedged,
            position_side=run.position_side,
            working_type=self._rules.working_type if stop is not None else None,
        )
        whose = OrderFor(
            account=run.agent.user_address or "",
            agent_id=run.agent.agent_id,
            agent=run.agent.name,
            purpose=purpose,
            decision_id=run.decision.decision_id,
            epoch=run.epoch,
            mark_price=self._core.state.marks.get(plan.symbol, plan.mark),
        )
        # A stop that protects is never held back by a lease: the position is there already.
        permit = run.permit if purpose in ("entry", "close") else None
        try:
            return await self._desk.place(run.client, request, whose, permit)
        finally:
            await self._ledger.refresh()

    async def _set_leverage(self, run: _Run, plan: Plan) -> None:
        key = (account_key(run.agent.user_address or ""), plan.symbol)
        wanted = run.decision.leverage
        if self._leverages.get(key) == wanted:
            return
        self._leverages.pop(key, None)
        run.permit()
        self._leverages[key] = await run.client.set_leverage(plan.symbol, wanted)

    def learn(self, client: Trader, error: AsterError | None) -> None:
        """Forget what a refusal shows to be wrong."""
        if isinstance(error, AnswerError) and error.number == WRONG_SIDE:
            self._hedged.pop(client.wallet.user if client.wallet else "", None)

    def forget_leverage(self, account: str, symbol: str) -> None:
        """Somebody else set it."""
        self._leverages.pop((account_key(account), symbol), None)

    def _failed(
        self,
        run: _Run,
        plan: Plan,
        sent: Sent,
        orders: tuple[OrderRecord, ...],
        verdicts: tuple[Verdict, ...],
    ) -> Outcome:
        self.learn(run.client, sent.error)
        reason = f"{sent.word}: {sent.error}" if sent.error else sent.word
        # An order that could not be sent for want of a lease is no failure of the agent.
        fall_back = self._rules.fall_back and sent.word == "refused"
        return Outcome("failed", (reason,), orders, verdicts, plan, fall_back)


def proposal(plan: Plan) -> Proposal:
    decision = plan.decision
    return Proposal(
        symbol=plan.symbol,
        side=plan.side or "",
        notional=plan.notional,
        leverage=decision.leverage,
        price=decision.entry_price if decision.opens else None,
        reduces=plan.reduces,
    )

"""Decisions become orders: preconditions, safeguards, leverage, the entry, its protection. For real accounts.

Nothing is retried as an order. What goes wrong is written down, said, and by setting the agent goes on on
paper.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from aster_tui.aster.errors import AnswerError, AsterError, InvalidOrder
from aster_tui.aster.trader import Trader
from aster_tui.domain.accounts import AccountState
from aster_tui.domain.client_ids import Purpose
from aster_tui.domain.decisions import Decision, DecisionRefused, Plan, plan_decision
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import Event, LeverageChanged
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.safeguards import Limits, Proposal, Situation, Verdict, evaluate, refusals
from aster_tui.domain.symbols import SymbolRules, plain, round_nearest, split_quantity, symbol_of
from aster_tui.domain.trading import ZERO, Order, PositionSide, Side, account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.halts import Halt
from aster_tui.engine.trade.desk import Forbidden, OrderDesk, Sent
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.permissions import Permissions
from aster_tui.engine.trade.protection import Protection
from aster_tui.engine.trade.sending import Permit, Run, Sender
from aster_tui.engine.trade.situations import Situations, keyless
from aster_tui.engine.trade.turns import StillUnderWay, Turn, Turns
from aster_tui.store.base import StoreError

State = Literal["done", "refused", "failed", "stale"]
NOTHING_TO_REDUCE, WRONG_SIDE = -2022, -4061
#: How long the user stream is given to tell what an order did, before the account is read.
SHOWN_SECONDS, LOOK_SECONDS, CLOCK_MS = 1.0, 0.02, 5


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
    """What became of a decision. ``fall_back`` says that the agent should go on on paper; ``code`` and
    ``remedy`` are those of the error that ended it."""

    state: State
    reasons: tuple[str, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    plan: Plan | None = None
    fall_back: bool = False
    code: str = ""
    remedy: str = ""


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
        permissions: Permissions,
        protection: Protection,
        turns: Turns,
    ) -> None:
        self._core = core
        self._ledger = ledger
        self._client_of = client_of
        self._halted = halted
        self._rules = rules
        self._permissions = permissions
        self._situations = Situations(core, ledger, client_of, halted, permissions)
        self._protection = protection
        self._sender = Sender(core, desk, ledger, halted, rules.working_type)
        self.limits = rules.limits
        self.turns = turns
        self._hedged: dict[str, bool] = {}
        self._leverages: dict[tuple[str, str], int] = {}

    def listen(self, event: Event) -> None:
        """Take an event of the engine: a leverage that somebody else set is known no more."""
        if isinstance(event, LeverageChanged):
            key = (account_key(event.account), event.symbol)
            if self._leverages.get(key) != event.leverage:
                self._leverages.pop(key, None)

    async def execute(
        self,
        agent: AgentDocument,
        decision: Decision,
        permit: Permit,
        epoch: int,
        too_old: Callable[[], str] = str,
    ) -> Outcome:
        """Carry a decision out; never raises for what the exchange or the journal did.

        Args:
            too_old: asked after the account's turn was waited for; says why it is too late, or nothing.
        """
        client = self._client_of(agent.user_address) if agent.user_address else None
        waits = decision.opens and client is not None
        try:
            async with self.turns.of(agent.user_address or "") if waits else nullcontext() as turn:
                if waits and (why := too_old()):
                    return Outcome("stale", (why,))
                return await self._carried_out(agent, decision, client, permit, epoch, turn)
        except StillUnderWay as error:
            return Outcome("refused", (str(error),), remedy=error.remedy)
        except DecisionRefused as refused:
            return Outcome("refused", refused.reasons)
        except InvalidOrder as error:
            return Outcome("refused", (str(error),), remedy=error.remedy)
        except StoreError as error:
            return Outcome("failed", (str(error),), fall_back=self._rules.fall_back, remedy=error.remedy)
        except AsterError as error:
            if client is not None:
                self.learn(client, error)
            fall_back = self._rules.fall_back and not isinstance(error, Forbidden)
            return Outcome("failed", (str(error),), fall_back=fall_back, code=error.code, remedy=error.remedy)

    async def _carried_out(
        self,
        agent: AgentDocument,
        decision: Decision,
        client: Trader | None,
        permit: Permit,
        epoch: int,
        turn: Turn | None,
    ) -> Outcome:
        await self._ledger.refresh()
        state, symbol = self._core.state, symbol_of(decision.coin)
        if client is None and decision.signal == "close":
            return Outcome("refused", (f"permission: {keyless(agent)}",), remedy=_KEYLESS)
        plan = plan_decision(decision, state.rules, state.marks, self.share(agent, symbol))
        if plan.side is None:
            return Outcome("done", plan=plan)
        verdicts = await self._judged(agent, plan)
        if reasons := refusals(verdicts):
            remedy = self._permissions.of(agent.user_address or "").remedy if client else _KEYLESS
            return Outcome("refused", reasons, verdicts=verdicts, plan=plan, remedy=remedy)
        if client is None:  # said by the safeguards already
            return Outcome("refused", (keyless(agent),), plan=plan)
        side = await self.position_side(client, plan.side, reduces=plan.reduces)
        run = Run(agent, decision, client, permit, turn.permit if turn else _no_risk, epoch, side)
        if plan.reduces:
            return await self._close(run, plan, verdicts)
        return await self._open(run, plan, verdicts)

    async def _judged(self, agent: AgentDocument, plan: Plan) -> tuple[Verdict, ...]:
        """What every safeguard says. A close is not held up by what a signer could not do a while ago."""
        if plan.reduces and self._permissions.of(agent.user_address or "").nothing:
            await self._permissions.ask(agent.user_address or "")
        return evaluate(proposal(plan), self.situation(agent, plan.symbol), self._rules.limits)

    def share(self, agent: AgentDocument, symbol: str) -> Decimal:
        """What an agent holds in a symbol, signed, base asset."""
        return self._situations.share(agent, symbol)

    def situation(self, agent: AgentDocument, symbol: str, *, without: str = "") -> Situation:
        """What an order of an agent in a symbol is judged by. The ledger must be fresh.

        Args:
            without: the client order id of an order that is about to be changed.
        """
        return self._situations.of(agent, symbol, self._leverages, without=without)

    def permit_risk(self, agent: AgentDocument) -> None:
        """Raises Forbidden while an agent may open nothing."""
        self._sender.permit_risk(agent)

    async def cancel_orphans(self, agent: AgentDocument, client: Trader, symbol: str) -> None:
        """Cancel an agent's stops and targets in a symbol: their position is gone."""
        await self._protection.cancel_orphans(agent, client, symbol)

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

    async def _open(self, run: Run, plan: Plan, verdicts: tuple[Verdict, ...]) -> Outcome:
        await self._set_leverage(run, plan)
        sent_at = now_ms()
        entry = await self._sender.send(run, plan, "entry", plan.side or "BUY", "MARKET", plan.quantity)
        if not entry.placed:
            return self._failed(run, plan, entry, (entry.record,), verdicts)
        record = await self._sender.matched(run, entry.record)
        orders, executed = [record], record.executed
        if not executed:
            reason = f"nothing of the order was executed ({record.status})"
            return Outcome("failed", (reason,), tuple(orders), verdicts, plan)
        protections, problems = await self._protections(run, plan, executed)
        orders += protections
        outcome = Outcome("done", (), tuple(orders), verdicts, plan)
        if problems:
            outcome = await self._unprotected(run, plan, executed, problems, orders, verdicts)
        await self._shown(run, plan.symbol, sent_at)
        return outcome

    async def complete(
        self,
        agent: AgentDocument,
        decision: Decision,
        permit: Permit,
        epoch: int,
        entry: Order,
        there: frozenset[Purpose],
    ) -> Outcome:
        """Place the stop and target that the worker which bought did not live to place; ``there`` are those
        it did. Never raises for what the exchange or the journal did."""
        client = self._client_of(agent.user_address) if agent.user_address else None
        rules = self._core.state.rules.get(entry.symbol)
        share = self.share(agent, entry.symbol)
        quantity = min(entry.executed, abs(share))
        if client is None or rules is None:
            return Outcome("failed", ("and its stop and target could not be looked at",))
        if not quantity or (share > 0) != (entry.side == "BUY"):
            return Outcome("done", ("and its position is gone",))
        plan = Plan(
            decision,
            entry.symbol,
            entry.side,
            quantity,
            self._core.state.marks.get(entry.symbol, entry.average_price),
            stop=_on_tick(decision.stop_loss, rules) if "stop" not in there else None,
            target=_on_tick(decision.profit_target, rules) if "target" not in there else None,
        )
        run = Run(agent, decision, client, permit, _no_risk, epoch, entry.position_side)
        orders, problems = await self._protections(run, plan, quantity)
        if problems:
            return await self._unprotected(run, plan, quantity, problems, orders, ())
        placed = " and ".join(r.purpose for r in orders)
        words = f"its {placed} {'were' if len(orders) > 1 else 'was'} placed now" if placed else "protected"
        return Outcome("done", (words,), tuple(orders), plan=plan)

    async def _protections(
        self, run: Run, plan: Plan, quantity: Decimal
    ) -> tuple[list[OrderRecord], list[str]]:
        """Place what protects a position; the orders, and what could not be placed."""
        wanted: list[tuple[Purpose, str, Decimal | None]] = [
            ("stop", "STOP_MARKET", plan.stop),
            ("target", "TAKE_PROFIT_MARKET", plan.target),
        ]
        asked = [
            self._protect(run, plan, purpose, kind, price, quantity)
            for purpose, kind, price in wanted
            if price is not None
        ]
        orders: list[OrderRecord] = []
        problems: list[str] = []
        for sent in await asyncio.gather(*asked):
            if isinstance(sent, str):
                problems.append(sent)
                continue
            orders.append(sent.record)
            if not sent.placed:
                problems.append(f"{sent.record.purpose} was not placed: {sent.error or sent.word}")
        return orders, problems

    async def _protect(
        self, run: Run, plan: Plan, purpose: Purpose, kind: str, price: Decimal, quantity: Decimal
    ) -> Sent | str:
        """Place a stop or target; in words why it could not even be sent."""
        side = plan.protective_side
        try:
            return await self._sender.send(run, plan, purpose, side, kind, quantity, stop=price, reduces=True)
        except (AsterError, StoreError) as error:
            return f"{purpose} was not placed: {error}"

    async def _unprotected(
        self,
        run: Run,
        plan: Plan,
        executed: Decimal,
        problems: list[str],
        orders: list[OrderRecord],
        verdicts: tuple[Verdict, ...],
    ) -> Outcome:
        what = f"{run.agent.name}: {plan.symbol} is not protected: {'; '.join(problems)}"
        if not run.permitted:
            remedy = "another worker holds the agent by now: it completes what is missing, look that it does"
            self._core.problem("naked", what, agent=run.agent.name, remedy=remedy)
            return Outcome("failed", tuple(problems), tuple(orders), verdicts, plan)
        if not self._rules.close_unprotected:
            remedy = "place the stop by hand, or close the position"
            self._core.problem("naked", what, agent=run.agent.name, remedy=remedy)
            return Outcome("failed", tuple(problems), tuple(orders), verdicts, plan, self._rules.fall_back)
        self._core.problem("naked", what, agent=run.agent.name, remedy="it is closed at once")
        sent_at = now_ms()
        try:
            closed = await self._sender.send(
                run, plan, "close", plan.protective_side, "MARKET", executed, reduces=True
            )
            record = await self._sender.matched(run, closed.record) if closed.placed else closed.record
            orders.append(record)
            flat = record.executed >= executed
        except (AsterError, StoreError) as error:
            flat = False
            problems.append(str(error))
        if flat:
            await self._protection.cancel_orphans(run.agent, run.client, plan.symbol)
            await self._shown(run, plan.symbol, sent_at)
        else:
            # What protects it stays: half a protection is better than none.
            problems.append("and closing it failed, too: LOOK AT IT AT ONCE")
            self._core.problem(
                "naked",
                f"{run.agent.name}: {plan.symbol} is not protected, and could not be closed",
                agent=run.agent.name,
                remedy="close it by hand now",
            )
        return Outcome("failed", tuple(problems), tuple(orders), verdicts, plan, self._rules.fall_back)

    async def _close(self, run: Run, plan: Plan, verdicts: tuple[Verdict, ...]) -> Outcome:
        rules = self._core.state.rules.get(plan.symbol)
        parts = split_quantity(plan.quantity, rules) if rules is not None else (plan.quantity,)
        orders: list[OrderRecord] = []
        sent_at = now_ms()
        for number, quantity in enumerate(parts):
            sent = await self._sender.send(
                run, plan, "close", plan.side or "SELL", "MARKET", quantity, reduces=True, part=number
            )
            if not sent.placed:
                orders.append(sent.record)
                if isinstance(sent.error, AnswerError) and sent.error.number == NOTHING_TO_REDUCE:
                    return await self._flat_already(run, plan, sent, tuple(orders), verdicts)
                return self._failed(run, plan, sent, tuple(orders), verdicts)
            orders.append(await self._sender.matched(run, sent.record))
        executed = sum((r.executed for r in orders), ZERO)
        await self._shown(run, plan.symbol, sent_at)
        if executed < plan.quantity:
            left = plain(plan.quantity - executed)
            reason = f"{left} {plan.symbol} were not closed ({orders[-1].status})"
            return Outcome("failed", (reason,), tuple(orders), verdicts, plan)
        await self._protection.cancel_orphans(run.agent, run.client, plan.symbol)
        return Outcome("done", (), tuple(orders), verdicts, plan)

    async def _flat_already(
        self,
        run: Run,
        plan: Plan,
        sent: Sent,
        orders: tuple[OrderRecord, ...],
        verdicts: tuple[Verdict, ...],
    ) -> Outcome:
        """A close that was refused because there is nothing to reduce: a stop may have been faster."""
        await self._read(run.agent, run.client)
        if self.share(run.agent, plan.symbol):
            return self._failed(run, plan, sent, orders, verdicts)
        await self._protection.cancel_orphans(run.agent, run.client, plan.symbol)
        reason = "it was flat already: a stop, a target or somebody else closed it first"
        return Outcome("done", (reason,), orders, verdicts, plan)

    async def _shown(self, run: Run, symbol: str, sent_at: int) -> None:
        """Until the account shows what an order did: the next decision is judged by it."""
        await self.shown(run.agent, run.client, self.positions_told(symbol, sent_at))

    def positions_told(self, symbol: str, sent_at: int) -> Callable[[AccountState], bool]:
        """Whether an account told of a symbol's positions since an order left (Unix ms of this machine)."""
        state = self._core.state
        # The exchange's clock is known to within a round trip.
        since = sent_at + (state.clock_offset_ms or 0) - (state.round_trip_ms or 0) - CLOCK_MS
        return lambda account: account.told_of_symbol(symbol) >= since

    async def shown(
        self,
        agent: AgentDocument,
        client: Trader,
        seen: Callable[[AccountState], bool],
        *,
        orders: bool = False,
    ) -> None:
        """Until an agent's account shows what an order did; it is read where the stream does not tell.

        Args:
            orders: read its open orders, too.
        """
        key, loop = account_key(agent.user_address or ""), asyncio.get_running_loop()
        until = loop.time() + SHOWN_SECONDS
        while loop.time() < until:
            account = self._core.state.accounts.get(key)
            if account is not None and seen(account):
                return
            await asyncio.sleep(LOOK_SECONDS)
        await self._read(agent, client, orders=orders)

    async def _read(self, agent: AgentDocument, client: Trader, *, orders: bool = False) -> None:
        try:
            self._core.emit(await client.account_snapshot(open_orders=orders))
        except AsterError as error:
            self._core.problem(
                "worker",
                f"{agent.name}: its account cannot be read after an order: {error}",
                agent=agent.name,
                code=error.code,
                remedy=error.remedy,
            )

    async def _set_leverage(self, run: Run, plan: Plan) -> None:
        key = (account_key(run.agent.user_address or ""), plan.symbol)
        wanted = run.decision.leverage
        if self._leverages.get(key) == wanted:
            return
        self._leverages.pop(key, None)
        run.permit()
        run.permit_risk()
        self._leverages[key] = await run.client.set_leverage(plan.symbol, wanted)

    def learn(self, client: Trader, error: AsterError | None) -> None:
        """Forget what a refusal shows to be wrong."""
        account = client.wallet.user if client.wallet else ""
        if isinstance(error, AnswerError) and error.number == WRONG_SIDE:
            self._hedged.pop(account, None)
        self._permissions.learn(account, error)

    def forget_leverage(self, account: str, symbol: str) -> None:
        """Somebody else set it."""
        self._leverages.pop((account_key(account), symbol), None)

    def _failed(
        self,
        run: Run,
        plan: Plan,
        sent: Sent,
        orders: tuple[OrderRecord, ...],
        verdicts: tuple[Verdict, ...],
    ) -> Outcome:
        self.learn(run.client, sent.error)
        reason = f"{sent.word}: {sent.error}" if sent.error else sent.word
        # An order that could not be sent for want of a lease is no failure of the agent.
        fall_back = self._rules.fall_back and sent.word == "refused"
        code, remedy = (sent.error.code, sent.error.remedy) if sent.error else ("", "")
        return Outcome("failed", (reason,), orders, verdicts, plan, fall_back, code, remedy)


_KEYLESS = "see the errors about its key: set it, or correct its addresses"


def _no_risk() -> None:
    """The permit of what only reduces or protects, for which no turn is waited."""
    raise Forbidden("nothing may be opened without the account's turn")


def _on_tick(price: Decimal | None, rules: SymbolRules) -> Decimal | None:
    return round_nearest(price, rules.tick_size) if price is not None else None


def proposal(plan: Plan) -> Proposal:
    """The order of a plan, to be judged."""
    decision = plan.decision
    return Proposal(
        symbol=plan.symbol,
        side=plan.side or "",
        notional=plan.notional,
        leverage=decision.leverage,
        price=decision.entry_price if decision.opens else None,
        reduces=plan.reduces,
    )

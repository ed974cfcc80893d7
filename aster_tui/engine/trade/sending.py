"""One order of a decision on its way: its name, whose it is, who may still stop it, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.aster.errors import AsterError
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.trader import Trader
from aster_tui.domain.client_ids import Purpose, client_order_id
from aster_tui.domain.decisions import Decision, Plan
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import PositionSide, Side
from aster_tui.engine.core import Core
from aster_tui.engine.halts import Halt
from aster_tui.engine.trade.desk import Forbidden, OrderDesk, OrderFor, Sent
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.store.base import StoreError

Permit = Callable[[], None]
#: A market order that is answered before it was matched is looked at so often, and so many times.
MATCH_SECONDS, MATCH_TRIES = 0.3, 12


@dataclass(frozen=True, slots=True)
class Run:
    """One decision being carried out. ``permit`` is asked before anything leaves, ``permit_risk`` as well
    before what adds risk."""

    agent: AgentDocument
    decision: Decision
    client: Trader
    permit: Permit
    permit_risk: Permit
    epoch: int
    position_side: PositionSide

    @property
    def permitted(self) -> bool:
        """Whether orders may leave now."""
        try:
            self.permit()
        except Forbidden:
            return False
        return True


class Sender:
    """Sends the orders of decisions.

    Args:
        halted: whether and how far an agent is stopped.
        working_type: the price that triggers stops and targets.
    """

    def __init__(
        self,
        core: Core,
        desk: OrderDesk,
        ledger: Ledger,
        halted: Callable[[AgentDocument], Halt],
        working_type: str,
    ) -> None:
        self._core, self._desk, self._ledger = core, desk, ledger
        self._halted, self._working_type = halted, working_type

    async def send(
        self,
        run: Run,
        plan: Plan,
        purpose: Purpose,
        side: Side,
        kind: str,
        quantity: Decimal,
        *,
        stop: Decimal | None = None,
        reduces: bool = False,
        part: int = 0,
    ) -> Sent:
        """Place one order of a plan, follow it until it is certain, and read the journal.

        Args:
            part: which of several orders of the same purpose.

        Raises:
            InvalidOrder, StoreError: it was not sent.
        """
        hedged = run.position_side != "BOTH"
        seed = f"{run.decision.decision_id}/{part}" if part else run.decision.decision_id
        request = OrderRequest(
            plan.symbol,
            side,
            kind,
            client_order_id(run.agent.agent_id, purpose, run.epoch, seed),
            quantity=quantity,
            stop_price=stop,
            reduce_only=reduces and not hedged,
            position_side=run.position_side,
            working_type=self._working_type if stop is not None else None,
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
        try:
            return await self._desk.place(run.client, request, whose, self._permit(run, purpose))
        finally:
            await self._ledger.refresh()

    def _permit(self, run: Run, purpose: Purpose) -> Permit:
        """Asked at the last moment: whether the agent is still ours; of an entry also whether the account's
        turn is, and whether a person halted the agent."""

        def permit() -> None:
            run.permit()
            if purpose == "entry":
                run.permit_risk()
                self.permit_risk(run.agent)

        return permit

    def permit_risk(self, agent: AgentDocument) -> None:
        """Raises Forbidden while an agent may open nothing."""
        if words := self._halted(agent).words:
            raise Forbidden(f"halted: {words}", remedy="nothing was sent; resume when it is safe")

    async def matched(self, run: Run, record: OrderRecord) -> OrderRecord:
        """A market order once it can execute no more: the exchange may answer before it was matched."""
        for _ in range(MATCH_TRIES):
            await self._ledger.refresh()
            record = self._ledger.records.get(record.client_order_id, record)
            if not record.live:
                return record
            await asyncio.sleep(MATCH_SECONDS)
            try:
                order = await run.client.order(record.symbol, client_order_id=record.client_order_id)
                await self._desk.told(order)
            except (AsterError, StoreError):
                continue  # the stream may tell it meanwhile
        await self._ledger.refresh()
        record = self._ledger.records.get(record.client_order_id, record)
        self._core.problem(
            "naked",
            f"{run.agent.name}: {record.side} {record.symbol} {record.client_order_id} is still"
            f" {record.status} after {plain(record.executed)}: what it executes from now on has no stop",
            agent=run.agent.name,
            remedy="look at the order at the exchange; cancel it, or place a stop by hand",
        )
        return record

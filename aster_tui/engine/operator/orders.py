"""An operator's orders: placed, tested, cancelled, changed. Through the same safeguards, journal and desk as
an agent's."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from aster_tui.aster.errors import AnswerError, AsterError, InvalidOrder, OutcomeUnknown, Unreachable
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.trader import Trader
from aster_tui.domain.accounts import AccountState
from aster_tui.domain.client_ids import Purpose, agent_tag, client_order_id, parse_client_id
from aster_tui.domain.commands import (
    CancelOrders,
    ModifyOrder,
    PlaceOrder,
    ReducePosition,
    SetLeverage,
)
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.symbols import plain, round_down, split_quantity
from aster_tui.domain.ticket import Examined, Facts, Ticket, examine
from aster_tui.domain.trading import ZERO, Order, Side, account_key
from aster_tui.domain.views import RequestState
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.operator.operator import Answer, Move, Refused, answer
from aster_tui.engine.operator.order_answers import (
    failed,
    judged,
    no_part,
    order_row,
    placed_or_not,
    record_row,
    state_of,
)
from aster_tui.engine.trade.desk import OrderDesk, OrderFor, Sent
from aster_tui.engine.trade.executor import Executor
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.protection import GONE
from aster_tui.engine.trade.recovery import Recovery
from aster_tui.engine.trade.turns import StillUnderWay, Turn
from aster_tui.store.base import StoreError

#: How long what went before is waited for: a nonce window, and asking.
SETTLE_SECONDS = 30.0


class OrderTasks:
    """What an operator does with orders and positions.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
    """

    def __init__(
        self,
        core: Core,
        desk: OrderDesk,
        ledger: Ledger,
        executor: Executor,
        client_of: Callable[[str], Trader | None],
        recovery: Recovery,
        working_type: str,
    ) -> None:
        self._core, self._desk, self._ledger = core, desk, ledger
        self._executor, self._client_of = executor, client_of
        self._recovery, self._working_type = recovery, working_type
        self._locks: dict[str, asyncio.Lock] = {}

    # What is asked for

    async def place(self, asked: PlaceOrder, move: Move) -> Answer:
        """Place an order, or have it tested."""
        agent, client = self._on_account(asked.agent_id)
        adds = not asked.ticket.reduce_only and not asked.test
        async with self._in_turn(agent, move, adds=adds) as turn:
            examined, leverage = await self._examined(agent, client, asked.ticket)
            shown = {"agent": agent.name, "test": asked.test, **judged(examined, leverage)}
            if not examined.ok:
                raise Refused("; ".join(examined.reasons), **shown)
            request = await self._request(agent, client, asked.ticket, examined.quantity, "operator")
            if asked.test:
                return await self._tested(client, request, shown)
            move("sending")
            sent = await self._send(agent, client, request, "operator", turn)
        return placed_or_not(sent, shown)

    async def cancel(self, asked: CancelOrders, move: Move) -> Answer:
        """Cancel one order or many; each is answered for itself."""
        agent, client = self._on_account(asked.agent_id, also_watched=True)
        orders = await self._to_cancel(agent, client, asked)
        if not orders:
            which = f"order {asked.order}" if asked.order else "open order"
            return answer("failed", f"{agent.name} has no {which} to cancel", agent=agent.name, orders=[])
        rows: list[dict[str, Any]] = []
        for number, order in enumerate(orders):
            move(f"cancelling {order.symbol} {order.order_type}", number, len(orders))
            rows.append(await self._cancelled(client, order))
        bad = [row for row in rows if row["state"] != "done"]
        state: RequestState = "done" if not bad else bad[0]["state"]
        if any(row["state"] == "unknown" for row in bad):
            state = "unknown"
        message = f"{agent.name}: {len(rows) - len(bad)} of {len(rows)} orders cancelled"
        if bad:
            message += f"; {bad[0]['client_order_id']}: {bad[0]['message']}"
        return answer(state, message, agent=agent.name, orders=rows)

    async def modify(self, asked: ModifyOrder, move: Move) -> Answer:
        """Change a resting limit order; what it becomes passes the safeguards as a new one would."""
        agent, client = self._on_account(asked.agent_id)
        order = await self._known(agent, client, asked.symbol, asked.order)
        if order is None:
            raise Refused(f"{agent.name} has no open order {asked.order} in {asked.symbol}")
        ticket = Ticket(
            asked.symbol,
            order.side,
            "limit",
            quantity=asked.quantity,
            price=asked.price,
            time_in_force=order.time_in_force if order.time_in_force in ("GTC", "GTX") else "",
            reduce_only=order.reduces,
        )
        async with self._in_turn(agent, move, adds=not order.reduces) as turn:
            examined, leverage = await self._examined(
                agent, client, ticket, changing=True, without=order.client_order_id
            )
            shown = {"agent": agent.name, **judged(examined, leverage)}
            if not examined.ok:
                raise Refused("; ".join(examined.reasons), **shown)
            request = OrderRequest(
                asked.symbol,
                order.side,
                "LIMIT",
                order.client_order_id,
                quantity=asked.quantity,
                price=asked.price,
                reduce_only=order.reduce_only,
                position_side=order.position_side,
            )
            move("sending")
            return await self._modified(agent, client, request, shown, turn)

    async def reduce(self, asked: ReducePosition, move: Move) -> Answer:
        """Close a part of a position, reduce-only; reversing opens the other side after it is flat."""
        agent, client = self._on_account(asked.agent_id, also_watched=True)
        if asked.reverse and agent.paper:
            raise Refused(f"{agent.name} trades on paper: its real position can only be closed")
        async with self._one_at_a_time(agent, move):
            await self._ledger.refresh()
            share = self._executor.share(agent, asked.symbol)
            parts = self._parts(asked, share)
            if not parts:
                raise Refused(no_part(agent.name, asked, share))
            side: Side = "SELL" if share > 0 else "BUY"
            sent: list[Sent] = []
            for number, quantity in enumerate(parts):
                move(f"closing {plain(quantity)} {asked.symbol}", number, len(parts))
                ticket = Ticket(asked.symbol, side, "market", quantity=quantity, reduce_only=True)
                request = await self._request(agent, client, ticket, quantity, "close")
                sent.append(await self._send(agent, client, request, "close", None))
                if not sent[-1].placed:
                    break
            closed = await self._reduced(asked, agent, client, share, sent)
        return closed if closed is not None else await self._reversed(asked, agent, client, sent, move)

    async def leverage(self, asked: SetLeverage, move: Move) -> Answer:
        """Set a symbol's leverage, within the cap."""
        agent, client = self._on_account(asked.agent_id)
        cap = self._executor.limits.max_leverage
        if not 1 <= asked.leverage <= cap:
            raise Refused(f"leverage {asked.leverage} is not between 1 and the cap of {cap}")
        if asked.symbol not in self._core.state.rules:
            raise Refused(f"{asked.symbol} is not traded here")
        try:
            known = await client.set_leverage(asked.symbol, asked.leverage)
        except AsterError as error:
            return failed(error, agent=agent.name)
        self._executor.forget_leverage(agent.user_address or "", asked.symbol)
        words = f"{agent.name}: leverage {known} in {asked.symbol}"
        return answer("done", words, agent=agent.name, symbol=asked.symbol, leverage=known)

    def share(self, agent: AgentDocument, symbol: str) -> Decimal:
        """What an agent holds in a symbol, signed, base asset."""
        return self._executor.share(agent, symbol)

    # Parts

    def _on_account(self, agent_id: str, *, also_watched: bool = False) -> tuple[AgentDocument, Trader]:
        agent = self._core.state.agents.get(agent_id)
        if agent is None:
            raise Refused("no such agent is known")
        if agent.paper and not (also_watched and agent.keeps_positions):
            raise Refused(
                f"{agent.name} trades on paper: flip it to real first, or queue a decision (aster-tui decide)"
            )
        client = self._client_of(agent.user_address) if agent.user_address else None
        if client is None:
            raise Refused(f"{agent.name} has no usable key or account: see the errors")
        return agent, client

    @asynccontextmanager
    async def _one_at_a_time(self, agent: AgentDocument, move: Move) -> AsyncIterator[None]:
        """What reduces an account follows one another, and waits for nothing that adds risk there."""
        async with self._locks.setdefault(account_key(agent.user_address or ""), asyncio.Lock()):
            await self._settled(agent, move)
            yield

    @asynccontextmanager
    async def _in_turn(self, agent: AgentDocument, move: Move, *, adds: bool) -> AsyncIterator[Turn | None]:
        """What adds risk waits for what agents, the operator and other processes open on its account."""
        if not adds:
            async with self._one_at_a_time(agent, move):
                yield None
            return
        await self._settled(agent, move)
        move("waiting for the account's turn")
        try:
            async with self._executor.turns.of(agent.user_address or "") as turn:
                await self._settled(agent, move)
                yield turn
        except StillUnderWay as error:
            raise Refused(f"{agent.name}: {error}", remedy=error.remedy) from None

    async def _settled(self, agent: AgentDocument, move: Move) -> None:
        """Nothing new is sent while it is not known what became of what went before."""
        move("finding out what became of earlier orders")
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._recovery.settled(agent.user_address or "")
        except TimeoutError:
            raise Refused(
                f"it is not known yet what became of an earlier order of {agent.name}: nothing new was sent"
            ) from None

    async def _examined(
        self,
        agent: AgentDocument,
        client: Trader,
        ticket: Ticket,
        *,
        changing: bool = False,
        without: str = "",
    ) -> tuple[Examined, int]:
        await self._ledger.refresh()
        situation = self._executor.situation(agent, ticket.symbol, without=without)
        if changing:
            # A change of an order, or the second half of a reversal, is no duplicate of the first.
            situation = replace(situation, recent=tuple((at, s, "") for at, s, _ in situation.recent))
        leverage = 1
        if not ticket.reduce_only and ticket.symbol in self._core.state.rules:
            try:
                leverage = await client.leverage(ticket.symbol)
            except AsterError as error:
                raise Refused(f"the leverage of {ticket.symbol} is not known: {error}") from None
        rules = self._core.state.rules.get(ticket.symbol)
        facts = Facts(rules, situation, self._executor.limits, max(1, leverage))
        return examine(ticket, facts), leverage

    async def _request(
        self, agent: AgentDocument, client: Trader, ticket: Ticket, quantity: Decimal, purpose: Purpose
    ) -> OrderRequest:
        try:
            side = await self._executor.position_side(client, ticket.side, reduces=ticket.reduce_only)
        except AsterError as error:
            raise Refused(f"the position mode of {agent.name} is not known: {error}") from None
        waits = ticket.order_type != "market" and ticket.order_type != "limit"
        return OrderRequest(
            ticket.symbol,
            ticket.side,
            ticket.wire_type,
            client_order_id(agent.agent_id, purpose, 0, secrets.token_hex(12)),
            quantity=quantity,
            price=ticket.price,
            stop_price=ticket.stop_price,
            time_in_force=ticket.time_in_force or None,
            reduce_only=ticket.reduce_only and side == "BOTH",
            position_side=side,
            working_type=self._working_type if waits else None,
            callback_rate=ticket.callback_rate,
            activation_price=ticket.activation_price,
        )

    async def _tested(self, client: Trader, request: OrderRequest, shown: dict[str, Any]) -> Answer:
        try:
            await client.test_order(request)
        except InvalidOrder as error:
            raise Refused(str(error), **shown) from None
        except AsterError as error:
            return failed(error, **shown)
        words = (
            f"the exchange would take it: {request.side} {plain(request.quantity or ZERO)} {request.symbol}"
        )
        return answer("done", f"{words}; nothing was placed", **shown)

    async def _send(
        self,
        agent: AgentDocument,
        client: Trader,
        request: OrderRequest,
        purpose: Purpose,
        turn: Turn | None,
    ) -> Sent:
        """Place an order; one that adds risk in its account's turn, one that reduces without."""
        whose = OrderFor(
            account=agent.user_address or "",
            agent_id=agent.agent_id,
            agent=agent.name,
            purpose=purpose,
            mark_price=self._core.state.marks.get(request.symbol),
        )
        sent_at = now_ms()
        try:
            permit = None if turn is None else lambda: self._permit_risk(agent, turn)
            sent = await self._desk.place(client, request, whose, permit)
        except InvalidOrder as error:
            raise Refused(str(error)) from None
        except StoreError as error:
            raise Refused(str(error), remedy=error.remedy) from None
        finally:
            await self._ledger.refresh()
        self._executor.learn(client, sent.error)
        if sent.placed and turn is not None:
            await self._shown(agent, client, sent.record, sent_at)
        return sent

    def _permit_risk(self, agent: AgentDocument, turn: Turn) -> None:
        """Raises Forbidden unless what adds risk may leave now: a halt that comes after the safeguards were
        asked stops it all the same, and so does a turn that was lost."""
        turn.permit()
        self._executor.permit_risk(agent)

    async def _shown(self, agent: AgentDocument, client: Trader, record: OrderRecord, sent_at: int) -> None:
        """Until the account shows an order: whoever wants more is judged by it."""
        moved = self._executor.positions_told(record.symbol, sent_at)
        rests = record.state == "open"

        def seen(account: AccountState) -> bool:
            there = not rests or record.order_id in account.orders
            return there and (not record.executed or moved(account))

        await self._executor.shown(agent, client, seen, orders=rests)

    async def _to_cancel(self, agent: AgentDocument, client: Trader, asked: CancelOrders) -> list[Order]:
        try:
            found = await client.open_orders(asked.symbol or None)
        except AsterError as error:
            raise Refused(f"the open orders of {agent.name} cannot be read: {error}") from None
        if asked.order:
            return [o for o in found if asked.order in (o.client_order_id, str(o.order_id))]
        if len(self._core.state.agents_of(agent.user_address or "")) < 2:
            return list(found)
        tag = agent_tag(agent.agent_id)  # on a shared account only its own
        return [o for o in found if (c := parse_client_id(o.client_order_id)) and c.tag == tag]

    async def _cancelled(self, client: Trader, order: Order) -> dict[str, Any]:
        row: dict[str, Any] = {
            "symbol": order.symbol,
            "order_id": order.order_id,
            "client_order_id": order.client_order_id,
            "state": "done",
            "status": "CANCELED",
            "message": "",
        }
        try:
            after = await client.cancel_order(order.symbol, order_id=order.order_id)
        except OutcomeUnknown as error:
            return row | await self._looked_at(client, order, error)
        except AnswerError as error:
            if error.number == GONE:
                return row | await self._looked_at(client, order, error)
            return row | {"state": "failed", "status": order.status, "message": str(error)}
        except AsterError as error:
            state = "unreachable" if isinstance(error, Unreachable) else "failed"
            return row | {"state": state, "status": order.status, "message": str(error)}
        await self._desk.told(after)
        return row | {"status": after.status}

    async def _looked_at(self, client: Trader, order: Order, error: AsterError) -> dict[str, Any]:
        """What became of an order whose cancelling was not answered, or came too late."""
        try:
            now = await client.order(order.symbol, order_id=order.order_id)
        except AsterError as second:
            return {"state": "unknown", "status": "UNKNOWN", "message": f"{error}; and asking: {second}"}
        await self._desk.told(now)
        if now.final:
            words = "" if now.status == "CANCELED" else f"it was {now.status} already"
            return {"state": "done", "status": now.status, "message": words}
        return {"state": "failed", "status": now.status, "message": f"{error}: it is still open"}

    async def _known(self, agent: AgentDocument, client: Trader, symbol: str, order: str) -> Order | None:
        try:
            found = await client.open_orders(symbol)
        except AsterError as error:
            raise Refused(f"the open orders of {agent.name} cannot be read: {error}") from None
        return next((o for o in found if order in (o.client_order_id, str(o.order_id))), None)

    async def _modified(
        self,
        agent: AgentDocument,
        client: Trader,
        request: OrderRequest,
        shown: dict[str, Any],
        turn: Turn | None,
    ) -> Answer:
        try:
            if turn is not None:
                self._permit_risk(agent, turn)
            after = await client.modify_order(request)
        except InvalidOrder as error:
            raise Refused(str(error), **shown) from None
        except OutcomeUnknown as error:
            try:
                after = await client.order(request.symbol, client_order_id=request.client_order_id)
            except AsterError:
                words = f"{error}; order {request.client_order_id} may be changed or not"
                return answer("unknown", words, order=request.client_order_id, **shown)
            if (after.quantity, after.price) != (request.quantity, request.price):
                return answer(
                    "failed", f"{error}; the order was not changed", received=order_row(after), **shown
                )
        except AsterError as error:
            return failed(error, **shown)
        await self._desk.told(after)

        def seen(account: AccountState) -> bool:
            known = account.orders.get(after.order_id)
            return known is not None and (known.quantity, known.price) == (after.quantity, after.price)

        if not after.final:  # whoever wants more is judged by it
            await self._executor.shown(agent, client, seen, orders=True)
        words = f"changed to {plain(after.quantity)} at {plain(after.price)} ({after.status})"
        return answer("done", words, received=order_row(after), **shown)

    def _parts(self, asked: ReducePosition, share: Decimal) -> tuple[Decimal, ...]:
        rules = self._core.state.rules.get(asked.symbol)
        if rules is None or not share or not 0 < asked.part <= 1:
            return ()
        step = rules.market_step_size or rules.step_size
        return split_quantity(round_down(abs(share) * asked.part, step), rules)

    async def _reduced(
        self,
        asked: ReducePosition,
        agent: AgentDocument,
        client: Trader,
        share: Decimal,
        sent: list[Sent],
    ) -> Answer | None:
        """The answer to a close; None when the other side is to be opened now."""
        executed = sum((s.record.executed for s in sent), ZERO)
        shown: dict[str, Any] = {"agent": agent.name, "orders": [record_row(s.record) for s in sent]}
        last = sent[-1]
        if not last.placed:
            state = state_of(last)
            words = f"{agent.name}: {plain(executed)} {asked.symbol} closed, then: {last.error or last.word}"
            return answer(state, words, **shown)
        if asked.part == 1 and executed < abs(share):
            left = plain(abs(share) - executed)
            return answer("failed", f"{agent.name}: {left} {asked.symbol} were not closed", **shown)
        if asked.part == 1:
            await self._executor.cancel_orphans(agent, client, asked.symbol)
        if asked.reverse:
            return None
        return answer("done", f"{agent.name}: {plain(executed)} {asked.symbol} closed", **shown)

    async def _reversed(
        self, asked: ReducePosition, agent: AgentDocument, client: Trader, sent: list[Sent], move: Move
    ) -> Answer:
        executed = sum((s.record.executed for s in sent), ZERO)
        shown: dict[str, Any] = {"agent": agent.name, "orders": [record_row(s.record) for s in sent]}
        move(f"opening the other side in {asked.symbol}")
        ticket = Ticket(asked.symbol, sent[0].record.side, "market", quantity=executed)
        try:
            async with self._executor.turns.of(agent.user_address or "") as turn:
                examined, _ = await self._examined(agent, client, ticket, changing=True)
                if not examined.ok:
                    reasons = "; ".join(examined.reasons)
                    words = f"{agent.name}: closed, and the other side was refused: {reasons}"
                    return answer("failed", words, **shown)
                request = await self._request(agent, client, ticket, executed, "operator")
                opened = await self._send(agent, client, request, "operator", turn)
        except StillUnderWay as error:
            words = f"{agent.name}: closed, and the other side was not opened: {error}"
            return answer("failed", words, remedy=error.remedy, **shown)
        shown["orders"].append(record_row(opened.record))
        if not opened.placed:
            words = f"{agent.name}: closed, and the other side: {opened.error or opened.word}"
            return answer(state_of(opened), words, **shown)
        words = f"{agent.name}: {asked.symbol} reversed with {plain(opened.record.executed)}, without a stop"
        return answer("done", words, **shown)

"""Stops and targets that have lost their purpose: found and cancelled."""

from __future__ import annotations

from aster_tui.aster.errors import AnswerError, AsterError
from aster_tui.aster.trader import Trader
from aster_tui.domain.client_ids import is_of_agent, parse_client_id
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.trading import account_key
from aster_tui.engine.core import Core
from aster_tui.engine.trade.desk import OrderDesk
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.store.base import StoreError

GONE = -2011


class Protection:
    """Cancels orphans."""

    def __init__(self, core: Core, desk: OrderDesk, ledger: Ledger) -> None:
        self._core, self._desk, self._ledger = core, desk, ledger

    def waiting(self, agent: AgentDocument, symbol: str, before: int | None = None) -> dict[str, str]:
        """An agent's stops and targets that wait in a symbol: purpose by client order id.

        Args:
            before: only those placed before this time (Unix ms of this machine).
        """
        names: dict[str, str] = {
            r.client_order_id: r.purpose
            for r in self._ledger.open_protection(agent.agent_id, symbol)
            if before is None or r.intent_at < before
        }
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        offset = self._core.state.clock_offset_ms or 0
        # Those that another machine placed need not be in this journal; their ids say whose they are.
        for order in account.orders.values() if account is not None else ():
            name = order.client_order_id
            found = parse_client_id(name)
            mine = found is not None and is_of_agent(name, agent.agent_id)
            if before is not None and order.updated_at >= before + offset:
                continue
            if order.symbol == symbol and mine and found and found.purpose in ("stop", "target"):
                names.setdefault(name, found.purpose)
        return names

    def symbols(self, agent: AgentDocument) -> set[str]:
        """Symbols in which an agent may have stops or targets that wait."""
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        orders = account.orders.values() if account is not None else ()
        there = {o.symbol for o in orders if is_of_agent(o.client_order_id, agent.agent_id)}
        return there | {r.symbol for r in self._ledger.of_agent(agent.agent_id) if r.state == "open"}

    async def cancel_orphans(
        self, agent: AgentDocument, client: Trader, symbol: str, before: int | None = None
    ) -> None:
        """Cancel an agent's stops and targets in a symbol: their position is gone."""
        await self._ledger.refresh()
        for name, purpose in self.waiting(agent, symbol, before).items():
            await self.cancel(agent, client, symbol, name, purpose)

    async def cancel(
        self, agent: AgentDocument, client: Trader, symbol: str, client_order_id: str, purpose: str
    ) -> None:
        """Cancel an order of an agent; one that cannot be cancelled is said."""
        try:
            order = await client.cancel_order(symbol, client_order_id=client_order_id)
        except AnswerError as error:
            if error.number != GONE:  # gone already is what was wanted
                self._orphaned(agent, symbol, client_order_id, purpose, error)
                return
            try:
                order = await client.order(symbol, client_order_id=client_order_id)
            except AsterError:
                return  # the reconciliation asks again
        except AsterError as error:
            self._orphaned(agent, symbol, client_order_id, purpose, error)
            return
        try:
            await self._desk.told(order)
        except StoreError as error:
            self._core.problem("journal", str(error), remedy=error.remedy)

    def _orphaned(
        self, agent: AgentDocument, symbol: str, client_order_id: str, purpose: str, error: AsterError
    ) -> None:
        self._core.problem(
            "worker",
            f"{agent.name}: the {purpose} {client_order_id} of {symbol} is left over and could not be"
            f" cancelled: {error}",
            agent=agent.name,
            code=error.code,
            remedy="it can only reduce; it is tried again, cancel it by hand if it stays",
        )

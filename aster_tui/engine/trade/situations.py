"""What an order of an agent is judged by: its account as it stands, with what is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from aster_tui.aster.trader import Trader
from aster_tui.domain.client_ids import is_of_agent
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.safeguards import Situation
from aster_tui.domain.shares import parts
from aster_tui.domain.trading import ZERO, Order, account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.halts import Halt
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.engine.trade.permissions import Permissions

#: How long an order of unknown outcome may still come to something: longer than a nonce is good.
UNDER_WAY_MS = 15_000
#: Leverage by (account, symbol).
Leverages = Mapping[tuple[str, str], int]


class Situations:
    """Puts together what the safeguards want to know.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
        halted: whether and how far an agent is stopped.
    """

    def __init__(
        self,
        core: Core,
        ledger: Ledger,
        client_of: Callable[[str], Trader | None],
        halted: Callable[[AgentDocument], Halt],
        permissions: Permissions,
    ) -> None:
        self._core, self._ledger, self._client_of = core, ledger, client_of
        self._halted, self._permissions = halted, permissions

    def share(self, agent: AgentDocument, symbol: str) -> Decimal:
        """What an agent holds in a symbol, signed, base asset: on an account of its own what the exchange
        says; on a shared one its part, and never more than there is."""
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        if account is None:
            return ZERO
        there = sum((p.quantity for k, p in account.positions.items() if k[0] == symbol), ZERO)
        agents = self._core.state.agents_of(agent.user_address or "")
        if len(agents) < 2:
            return there
        known = self._ledger.shares()
        held = [share for a in agents if (share := known.get((a.agent_id, symbol))) is not None]
        return parts(held, there).get(agent.agent_id, ZERO)

    def of(self, agent: AgentDocument, symbol: str, leverages: Leverages, *, without: str = "") -> Situation:
        """What an order of an agent in a symbol is judged by. The ledger must be fresh.

        Args:
            leverages: those that are known.
            without: the client order id of an order that is about to be changed.
        """
        state = self._core.state
        account = state.accounts.get(account_key(agent.user_address or ""))
        offset = state.clock_offset_ms or 0
        now, halt = now_ms(), self._halted(agent)
        permission = self._permissions.of(agent.user_address or "")
        usable = bool(agent.user_address) and self._client_of(agent.user_address or "") is not None
        return Situation(
            now=now + offset,
            balance=account.wallet if account else None,
            balance_at=max(account.told_at, account.wallet_at) if account else 0,
            available=self._available(agent, offset, leverages),
            mark=state.marks.get(symbol),
            mark_at=state.marks_at.get(symbol, 0),
            held=self._held(agent, without),
            on_account=self._on_account(agent, without),
            lost_today=self._ledger.lost_today(agent.agent_id, now),
            recent=tuple((at + offset, s, d) for at, s, d in self._ledger.recent(agent.agent_id, now)),
            halted=halt.words,
            reducing=halt.reducing,
            forbidden=permission.nothing if usable else keyless(agent),
            only_reduces=permission.opening,
        )

    def _held(self, agent: AgentDocument, without: str) -> dict[str, Decimal]:
        """Worth of what an agent holds by symbol, USDT, with what its resting orders may add."""
        state = self._core.state
        account = state.accounts.get(account_key(agent.user_address or ""))
        if account is None:
            return {}
        found: dict[str, Decimal] = {}
        for symbol in {key[0] for key in account.positions}:
            found[symbol] = abs(self.share(agent, symbol)) * state.marks.get(symbol, ZERO)
        shared = len(state.agents_of(agent.user_address or "")) > 1
        for order in account.orders.values():
            if order.client_order_id == without or not _adds(order):
                continue
            if shared and not is_of_agent(order.client_order_id, agent.agent_id):
                continue
            found[order.symbol] = found.get(order.symbol, ZERO) + self._worth(order)
        return {symbol: worth for symbol, worth in found.items() if worth}

    def _on_account(self, agent: AgentDocument, without: str) -> Decimal:
        """Worth of all that the agent's account holds, whoever opened it, with what resting orders may add,
        and what a process of this machine that was stopped left under way: the balance that covers it is
        one."""
        state = self._core.state
        account = state.accounts.get(account_key(agent.user_address or ""))
        if account is None:
            return ZERO
        positions = (p.notional(state.marks.get(p.symbol, p.mark_price)) for p in account.positions.values())
        orders = (
            self._worth(o) for o in account.orders.values() if _adds(o) and o.client_order_id != without
        )
        under_way = self._ledger.under_way(agent.user_address or "", now_ms() - UNDER_WAY_MS)
        unknown = (
            (r.quantity or ZERO) * (r.price or r.mark_price or state.marks.get(r.symbol, ZERO))
            for r in under_way
        )
        return sum(positions, ZERO) + sum(orders, ZERO) + sum(unknown, ZERO)

    def _worth(self, order: Order) -> Decimal:
        """What a resting order may still add, USDT."""
        price = order.price or order.stop_price or self._core.state.marks.get(order.symbol, ZERO)
        return (order.quantity - order.executed) * price

    def _available(self, agent: AgentDocument, offset: int, leverages: Leverages) -> Decimal | None:
        """Free margin: what the exchange said last, without what was bought since. It is never pushed."""
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        if account is None or account.available is None:
            return None
        key, spent = account_key(agent.user_address or ""), ZERO
        for record in self._ledger.bought_since(agent.user_address or "", account.told_at - offset):
            leverage = max(1, leverages.get((key, record.symbol), 1))
            spent += record.executed * record.average_price / leverage
        return account.available - spent


def keyless(agent: AgentDocument) -> str:
    """Why nothing can be sent for an agent without a client."""
    return f"{agent.name} has no usable key or account"


def _adds(order: Order) -> bool:
    """Whether a resting order can make a position larger. In hedge mode its side and position side say so."""
    if order.reduces:
        return False
    closes = {("SELL", "LONG"), ("BUY", "SHORT")}
    return (order.side, order.position_side) not in closes

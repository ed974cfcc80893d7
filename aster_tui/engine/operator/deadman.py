"""The dead-man timer as an operator's request; its timers are shown in the header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aster_tui.aster.errors import AsterError
from aster_tui.aster.trader import Trader
from aster_tui.domain.commands import SetDeadMan
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import DeadManChanged
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import Order
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.operator.operator import Answer, Move, Refused, answer
from aster_tui.engine.operator.timers import Armed, DeadMan, NotArmed


class DeadManTask:
    """Arms and disarms the timers of agents' accounts."""

    def __init__(self, core: Core, client_of: Callable[[str], Trader | None]) -> None:
        self._core, self._client_of = core, client_of
        self.timers = DeadMan(client_of, self._changed, self._problem)

    async def set(self, asked: SetDeadMan, move: Move) -> Answer:
        """Arm, or with 0 seconds disarm."""
        agents = self._agents(asked)
        rows = []
        for number, agent in enumerate(agents):
            move(f"{agent.name}: dead-man timer", number, len(agents))
            account = agent.user_address or ""
            if asked.seconds:
                rows.append(await self._arm(agent, account, asked))
            else:
                failed = await self.timers.disarm(account, map(symbol_of, asked.symbols))
                rows.append({"agent": agent.name, "symbols": [], "failed": dict(failed)})
        bad = [f"{row['agent']} {s}: {why}" for row in rows for s, why in row["failed"].items()]
        if bad:
            return answer("failed", "; ".join(bad), agents=rows)
        return answer("done", _message(asked, rows), agents=rows)

    async def _arm(self, agent: AgentDocument, account: str, asked: SetDeadMan) -> dict[str, Any]:
        symbols = [*map(symbol_of, asked.symbols)] or await self._in_use(account)
        try:
            armed = await self.timers.arm(account, symbols, asked.seconds)
        except NotArmed as why:
            raise Refused(f"{agent.name}: {why}") from None
        return _row(agent, armed)

    async def _in_use(self, account: str) -> list[str]:
        """The symbols with a position or an open order."""
        client = self._client_of(account)
        if client is None:
            return []
        try:
            held, resting = await client.positions(), await client.open_orders()
        except AsterError as error:
            raise Refused(f"the account cannot be read: {error.message}") from None
        return sorted({p.symbol for p in held} | {o.symbol for o in resting})

    def _agents(self, asked: SetDeadMan) -> list[AgentDocument]:
        known = self._core.state.agents
        found = [known[key] for key in asked.agent_ids if key in known]
        without = [agent.name for agent in found if not agent.on_account]
        if without or not found:
            raise Refused(f"{', '.join(without) or 'no such agent'}: there is no real account to hold it for")
        return found

    def _changed(self) -> None:
        timers = {key: timer.seconds for key, timer in self.timers.state.items()}
        self._core.emit(DeadManChanged(now_ms(), timers, self.timers.ending, self.timers.lost))

    def _problem(self, account: str, words: str) -> None:
        agents = self._core.state.agents_of(account) if account else []
        self._core.problem("dead-man", words, agent=agents[0].name if agents else None)


def _row(agent: AgentDocument, armed: Armed) -> dict[str, Any]:
    return {
        "agent": agent.name,
        "symbols": list(armed.symbols),
        "failed": dict(armed.failed),
        "would_cancel_protective": [_order(order) for order in armed.protective],
        "would_cancel": [_order(order) for order in armed.others],
    }


def _order(order: Order) -> dict[str, str]:
    return {
        "symbol": order.symbol,
        "side": order.side,
        "type": order.order_type,
        "client_order_id": order.client_order_id,
    }


def _message(asked: SetDeadMan, rows: list[dict[str, Any]]) -> str:
    names = ", ".join(row["agent"] for row in rows)
    if not asked.seconds:
        return f"dead-man timer of {names} is off"
    protective = [f"{o['symbol']} {o['type']}" for row in rows for o in row["would_cancel_protective"]]
    symbols = ", ".join(s for row in rows for s in row["symbols"])
    words = f"dead-man timer of {names}: {asked.seconds} s, {symbols}"
    if protective:
        words += f"; running down it would cancel what protects positions, too: {', '.join(protective)}"
    return words

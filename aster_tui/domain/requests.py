"""What an operator's request is called on the screen and in the audit. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aster_tui.domain.commands import (
    Asked,
    CancelOrders,
    CloseAll,
    HoldDrill,
    ModifyOrder,
    PlaceOrder,
    Preflight,
    ReducePosition,
    SetDeadMan,
    SetLeverage,
    SetLock,
    SetMode,
    SetTrading,
    SyncAgents,
)
from aster_tui.domain.symbols import plain
from aster_tui.domain.ticket import Ticket


def title_of(asked: Asked, names: Mapping[str, str]) -> str:
    """One line: what is asked for, for whom. ``names`` are agents' by id."""

    def who(ids: tuple[str, ...], all_of: str = "all agents") -> str:
        return ", ".join(names.get(key, key) for key in ids) if ids else all_of

    if isinstance(asked, SyncAgents):
        return f"sync {who(asked.agent_ids, 'all real agents')}"
    if isinstance(asked, Preflight):
        return f"preflight of {who(asked.agent_ids)}"
    if isinstance(asked, SetMode):
        mode = "paper" if asked.paper else "REAL"
        return f"{who(asked.agent_ids)} to {mode}{', closing positions' if asked.close_positions else ''}"
    if isinstance(asked, PlaceOrder):
        ticket = asked.ticket
        size = _size(ticket)
        price = f" at {plain(ticket.price)}" if ticket.price is not None else ""
        stop = f" from {plain(ticket.stop_price)}" if ticket.stop_price is not None else ""
        only = ", reduce-only" if ticket.reduce_only else ""
        test = "TEST " if asked.test else ""
        what = f"{ticket.side} {size} {ticket.symbol} {ticket.order_type}{price}{stop}{only}"
        return f"{test}{who((asked.agent_id,))}: {what}"
    if isinstance(asked, CancelOrders):
        what = f"order {asked.order}" if asked.order else "all orders"
        return f"{who((asked.agent_id,))}: cancel {what}{' in ' + asked.symbol if asked.symbol else ''}"
    if isinstance(asked, ModifyOrder):
        what = f"{plain(asked.quantity)} at {plain(asked.price)}"
        return f"{who((asked.agent_id,))}: change {asked.symbol} order {asked.order} to {what}"
    if isinstance(asked, ReducePosition):
        part = "close" if asked.part == 1 else f"reduce by {plain(asked.part * 100)} %"
        return f"{who((asked.agent_id,))}: {'reverse' if asked.reverse else part} {asked.symbol}"
    if isinstance(asked, SetLeverage):
        return f"{who((asked.agent_id,))}: leverage {asked.leverage} in {asked.symbol}"
    if isinstance(asked, SetTrading):
        word = {"HALTED": "halt", "REDUCING": "only reduce", "ACTIVE": "resume"}[asked.state]
        return f"{word} {who(asked.agent_ids, 'the fleet')}{': ' + asked.reason if asked.reason else ''}"
    if isinstance(asked, CloseAll):
        symbols = f" in {', '.join(asked.symbols)}" if asked.symbols else ""
        return f"CLOSE ALL of {who(asked.agent_ids, 'every account')}{symbols}"
    if isinstance(asked, SetDeadMan):
        where = f"{who(asked.agent_ids)}, {', '.join(asked.symbols) or 'every symbol in use'}"
        return f"dead-man timer {f'{asked.seconds} s' if asked.seconds else 'off'}: {where}"
    if isinstance(asked, HoldDrill):
        return f"drill of a close-all: {asked.incident}"
    if isinstance(asked, SetLock):
        return "lock this console to read-only" if asked.locked else "unlock this console"
    return type(asked).__name__


def _size(ticket: Ticket) -> str:
    """How much of the symbol, as it stands between the side and its name."""
    if ticket.quantity is not None:
        return plain(ticket.quantity)
    return f"{plain(ticket.size_usd)} USD of" if ticket.size_usd is not None else "no size of"

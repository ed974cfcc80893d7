"""Commands: what a person asks of the engine. They go down; events come back up. Pure.

A person's command travels in a :class:`Request`, whose id names it in every event that tells of it. Each has
the words of the command line that would do the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from aster_tui.domain.symbols import plain

if TYPE_CHECKING:  # only named here; the ticket's rules are not needed for the first frame
    from aster_tui.domain.ticket import Ticket
    from aster_tui.domain.views import TradingState


@dataclass(frozen=True, slots=True)
class SyncAgents:
    """Read positions, balances and open orders of these agents at the exchange into MongoDB.

    No ids means every real agent.
    """

    agent_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preflight:
    """Check all that trading for real needs, and place nothing. No ids means every agent."""

    agent_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetMode:
    """Flip agents to real, after the preflight, or to paper.

    ``close_positions`` says what becomes of real positions when an agent goes to paper: closed, or kept and
    watched.
    """

    agent_ids: tuple[str, ...]
    paper: bool
    close_positions: bool = False


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Place an order, or with ``test`` only have the exchange validate it."""

    agent_id: str
    ticket: Ticket
    test: bool = False


@dataclass(frozen=True, slots=True)
class CancelOrders:
    """Cancel orders of an agent's account: one by either id, or all of a symbol, or (no symbol) all."""

    agent_id: str
    symbol: str = ""
    order: str = ""


@dataclass(frozen=True, slots=True)
class ModifyOrder:
    """Change price and quantity of a resting limit order."""

    agent_id: str
    symbol: str
    order: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class ReducePosition:
    """Close a part of a position at market, reduce-only; ``reverse`` then opens the other side."""

    agent_id: str
    symbol: str
    part: Decimal = Decimal(1)
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class SetLeverage:
    """Set a symbol's leverage on an agent's account."""

    agent_id: str
    symbol: str
    leverage: int


@dataclass(frozen=True, slots=True)
class SetTrading:
    """Halt, allow only reducing, or resume, with a reason. No ids means the fleet."""

    state: TradingState
    reason: str = ""
    agent_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseAll:
    """Flatten and prove it. No ids means every account, no symbols every symbol."""

    agent_ids: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class SetDeadMan:
    """Arm the venue's dead-man timer of agents' accounts (0 seconds disarms it)."""

    agent_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class HoldDrill:
    """Rehearse a close-all on a practice exchange of its own; nothing real is touched."""

    incident: str = "none"


@dataclass(frozen=True, slots=True)
class SetLock:
    """Lock this console to read-only, or unlock it."""

    locked: bool


Asked = (
    SyncAgents
    | Preflight
    | SetMode
    | PlaceOrder
    | CancelOrders
    | ModifyOrder
    | ReducePosition
    | SetLeverage
    | SetTrading
    | CloseAll
    | SetDeadMan
    | HoldDrill
    | SetLock
)


@dataclass(frozen=True, slots=True)
class Request:
    """A person's command; ``request_id`` is unique, ``source`` the console or command it came from."""

    request_id: str
    asked: Asked
    source: str = "console"


@dataclass(frozen=True, slots=True)
class Presence:
    """What this console tells the others of itself."""

    armed: bool = False
    watching: str = ""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Stop what a request is still doing, where it can be stopped."""

    request_id: str


Command = SyncAgents | Request | CancelRequest | Presence

#: Commands that can add risk: they need arming, and nothing may be in doubt about who asked.
RISKY = (PlaceOrder, ModifyOrder, SetLeverage, SetMode)
#: Commands that change nothing anywhere.
HARMLESS = (Preflight, SetLock)


def adds_risk(asked: Asked) -> bool:
    """Whether a command can make an account's risk larger."""
    if isinstance(asked, PlaceOrder):
        return not asked.test and not asked.ticket.reduce_only
    if isinstance(asked, SetMode):
        return not asked.paper
    if isinstance(asked, ReducePosition):
        return asked.reverse
    if isinstance(asked, SetTrading):
        return asked.state == "ACTIVE"
    return isinstance(asked, ModifyOrder | SetLeverage)


def command_line(asked: Asked, names: Mapping[str, str]) -> str:
    """The command line that does the same; empty where there is none. ``names`` are agents' by id."""

    def agents(ids: tuple[str, ...]) -> list[str]:
        return [word for key in ids for word in ("--agent", names.get(key, key))]

    words: list[str] = []
    if isinstance(asked, SyncAgents):
        words = ["sync", *agents(asked.agent_ids)]
    elif isinstance(asked, Preflight):
        words = ["doctor", *agents(asked.agent_ids)]
    elif isinstance(asked, SetMode):
        mode = "paper" if asked.paper else "real"
        close = ["--close-positions"] if asked.close_positions else []
        lines = [
            shlex.join(["aster-tui", "mode", names.get(key, key), mode, *close]) for key in asked.agent_ids
        ]
        return " && ".join(lines)
    elif isinstance(asked, PlaceOrder):
        words = [
            "order",
            *agents((asked.agent_id,)),
            *asked.ticket.words(),
            *(["--test"] if asked.test else []),
        ]
    elif isinstance(asked, CancelOrders):
        which = ["--order", asked.order] if asked.order else [] if asked.symbol else ["--all"]
        symbol = ["--symbol", asked.symbol] if asked.symbol else []
        words = ["cancel", *agents((asked.agent_id,)), *symbol, *which]
    elif isinstance(asked, ModifyOrder):
        words = ["modify", *agents((asked.agent_id,)), "--symbol", asked.symbol, "--order", asked.order]
        words += ["--quantity", plain(asked.quantity), "--price", plain(asked.price)]
    elif isinstance(asked, ReducePosition):
        words = ["reduce", *agents((asked.agent_id,)), "--symbol", asked.symbol, "--part", plain(asked.part)]
        words += ["--reverse"] if asked.reverse else []
    elif isinstance(asked, SetLeverage):
        words = ["leverage", *agents((asked.agent_id,)), "--symbol", asked.symbol, str(asked.leverage)]
    elif isinstance(asked, SetTrading):
        word = {"HALTED": "halt", "REDUCING": "halt --reducing", "ACTIVE": "resume"}[asked.state]
        reason = ["--reason", asked.reason] if asked.reason else []
        words = [*word.split(), *agents(asked.agent_ids), *reason]
    elif isinstance(asked, CloseAll):
        symbols = [word for symbol in asked.symbols for word in ("--symbol", symbol)]
        words = ["close-all", *agents(asked.agent_ids), *symbols]
    elif isinstance(asked, HoldDrill):
        words = ["drill", "--incident", asked.incident]
    elif isinstance(asked, SetDeadMan):
        return ""  # held by a running engine: a command that ends could not renew it
    return shlex.join(["aster-tui", *words]) if words else ""

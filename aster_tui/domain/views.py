"""What the console and ``status`` show: immutable views of the fleet at one moment.

Decimals are exact, times Unix milliseconds. A view is equal to another when it would look the same,
so a pane repaints only rows whose view changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from aster_tui.domain.controls import TradingState as TradingState

if TYPE_CHECKING:  # the first frame shows none of these, and making their classes takes 60 ms
    from aster_tui.domain.audit import AuditLine
    from aster_tui.domain.metrics import Metrics
    from aster_tui.domain.reality import Reality
    from aster_tui.domain.safeguards import Limits
    from aster_tui.domain.symbols import SymbolRules

#: Sources of errors that an operator must not miss: positions, orders, the feeds they are seen by, and the
#: disk without which nothing is sent.
ALARMS = frozenset(
    {
        *("naked", "decision", "safeguard", "halt", "dead-man", "worker", "drift", "journal"),
        *("exchange", "stream", "marks", "mongo"),
    }
)

#: ``failed``: it was tried and did not work; ``refused``: it was not tried; ``unknown``: something may be
#: live; ``unreachable``: the exchange or the database did not answer.
RequestState = Literal["running", "done", "failed", "refused", "unknown", "unreachable"]
FeedState = Literal["live", "stale", "down", "off"]
Mode = Literal["real", "paper"]
SyncState = Literal["in-sync", "drift", "stale", "never"]


@dataclass(frozen=True, slots=True)
class PositionView:
    """One open position. ``unrealized_pnl`` is None while no mark price is known."""

    key: str
    agent_id: str
    agent: str
    mode: Mode
    symbol: str
    side: Literal["long", "short"]
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal | None
    unrealized_pnl: Decimal | None
    notional: Decimal | None
    leverage: int
    stop_loss: Decimal | None
    take_profit: Decimal | None
    liquidation_price: Decimal | None
    opened_at: int
    stale: bool = False
    price_places: int = 2
    quantity_places: int = 3


@dataclass(frozen=True, slots=True)
class SyncView:
    """How an agent's database documents compare with the exchange."""

    state: SyncState
    at: int | None
    drift: tuple[str, ...] = ()
    running: bool = False
    #: Why the last attempt failed; empty when it did not.
    error: str = ""
    #: Since when there has been drift without a break.
    drifted_at: int | None = None


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent. ``balance`` is the exchange's for a real agent and computed for a paper one."""

    key: str
    name: str
    strategy: str
    mode: Mode
    account: str | None
    balance: Decimal
    pnl_absolute: Decimal
    pnl_percent: Decimal
    paper_balance: Decimal | None
    positions: int
    open_orders: int
    sync: SyncView
    last_error: str | None
    shared_with: tuple[str, ...] = ()
    status: str = "active"
    warnings: tuple[str, ...] = ()
    stale: bool = False
    trading: TradingState = "ACTIVE"
    halt_reason: str = ""
    #: Free margin, USDT, as the exchange last said it; None for paper and before.
    available: Decimal | None = None
    wallet_at: int = 0
    #: It trades on paper, and real positions it left behind are still watched.
    watched: bool = False
    thought: str = ""
    #: A real agent's orders beside its paper account; None before the first decision.
    reality: Reality | None = None
    win_rate: Decimal = Decimal(0)
    total_trades: int = 0

    @property
    def told(self) -> bool:
        """Whether anybody ever said its balance: of an agent that only the environment names, the exchange
        has to, and until then 0 is no figure."""
        return self.mode == "paper" or bool(self.wallet_at or self.balance)

    @property
    def halted(self) -> bool:
        """Whether a person stopped it."""
        return self.trading != "ACTIVE"


@dataclass(frozen=True, slots=True)
class OrderStep:
    """One moment of an order's life: what its sender wrote down, or what the exchange told. ``raw`` is the
    answer as it was kept."""

    at: int
    kind: str
    words: str
    raw: str = ""

    def __str__(self) -> str:
        return f"{self.at} {self.kind}: {self.words}"


@dataclass(frozen=True, slots=True)
class OrderView:
    """One line of the order log. ``account`` is set where the exchange told of it."""

    key: str
    at: int
    agent: str
    mode: Mode
    symbol: str
    side: Literal["BUY", "SELL"]
    order_type: str
    status: str
    quantity: Decimal
    executed: Decimal
    price: Decimal | None
    slippage_bp: Decimal | None
    latency_ms: int | None
    reduce_only: bool
    forced: str | None = None
    account: str | None = None
    order_id: int = 0
    stop_price: Decimal | None = None
    limit_price: Decimal | None = None
    mark_price: Decimal | None = None
    purpose: str = ""
    decision_id: str = ""
    #: What slippage and fees cost more than on paper, USDT.
    cost: Decimal | None = None
    open: bool = False
    price_places: int = 2
    quantity_places: int = 3
    #: Its life so far, oldest first.
    history: tuple[OrderStep, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorView:
    """One line of the errors pane; the same error again raises ``count`` instead of adding a line."""

    key: str
    at: int
    source: str
    agent: str | None
    code: str
    message: str
    remedy: str
    count: int
    raw: str = ""


@dataclass(frozen=True, slots=True)
class FeedView:
    """One feed with its state and when it was last heard."""

    name: str
    state: FeedState
    heard_at: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RequestView:
    """One of the operator's commands. ``words`` is the command line that does the same; ``document`` the
    answer as that prints it, and while it runs what is known of it; ``said`` are its messages so far."""

    request_id: str
    title: str
    words: str
    state: RequestState
    started_at: int
    ended_at: int = 0
    message: str = ""
    done: int = 0
    total: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsoleView:
    """A console that is attached: who, where, and whether it can add risk. Times in Unix ms."""

    console_id: str
    operator: str
    host: str
    since: int
    seen_at: int
    armed: bool = False
    watching: str = ""
    mine: bool = False


def _default_limits() -> Limits:
    from aster_tui.domain.safeguards import Limits

    return Limits()


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """The whole fleet at one moment; ``version`` rises with every change."""

    version: int = 0
    at: int = 0
    network: str = "PRACTICE"
    read_only: bool = False
    #: Locked at run time, in this console only; a person may unlock it.
    locked: bool = False
    trading: TradingState = "ACTIVE"
    halt_reason: str = ""
    agents: tuple[AgentView, ...] = ()
    positions: tuple[PositionView, ...] = ()
    orders: tuple[OrderView, ...] = ()
    errors: tuple[ErrorView, ...] = ()
    feeds: tuple[FeedView, ...] = ()
    clock_offset_ms: int | None = None
    round_trip_ms: int | None = None
    weight_used: int | None = None
    weight_limit: int = 2400
    #: Until when nothing is sent to the exchange (Unix ms; 0 or past: it is), and whether that is a ban.
    held_until: int = 0
    banned: bool = False
    #: Figures of the journal's orders by (agent name, window); the fleet's name is empty.
    metrics: Mapping[tuple[str, str], Metrics] = field(default_factory=dict)
    #: Parts that have neither answered nor failed yet since the start.
    starting: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    #: What this console asked for, newest first.
    requests: tuple[RequestView, ...] = ()
    #: What operators did, here and elsewhere, newest first.
    audit: tuple[AuditLine, ...] = ()
    consoles: tuple[ConsoleView, ...] = ()
    rules: Mapping[str, SymbolRules] = field(default_factory=dict)
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    marks_at: Mapping[str, int] = field(default_factory=dict)
    limits: Limits = field(default_factory=_default_limits)
    #: Dead-man timers held here: seconds by (account, symbol).
    dead_man: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: Those of them that are being stopped, and that the venue may still have.
    dead_man_ending: tuple[tuple[str, str], ...] = ()
    #: Those of them that are not held any more, though nobody stopped them.
    dead_man_lost: tuple[tuple[str, str], ...] = ()
    initial_balance: Decimal = Decimal(1000)
    #: Halts and resumes of this machine that the database was not told of yet, by agent id or ``fleet``.
    untold: tuple[str, ...] = ()
    #: Real accounts that the environment names or this machine remembers: (agent's name, account).
    known_here: tuple[tuple[str, str], ...] = ()

    @property
    def halted(self) -> bool:
        """Whether the whole fleet was stopped by a person."""
        return self.trading != "ACTIVE"

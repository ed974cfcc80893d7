"""What the console and ``status`` show: immutable views of the fleet at one moment.

Decimals are exact, times Unix milliseconds. A view is equal to another when it would look the same,
so a pane repaints only rows whose view changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from aster_tui.domain.metrics import Metrics

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
    halted: bool = False
    win_rate: Decimal = Decimal(0)
    total_trades: int = 0


@dataclass(frozen=True, slots=True)
class OrderView:
    """One line of the order log."""

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
    price_places: int = 2
    quantity_places: int = 3


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
class FleetSnapshot:
    """The whole fleet at one moment; ``version`` rises with every change."""

    version: int = 0
    at: int = 0
    network: str = "PRACTICE"
    read_only: bool = False
    halted: bool = False
    agents: tuple[AgentView, ...] = ()
    positions: tuple[PositionView, ...] = ()
    orders: tuple[OrderView, ...] = ()
    errors: tuple[ErrorView, ...] = ()
    feeds: tuple[FeedView, ...] = ()
    clock_offset_ms: int | None = None
    round_trip_ms: int | None = None
    weight_used: int | None = None
    weight_limit: int = 2400
    #: Figures of the journal's orders by (agent name, window); the fleet's name is empty.
    metrics: Mapping[tuple[str, str], Metrics] = field(default_factory=dict)
    #: Parts that have neither answered nor failed yet since the start.
    starting: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

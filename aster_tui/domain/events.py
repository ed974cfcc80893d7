"""Typed events: all that can change the fleet state. Times are Unix milliseconds.

Everything the console shows came in as one of these; the same events drive the live console, the
demo, the tests and a replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aster_tui.domain.audit import AuditLine
from aster_tui.domain.controls import Control as Control
from aster_tui.domain.documents import AgentDocument, PositionDocument, TradeDocument
from aster_tui.domain.metrics import Metrics
from aster_tui.domain.safeguards import Limits
from aster_tui.domain.shares import Share
from aster_tui.domain.symbols import SymbolRules
from aster_tui.domain.trading import Order, Position, PositionSide, Side
from aster_tui.domain.views import ConsoleView, FeedState, OrderStep, RequestState


@dataclass(frozen=True, slots=True)
class MarkPrices:
    """Mark prices in USDT by symbol, from the stream or a REST snapshot."""

    at: int
    prices: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One order of an account changed (ORDER_TRADE_UPDATE, or an answer of the REST API). ``traded`` is the
    quantity of the fill it tells of."""

    account: str
    at: int
    order: Order
    execution: str = ""
    trade_id: int = 0
    traded: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class PositionChange:
    """One position of an ACCOUNT_UPDATE: only what the event carries. ``quantity`` is signed."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    position_side: PositionSide = "BOTH"


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """Balances and positions that changed (ACCOUNT_UPDATE). ``wallets`` maps asset to wallet balance."""

    account: str
    at: int
    reason: str
    wallets: Mapping[str, Decimal]
    positions: tuple[PositionChange, ...] = ()


@dataclass(frozen=True, slots=True)
class LeverageChanged:
    """The leverage of a symbol changed on an account (ACCOUNT_CONFIG_UPDATE)."""

    account: str
    at: int
    symbol: str
    leverage: int


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The account's user stream began (anew) at ``at``, server time: what was before it did not tell."""

    account: str
    at: int


@dataclass(frozen=True, slots=True)
class StreamMissed:
    """The account's user stream was caught: it had not told what snapshots before ``at`` had shown."""

    account: str
    at: int


@dataclass(frozen=True, slots=True)
class PressedPosition:
    """A position of a margin call. ``quantity`` is signed, the others are USDT."""

    symbol: str
    quantity: Decimal
    mark_price: Decimal
    maintenance: Decimal


@dataclass(frozen=True, slots=True)
class MarginCall:
    """The venue warns that an account comes near its liquidation (MARGIN_CALL)."""

    account: str
    at: int
    positions: tuple[PressedPosition, ...]


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The account as the REST API told it: replaces what was known at and before ``at``.

    ``wallet_balance`` and ``available`` are USDT. ``open_orders`` is None where they were not asked for
    (all symbols at once cost 40 request weight): what is known of orders then stays.
    """

    account: str
    at: int
    wallet_balance: Decimal
    available: Decimal
    positions: tuple[Position, ...]
    open_orders: tuple[Order, ...] | None = None


@dataclass(frozen=True, slots=True)
class SymbolsLoaded:
    """The venue's symbols and their filters."""

    at: int
    rules: Mapping[str, SymbolRules]


@dataclass(frozen=True, slots=True)
class AgentsLoaded:
    """All agents of the database; replaces the set known before."""

    at: int
    agents: tuple[AgentDocument, ...]


@dataclass(frozen=True, slots=True)
class AgentChanged:
    """One agent document was written by anybody."""

    at: int
    agent: AgentDocument


@dataclass(frozen=True, slots=True)
class AgentRemoved:
    """One agent document is gone."""

    at: int
    agent_id: str


@dataclass(frozen=True, slots=True)
class PaperLoaded:
    """The paper side of the database: open positions and realized PnL (USD) by agent id."""

    at: int
    positions: tuple[PositionDocument, ...]
    exit_pnl: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class PaperPosition:
    """One document of ``positions`` was written."""

    at: int
    position: PositionDocument


@dataclass(frozen=True, slots=True)
class TradeSeen:
    """One document of ``trades`` was written."""

    at: int
    trade: TradeDocument


@dataclass(frozen=True, slots=True)
class ExitPnl:
    """Realized PnL of one agent in USD: the sum over its exit trades."""

    at: int
    agent_id: str
    total: Decimal


@dataclass(frozen=True, slots=True)
class OrderRecorded:
    """One document of ``orders``: what its sender knows beyond the venue (decision, latency, refusal).

    ``mark_price`` is the mark at decision time, ``status`` the sender's word (a venue status, or
    REJECTED / UNKNOWN).
    """

    at: int
    agent: str
    client_order_id: str
    symbol: str
    side: Side
    order_type: str
    status: str
    quantity: Decimal
    executed: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    mark_price: Decimal | None = None
    latency_ms: int | None = None
    reduce_only: bool = False
    purpose: str = ""
    decision_id: str = ""
    cost: Decimal | None = None
    history: tuple[OrderStep, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedChanged:
    """A feed went live, stale, down or off. ``detail`` is for people; empty when all is well."""

    name: str
    state: FeedState
    at: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FeedHeard:
    """Something arrived on a feed: it is alive and this old."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class ErrorRaised:
    """Something went wrong, in people's words.

    ``source`` names the part (exchange, stream, mongo, agent …), ``code`` the venue's or HTTP code if
    there is one, ``remedy`` what to do about it, ``raw`` the answer as it came (secrets removed). One that
    was read from the database has the time it was raised at in ``recorded_at``.
    """

    at: int
    source: str
    message: str
    agent: str | None = None
    code: str = ""
    remedy: str = ""
    raw: str = ""
    recorded_at: int = 0


@dataclass(frozen=True, slots=True)
class ClockMeasured:
    """Server time minus local time, and the round trip it was measured with, both in ms."""

    at: int
    offset_ms: int
    round_trip_ms: int


@dataclass(frozen=True, slots=True)
class RequestsHeld:
    """Nothing is sent to the exchange until then (Unix ms, local): too many requests, or ``banned`` by it.
    0 is the end of it."""

    at: int
    until: int
    banned: bool = False


@dataclass(frozen=True, slots=True)
class WeightUsed:
    """Request weight spent in the current minute, as the venue's header says it."""

    at: int
    used: int
    limit: int = 2400


@dataclass(frozen=True, slots=True)
class MetricsMeasured:
    """Figures of the journal's orders by (agent name, window); the fleet's name is empty. ``shares`` are what
    is open of them."""

    at: int
    figures: Mapping[tuple[str, str], Metrics]
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class ShadowsLoaded:
    """The paper accounts that real agents are compared with: all their positions, open and closed."""

    at: int
    positions: tuple[PositionDocument, ...]


@dataclass(frozen=True, slots=True)
class ShadowPosition:
    """One document of ``shadows`` was written."""

    at: int
    position: PositionDocument


@dataclass(frozen=True, slots=True)
class SyncStarted:
    """A sync of an agent with the exchange began."""

    agent_id: str
    at: int


@dataclass(frozen=True, slots=True)
class SyncFinished:
    """A sync ended. ``drift`` says, one line each, what differed; ``error`` why it failed, if it did."""

    agent_id: str
    at: int
    drift: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """A person's command is being carried out. ``words`` is the command line that does the same."""

    at: int
    request_id: str
    title: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class RequestMoved:
    """How far a command is: ``done`` of ``total`` steps (0 where nobody knows), and what it does now.
    ``document`` is what its answer would be by now, where that is known."""

    at: int
    request_id: str
    text: str
    done: int = 0
    total: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """A command ended. ``document`` is the answer as the command line prints it."""

    at: int
    request_id: str
    state: RequestState
    message: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ControlsChanged:
    """Everything that is not ACTIVE, by agent id; the fleet's key is ``fleet``. ``untold`` are the keys of
    what was set on this machine and the database was not told of yet."""

    at: int
    controls: Mapping[str, Control]
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditWritten:
    """A line of the audit: what an operator asked for, and what came of it, here or at another console."""

    at: int
    line: AuditLine


@dataclass(frozen=True, slots=True)
class ConsolesSeen:
    """The consoles that are attached now, this one too."""

    at: int
    consoles: tuple[ConsoleView, ...]


@dataclass(frozen=True, slots=True)
class LockChanged:
    """This console was locked to read-only, or unlocked."""

    at: int
    locked: bool


@dataclass(frozen=True, slots=True)
class KnownHere:
    """Real accounts that the environment names or this machine remembers, as (agent's name, account): a
    close-all of everything closes them, whatever the database says."""

    at: int
    accounts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LimitsKnown:
    """The safeguards' limits in force here."""

    at: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class DeadManChanged:
    """The dead-man timers of this process: seconds by (account, symbol); empty when none is armed. ``ending``
    are those of them that are being stopped, and that the venue may still have; ``lost`` those that are not
    held any more, though nobody stopped them: they run down at the venue, or have."""

    at: int
    timers: Mapping[tuple[str, str], int]
    ending: tuple[tuple[str, str], ...] = ()
    lost: tuple[tuple[str, str], ...] = ()


Event = (
    MarkPrices
    | OrderUpdate
    | AccountUpdate
    | LeverageChanged
    | StreamOpened
    | StreamMissed
    | MarginCall
    | AccountSnapshot
    | SymbolsLoaded
    | AgentsLoaded
    | AgentChanged
    | AgentRemoved
    | PaperLoaded
    | PaperPosition
    | TradeSeen
    | ExitPnl
    | OrderRecorded
    | FeedChanged
    | FeedHeard
    | ErrorRaised
    | ClockMeasured
    | WeightUsed
    | RequestsHeld
    | MetricsMeasured
    | ShadowsLoaded
    | ShadowPosition
    | SyncStarted
    | SyncFinished
    | RequestStarted
    | RequestMoved
    | RequestEnded
    | ControlsChanged
    | AuditWritten
    | ConsolesSeen
    | LockChanged
    | KnownHere
    | LimitsKnown
    | DeadManChanged
)

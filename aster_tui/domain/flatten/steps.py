"""What a close-all does to one account, step by step: the steps, and what can come back. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from aster_tui.domain.trading import Order, Position, PositionSide, Side

#: One side of one symbol: a position in one-way mode (BOTH), or one of the two in hedge mode.
LegKey = tuple[str, PositionSide]

#: ``unsent``: nothing left, or a read got no answer; ``unknown``: it may have happened; ``refused``: it
#: certainly did not; ``limited``: not now (``retry_ms``); ``clock``: our time or nonce was refused; ``key``:
#: this wallet cannot do it until a person changes something.
FailureKind = Literal["unsent", "unknown", "refused", "limited", "clock", "key"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step did not do what it should. ``words`` are for people, ``code`` is the venue's (0 without),
    ``retry_ms`` is how long not to try again."""

    kind: FailureKind
    words: str
    code: int = 0
    retry_ms: int = 0


@dataclass(frozen=True, slots=True)
class Close:
    """One order that closes; ``number`` names it within this close-all. Quantity in the base asset, above
    zero; prices in USDT."""

    number: int
    symbol: str
    position_side: PositionSide
    side: Side
    quantity: Decimal
    price: Decimal | None = None
    mark: Decimal = Decimal(0)

    @property
    def leg(self) -> LegKey:
        """The leg it closes."""
        return self.symbol, self.position_side

    @property
    def order_type(self) -> Literal["MARKET", "LIMIT"]:
        """MARKET, or an immediate-or-cancel LIMIT where it has a price."""
        return "MARKET" if self.price is None else "LIMIT"

    @property
    def reduce_only(self) -> bool:
        """The flag as the venue wants it: in hedge mode it is refused, and the side alone reduces."""
        return self.position_side == "BOTH"


@dataclass(frozen=True, slots=True)
class ReadPositions:
    """Read what is open."""

    number: int


@dataclass(frozen=True, slots=True)
class ReadOrders:
    """Read the open orders of these symbols; of all without one."""

    number: int
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendCloses:
    """Send these closing orders, at most five, under one nonce."""

    number: int
    closes: tuple[Close, ...]


@dataclass(frozen=True, slots=True)
class CancelOrders:
    """Cancel these orders of a symbol, at most ten."""

    number: int
    symbol: str
    order_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FenceNonce:
    """Send a noop with this nonce, so that what carries it can no longer arrive."""

    number: int
    nonce: int


@dataclass(frozen=True, slots=True)
class AskClose:
    """Ask the exchange what became of one closing order."""

    number: int
    close: Close


@dataclass(frozen=True, slots=True)
class MeasureClock:
    """Measure the exchange's time."""

    number: int


Step = ReadPositions | ReadOrders | SendCloses | CancelOrders | FenceNonce | AskClose | MeasureClock

#: What one order of a batch was answered with.
CloseAnswer = Order | Failure
Positions = tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class Stray:
    """An order that another process of this machine may have under way: it is fenced before "flat" is said.

    ``leg`` is set where it can only close, ``expires_at`` is when it cannot arrive any more, by the clock of
    the close-all.
    """

    nonce: int
    expires_at: int
    leg: LegKey | None = None


#: How a closing order ended, or what is known of it: a status of the venue, or one of these.
REFUSED, UNSENT, NEVER_PLACED, UNKNOWN, SENT = "REFUSED", "UNSENT", "NEVER_PLACED", "UNKNOWN", "SENT"


@dataclass(frozen=True, slots=True)
class CloseMade:
    """One closing order with what became of it."""

    close: Close
    status: str = SENT
    executed: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    order_id: int = 0
    words: str = ""

    @property
    def doubtful(self) -> bool:
        """Whether it may still be live."""
        return self.status in (SENT, UNKNOWN, "NEW", "PARTIALLY_FILLED")


@dataclass(frozen=True, slots=True)
class Remaining:
    """A position that is left; ``quantity`` is signed. ``why`` says what kept it."""

    symbol: str
    position_side: PositionSide
    quantity: Decimal
    why: str = ""


Phase = Literal["reading", "closing", "cancelling", "verifying", "flat", "not flat"]


@dataclass(frozen=True, slots=True)
class AccountFlat:
    """How far a close-all of one account is. ``positions_known`` and ``orders_known`` say whether the
    exchange told of them at all; ``remaining``, ``open_orders`` and ``orders_left`` are as it last told."""

    phase: Phase
    positions_known: bool = False
    orders_known: bool = False
    positions_before: int = 0
    orders_cancelled: int = 0
    rounds: int = 0
    verified: int = 0
    closes: tuple[CloseMade, ...] = ()
    remaining: tuple[Remaining, ...] = ()
    open_orders: int = 0
    orders_left: tuple[Order, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether the exchange said twice that nothing is open."""
        return self.phase == "flat"

    @property
    def ended(self) -> bool:
        """Whether it goes on no more."""
        return self.phase in ("flat", "not flat")

    @property
    def doubtful(self) -> tuple[CloseMade, ...]:
        """Closing orders that may still be live."""
        return tuple(made for made in self.closes if made.doubtful)

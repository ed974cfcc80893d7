"""Accounts, positions and orders as the venue reports them, in the domain's names."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

ZERO = Decimal(0)

Side = Literal["BUY", "SELL"]
PositionSide = Literal["BOTH", "LONG", "SHORT"]

#: Order statuses after which the venue changes nothing more about an order.
FINAL_STATUSES = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "NEW_INSURANCE", "NEW_ADL"})

#: Order types that wait for a trigger price.
TRIGGERED_TYPES = frozenset(
    {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
)


def account_key(user: str) -> str:
    """The form an account (user address) is compared in: addresses differ in letter case only by checksum."""
    return user.strip().lower()


@dataclass(frozen=True, slots=True)
class Position:
    """One open position of an account. ``quantity`` is signed: below zero is short."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    position_side: PositionSide = "BOTH"
    leverage: int = 0
    liquidation_price: Decimal = ZERO
    mark_price: Decimal = ZERO
    updated_at: int = 0

    @property
    def side(self) -> Literal["long", "short"]:
        """``long`` or ``short``, from the sign of the quantity."""
        return "short" if self.quantity < 0 else "long"

    def unrealized(self, mark: Decimal) -> Decimal:
        """Unrealized PnL in USDT at the mark price ``mark``."""
        return (mark - self.entry_price) * self.quantity

    def notional(self, mark: Decimal) -> Decimal:
        """Absolute value in USDT at ``mark``."""
        return abs(self.quantity * mark)


@dataclass(frozen=True, slots=True)
class Order:
    """One order as the venue last reported it. Quantities in the base asset, prices in USDT, times in ms."""

    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    order_type: str
    status: str
    quantity: Decimal
    executed: Decimal = ZERO
    price: Decimal = ZERO
    average_price: Decimal = ZERO
    stop_price: Decimal = ZERO
    time_in_force: str = "GTC"
    reduce_only: bool = False
    close_position: bool = False
    position_side: PositionSide = "BOTH"
    updated_at: int = 0
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO

    @property
    def final(self) -> bool:
        """Whether the venue will change nothing more about it."""
        return self.status in FINAL_STATUSES

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller."""
        return self.reduce_only or self.close_position

    @property
    def forced(self) -> str | None:
        """``liquidation`` or ``adl`` for an order the venue itself sent, else None.

        The venue marks them by client id: ``autoclose-…`` and ``adl_autoclose``.
        """
        if self.client_order_id.startswith("autoclose-"):
            return "liquidation"
        return "adl" if self.client_order_id.startswith("adl_autoclose") else None

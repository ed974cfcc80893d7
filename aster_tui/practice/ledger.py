"""Positions, wallets and margin: the arithmetic of an account. No I/O, Decimal only.

A position keeps what it cost, not an average price: costs are sums of price × quantity and stay exact,
so wallet = start + Σ realized − Σ fees holds to the last (eighth) decimal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

ZERO = Decimal(0)
CENT8 = Decimal("1E-8")
TAKER_FEE = Decimal("0.0004")
MAKER_FEE = Decimal("0.0002")


def commission(notional: Decimal, *, maker: bool) -> Decimal:
    """The fee on a fill, USDT, to eight decimals."""
    return (notional * (MAKER_FEE if maker else TAKER_FEE)).quantize(CENT8, ROUND_HALF_UP)


@dataclass(slots=True)
class Position:
    """A position: ``amount`` is signed (negative is short), ``cost`` has its sign, ``realized`` adds up
    all profit ever realized here, before fees; ``isolated`` is the margin of an isolated position. USDT."""

    symbol: str
    side: str = "BOTH"
    amount: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    isolated: Decimal = ZERO
    updated_ms: int = 0

    @property
    def entry(self) -> Decimal:
        """The average entry price to eight decimals, 0 when flat."""
        return (self.cost / self.amount).quantize(CENT8, ROUND_HALF_EVEN) if self.amount else ZERO

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit at ``mark``, to eight decimals."""
        return (self.amount * mark - self.cost).quantize(CENT8, ROUND_HALF_EVEN)

    def reducible(self, side: str) -> Decimal:
        """How much an order of ``side`` can take off this position."""
        opposing = self.amount > 0 if side == "SELL" else self.amount < 0
        return abs(self.amount) if opposing else ZERO

    def apply(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Adds a fill (``quantity`` signed, a buy is positive) and answers the profit it realized."""
        realized = ZERO
        if self.amount and (quantity > 0) != (self.amount > 0):
            closing = min(abs(quantity), abs(self.amount))
            realized = self._close(closing, price)
            quantity = quantity + closing if quantity < 0 else quantity - closing
        self.amount += quantity
        self.cost += quantity * price
        self.realized += realized
        return realized

    def _close(self, closing: Decimal, price: Decimal) -> Decimal:
        if closing == abs(self.amount):
            cost = self.cost
        else:
            cost = (self.cost * closing / abs(self.amount)).quantize(CENT8, ROUND_HALF_EVEN)
        signed = closing if self.amount > 0 else -closing
        self.amount -= signed
        self.cost -= cost
        return signed * price - cost


@dataclass(slots=True)
class Account:
    """One user's wallet (USDT), positions by (symbol, position side) and leverage by symbol.

    ``isolated`` names the symbols whose margin is their own; ``trading`` is what its signers may do: all,
    reduce (-4087), none (-4088) or unknown ("No agent found").
    """

    user: str
    address: str
    name: str
    wallet: Decimal
    default_leverage: int = 20
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    leverages: dict[str, int] = field(default_factory=dict)
    isolated: set[str] = field(default_factory=set)
    hedge: bool = False
    trading: str = "all"
    warned: bool = False
    updated_ms: int = 0

    def position(self, symbol: str, side: str = "BOTH") -> Position:
        """The position under that key, made flat when it is asked for first."""
        key = (symbol, side)
        found = self.positions.get(key)
        if found is None:
            found = self.positions[key] = Position(symbol, side)
        return found

    @property
    def held(self) -> list[Position]:
        """The positions that are not flat."""
        return [p for p in self.positions.values() if p.amount]

    @property
    def cross_wallet(self) -> Decimal:
        """The wallet without what isolated positions keep for themselves."""
        return self.wallet - sum((p.isolated for p in self.held), ZERO)

    def leverage(self, symbol: str) -> int:
        """The leverage set for ``symbol``."""
        return self.leverages.get(symbol, self.default_leverage)

    def fill(
        self, symbol: str, side: str, quantity: Decimal, price: Decimal, *, maker: bool
    ) -> tuple[Decimal, Decimal]:
        """Books a fill (``quantity`` signed) and answers (realized profit, fee)."""
        position = self.position(symbol, side)
        before = position.amount
        realized = position.apply(quantity, price)
        if symbol in self.isolated:
            self._isolate(position, before, price)
        fee = commission(abs(quantity) * price, maker=maker)
        self.wallet += realized - fee
        return realized, fee

    def _isolate(self, position: Position, before: Decimal, price: Decimal) -> None:
        """Move margin into or out of an isolated position as it grows, shrinks or turns."""
        after = position.amount
        if before * after <= 0:
            before, position.isolated = ZERO, ZERO
        if abs(after) >= abs(before):
            added = (abs(after) - abs(before)) * price / self.leverage(position.symbol)
            position.isolated += added.quantize(CENT8, ROUND_HALF_UP)
        else:
            position.isolated = (position.isolated * after / before).quantize(CENT8, ROUND_HALF_EVEN)

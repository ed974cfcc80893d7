"""What an account may still do and when it must end: margin, brackets and liquidation prices. No I/O.

Cross positions share the wallet; an isolated one has only the margin it was opened with. In hedge mode the
long and the short of a symbol each bind their own margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_DOWN, Decimal

from aster_tui.practice.ledger import CENT8, ZERO, Account, Position
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.market import Quote
from aster_tui.practice.orders import Order

Quotes = Callable[[str], Quote]
NOTHING = (ZERO, ZERO)
Ordered = dict[tuple[str, str], tuple[Decimal, Decimal]]


class Margin:
    """Looks at accounts at the prices of now.

    Args:
        quote: gives the present prices of a symbol.
    """

    def __init__(self, quote: Quotes) -> None:
        self._quote = quote

    def value(self, position: Position) -> Decimal:
        """Signed value of a position at the mark, USDT."""
        return position.amount * self._quote(position.symbol).mark

    def unrealized(self, account: Account, *, cross_only: bool = False) -> Decimal:
        """Profit of open positions at the marks, USDT."""
        return sum(
            (
                p.unrealized(self._quote(p.symbol).mark)
                for p in account.held
                if not (cross_only and p.symbol in account.isolated)
            ),
            ZERO,
        )

    def available(self, account: Account, orders: Iterable[Order]) -> Decimal:
        """Cross wallet + unrealized − margin of cross positions and of ``orders``, USDT; below zero is not
        enough. Orders that only reduce, or still wait for their trigger, bind nothing."""
        ordered = self._ordered(o for o in orders if not o.reduces and not o.waiting)
        free = account.wallet
        for position in account.held:
            symbol = position.symbol
            mark = self._quote(symbol).mark
            value = position.amount * mark
            exposure = _largest(value, ordered.pop((symbol, position.side), NOTHING))
            if symbol in account.isolated:
                # Its own margin left the cross wallet when it was opened, and its profit is its own.
                free -= position.isolated
                exposure -= abs(value)
            else:
                free += position.unrealized(mark)
            free -= exposure / account.leverage(symbol)
        for (symbol, _), values in ordered.items():
            free -= max(values) / account.leverage(symbol)
        return free.quantize(CENT8, ROUND_DOWN)

    def _ordered(self, orders: Iterable[Order]) -> Ordered:
        """Values of the orders that may increase a position, by its key: (buys, sells)."""
        found: Ordered = {}
        for order in orders:
            key = order.symbol, order.position_side
            buying, selling = found.get(key, (ZERO, ZERO))
            quote = self._quote(order.symbol)
            if order.side == "BUY":
                buying += order.remaining * (order.price or quote.ask)
            else:
                selling += order.remaining * (order.price or quote.bid)
            found[key] = buying, selling
        return found

    def exposure(self, account: Account, symbol: str, orders: Iterable[Order]) -> Decimal:
        """The largest value a symbol's positions can come to if all of ``orders`` (the symbol's) on one side
        fill, USDT."""
        ordered, total = self._ordered(o for o in orders if not o.reduces), ZERO
        for side in ("LONG", "SHORT") if account.hedge else ("BOTH",):
            position = account.positions.get((symbol, side))
            value = self.value(position) if position is not None else ZERO
            total += _largest(value, ordered.get((symbol, side), NOTHING))
        return total

    def maintenance(self, account: Account) -> Decimal:
        """What the cross positions must keep, USDT."""
        cross = (p for p in account.held if p.symbol not in account.isolated)
        return sum((LISTINGS[p.symbol].maintenance(self.value(p)) for p in cross), ZERO)

    def cross_balance(self, account: Account) -> Decimal:
        """What the cross positions have, USDT."""
        return account.cross_wallet + self.unrealized(account, cross_only=True)

    def ruined(self, account: Account) -> list[Position]:
        """The positions whose margin no longer does."""
        found = []
        for position in account.held:
            if position.symbol in account.isolated:
                equity = position.isolated + position.unrealized(self._quote(position.symbol).mark)
                if equity < LISTINGS[position.symbol].maintenance(self.value(position)):
                    found.append(position)
        cross = [p for p in account.held if p.symbol not in account.isolated]
        if cross and self.cross_balance(account) < self.maintenance(account):
            found += cross
        return found

    def spare(self, account: Account) -> Decimal:
        """What the cross positions have beyond what they must keep, USDT."""
        return self.cross_balance(account) - self.maintenance(account)

    def liquidation_price(
        self, account: Account, position: Position, spare: Decimal | None = None
    ) -> Decimal:
        """Where this position could no longer be held, all else staying as it is; 0 for never.

        ``spare`` is :meth:`spare` where it is known already.
        """
        if not position.amount:
            return ZERO
        listing = LISTINGS[position.symbol]
        value = self.value(position)
        step = listing.bracket_of(abs(value))
        if position.symbol in account.isolated:
            cushion = position.isolated
        else:
            # What the others have to spare, or lack.
            own = position.unrealized(self._quote(position.symbol).mark) - listing.maintenance(value)
            cushion = (self.spare(account) if spare is None else spare) - own
        slope = position.amount - step.ratio * abs(position.amount)
        price = (position.cost - cushion - step.deduction) / slope if slope else ZERO
        return max(price, ZERO).quantize(listing.tick)


def _largest(value: Decimal, ordered: tuple[Decimal, Decimal]) -> Decimal:
    """The largest that a position's value can come to if all orders on one side fill: (buys, sells)."""
    if ordered is NOTHING:
        return abs(value)
    return max(abs(value), abs(value + ordered[0]), abs(value - ordered[1]))

"""What is known of one exchange account: a reducer over its events, ordered by event time.

The stream may deliver events late, twice or out of order, and a REST snapshot may be older than
what the stream already said. Every fact is therefore kept with the time it was true at, and an
older one never replaces a newer one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from aster_tui.domain.checks import OpenOrders
from aster_tui.domain.events import (
    AccountSnapshot,
    AccountUpdate,
    LeverageChanged,
    OrderUpdate,
    StreamMissed,
    StreamOpened,
)
from aster_tui.domain.symbols import QUOTE
from aster_tui.domain.trading import TRIGGERED_TYPES, ZERO, Order, Position, PositionSide

PositionKey = tuple[str, PositionSide]
#: Stands for the wallet among the things a stream should have told of.
WALLET: PositionKey = ("", "BOTH")


@dataclass(slots=True)
class AccountState:
    """One account. ``wallet`` and ``available`` are USDT, None until the exchange said them.

    ``told_at`` is the time of the last snapshot, ``snapshot_at`` of the last that told the open orders.
    ``unclear`` is whether two events of one millisecond said different things, and nobody knows which was the
    later. ``unannounced`` is what a snapshot knew and the stream had not told: the time of that snapshot,
    until the stream does tell.
    """

    wallet: Decimal | None = None
    available: Decimal | None = None
    wallet_at: int = 0
    snapshot_at: int = 0
    told_at: int = 0
    unclear: bool = False
    positions: dict[PositionKey, Position] = field(default_factory=dict)
    opened_at: dict[PositionKey, int] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    unannounced: dict[PositionKey, int] = field(default_factory=dict)
    _opened_at: int = 0
    _has_baseline: bool = False
    _position_at: dict[PositionKey, int] = field(default_factory=dict)
    _seen: dict[int, tuple[int, Order]] = field(default_factory=dict)
    _leverage: dict[str, int] = field(default_factory=dict)

    def apply_stream(self, event: StreamOpened) -> bool:
        """The stream begins anew: the next snapshot closes the gap, and only then can it have missed
        something."""
        self._opened_at, self._has_baseline = event.at, False
        self.unannounced.clear()
        return True

    def apply_missed(self, event: StreamMissed) -> bool:
        """What the stream missed is known by now, and was said."""
        self.unannounced = {key: since for key, since in self.unannounced.items() if since > event.at}
        return True

    def set_back(self, now: int) -> None:
        """The exchange's clock was set back to ``now``: nothing that is known is newer than that."""
        self.wallet_at, self.told_at = min(self.wallet_at, now), min(self.told_at, now)
        self.snapshot_at, self._opened_at = min(self.snapshot_at, now), min(self._opened_at, now)
        self._position_at = {key: min(at, now) for key, at in self._position_at.items()}
        self.unannounced = {key: min(at, now) for key, at in self.unannounced.items()}
        self._seen = {number: (min(at, now), order) for number, (at, order) in self._seen.items()}

    def open_of(self, symbol: str) -> OpenOrders:
        """How many orders of a symbol are open, as far as is known."""
        mine = [order for order in self.orders.values() if order.symbol == symbol]
        return OpenOrders(len(mine), sum(order.order_type in TRIGGERED_TYPES for order in mine))

    def missed(self, at: int, grace_ms: int) -> list[str]:
        """What the stream should have told by ``at``: symbols, and "the balance"."""
        late = (key for key, since in self.unannounced.items() if at - since > grace_ms)
        return sorted({key[0] or "the balance" for key in late})

    def told_of_symbol(self, symbol: str) -> int:
        """When the exchange last told of positions in a symbol, by the stream or a snapshot (server time)."""
        streamed = (at for key, at in self._position_at.items() if key[0] == symbol)
        return max(self.told_at, *streamed, 0)

    def apply_order(self, event: OrderUpdate) -> bool:
        """Take an order event unless something newer is known. Returns whether it was news."""
        known = self._seen.get(event.order.order_id)
        if known is not None and _older(event.at, event.order, *known):
            return False
        if known is None and event.at <= self.snapshot_at and not event.order.final:
            # The snapshot covers this moment: an order it does not list as open is not open.
            return False
        self._seen[event.order.order_id] = (event.at, event.order)
        if event.order.final:
            self.orders.pop(event.order.order_id, None)
        else:
            self.orders[event.order.order_id] = event.order
        return True

    def apply_update(self, event: AccountUpdate) -> bool:
        """Take the balances and positions of an ACCOUNT_UPDATE that are newer than what is known."""
        changed = False
        wallet = event.wallets.get(QUOTE)
        if wallet is not None:
            self.unannounced.pop(WALLET, None)
        if wallet is not None and event.at >= self.wallet_at:
            changed = wallet != self.wallet
            self.unclear |= changed and event.at == self.wallet_at
            self.wallet, self.wallet_at = wallet, event.at
        for change in event.positions:
            key = (change.symbol, change.position_side)
            self.unannounced.pop(key, None)
            if event.at < self._position_at.get(key, 0):
                continue
            before = self.positions.get(key)
            known = before.quantity if before else ZERO
            self.unclear |= event.at == self._position_at.get(key) and known != change.quantity
            self._position_at[key] = event.at
            self._set(
                key,
                Position(
                    symbol=change.symbol,
                    quantity=change.quantity,
                    entry_price=change.entry_price,
                    position_side=change.position_side,
                    leverage=self._leverage.get(change.symbol, before.leverage if before else 0),
                    liquidation_price=before.liquidation_price if before else ZERO,
                    updated_at=event.at,
                ),
            )
            changed = True
        return changed

    def leverage_of(self, symbol: str) -> int:
        """A symbol's leverage as far as it was told, 0 where it was not."""
        return self._leverage.get(symbol, 0)

    def apply_leverage(self, event: LeverageChanged) -> bool:
        """Take a new leverage of a symbol."""
        self._leverage[event.symbol] = event.leverage
        for key, position in self.positions.items():
            if key[0] == event.symbol:
                self.positions[key] = replace(position, leverage=event.leverage)
        return True

    def apply_snapshot(self, event: AccountSnapshot) -> bool:
        """Replace everything that was known at or before the snapshot's time."""
        if event.at < max(self.snapshot_at, self.told_at):
            return False
        if not self.unclear:
            self._compare(event)
        self.told_at, self.unclear = event.at, False
        self.available = event.available
        if event.at >= self.wallet_at:
            self.wallet, self.wallet_at = event.wallet_balance, event.at
        self._replace_positions(event)
        if event.open_orders is not None:
            self.snapshot_at = event.at
            self._replace_orders(event, event.open_orders)
        return True

    def _compare(self, event: AccountSnapshot) -> None:
        """Note what the snapshot knows and the stream, open since before the last one, has not told."""
        if not self._opened_at or event.at < self._opened_at:
            return
        if not self._has_baseline:
            self._has_baseline = True
            return
        told = {(p.symbol, p.position_side): p.quantity for p in event.positions}
        for key in {*told, *self.positions}:
            known = self.positions[key].quantity if key in self.positions else ZERO
            if told.get(key, ZERO) != known and self._position_at.get(key, 0) <= event.at:
                self.unannounced.setdefault(key, event.at)
        if event.wallet_balance != self.wallet and self.wallet_at <= event.at:
            self.unannounced.setdefault(WALLET, event.at)

    def _replace_positions(self, event: AccountSnapshot) -> None:
        told = {(p.symbol, p.position_side): p for p in event.positions if p.quantity}
        newer = {key for key, at in self._position_at.items() if at > event.at}
        for key in [*self.positions]:
            if key not in told and key not in newer:
                self._set(key, replace(self.positions[key], quantity=ZERO))
        for key, position in told.items():
            self._leverage[position.symbol] = position.leverage
            if key not in newer:
                self._position_at[key] = event.at
                self._set(key, position)

    def _replace_orders(self, event: AccountSnapshot, told: tuple[Order, ...]) -> None:
        newer = {order_id: seen for order_id, seen in self._seen.items() if seen[0] > event.at}
        self.orders = {o.order_id: o for o in told if o.order_id not in newer and not o.final}
        self.orders.update({i: order for i, (_, order) in newer.items() if not order.final})
        # What the snapshot covers needs no memory of its own, except what is still open.
        self._seen = {o.order_id: (event.at, o) for o in self.orders.values()} | newer

    def _set(self, key: PositionKey, position: Position) -> None:
        before = self.positions.get(key)
        if not position.quantity:
            self.positions.pop(key, None)
            self.opened_at.pop(key, None)
            return
        flipped = before is not None and (before.quantity > 0) != (position.quantity > 0)
        if before is None or flipped:
            self.opened_at[key] = position.updated_at
        self.positions[key] = position


def _older(at: int, order: Order, known_at: int, known: Order) -> bool:
    """Whether an event is older than, or the same as, what is known of its order.

    Within one millisecond the venue can send NEW and FILLED: progress decides there.
    """
    if at != known_at:
        return at < known_at
    if known.final:
        return True
    return order.executed < known.executed

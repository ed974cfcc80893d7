"""What differs between the exchange and the journal of orders, named one line each. Pure.

What differs between the exchange and MongoDB is found, and repaired, by :mod:`aster_tui.domain.sync_plan`.
Nothing here is ever repaired by trading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from aster_tui.domain.client_ids import parse_client_id
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.shares import Share
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import TRIGGERED_TYPES, ZERO, Order, Position

#: What a position without its stop is called.
NAKED = "naked position"
STOPS = ("STOP", "STOP_MARKET", "TRAILING_STOP_MARKET")


def journal_drift(
    positions: Sequence[Position],
    open_orders: Sequence[Order] | None,
    records: Collection[OrderRecord],
    shares: Iterable[Share],
    *,
    expected: Collection[str] = (),
) -> tuple[str, ...]:
    """The differences of one account.

    Args:
        open_orders: None while they are not known.
        records: the account's orders in the journal, of all its agents.
        shares: its agents' shares.
        expected: symbols in which something just happened.
    """
    held: dict[str, Decimal] = {}
    for position in positions:
        held[position.symbol] = held.get(position.symbol, ZERO) + position.quantity
    found = [
        *_quantities(held, records, shares),
        *(_orders(held, open_orders, records) if open_orders is not None else ()),
    ]
    return tuple(line for symbol, line in sorted(found) if symbol not in expected)


def _quantities(
    held: Mapping[str, Decimal], records: Collection[OrderRecord], shares: Iterable[Share]
) -> Iterable[tuple[str, str]]:
    ours: dict[str, Decimal] = {}
    for share in shares:
        ours[share.symbol] = ours.get(share.symbol, ZERO) + share.quantity
    # Where the journal executed nothing there is nothing to compare with: the position is somebody else's.
    for symbol in {r.symbol for r in records if r.executed}:
        there, mine = held.get(symbol, ZERO), ours.get(symbol, ZERO)
        if there != mine:
            yield symbol, f"{symbol}: {plain(there)} at the exchange, {plain(mine)} by the journal"


def _orders(
    held: Mapping[str, Decimal], open_orders: Sequence[Order], records: Collection[OrderRecord]
) -> Iterable[tuple[str, str]]:
    known = {r.client_order_id for r in records}
    stopped = set()
    for order in open_orders:
        protects = order.reduces and order.order_type in TRIGGERED_TYPES
        if order.order_type in STOPS and order.reduces:
            stopped.add(order.symbol)
        if order.client_order_id not in known and parse_client_id(order.client_order_id) is None:
            what = f"{order.side} {order.order_type} {order.client_order_id}"
            yield order.symbol, f"{order.symbol}: foreign order {what}: it was not sent from here"
        elif protects and not held.get(order.symbol):
            what = f"{order.order_type} {order.client_order_id}"
            yield order.symbol, f"{order.symbol}: orphan protective order {what}: there is no position"
    for symbol in _to_be_stopped(held, records) - stopped:
        yield symbol, f"{symbol}: {NAKED}: its stop is gone"


def _to_be_stopped(held: Mapping[str, Decimal], records: Collection[OrderRecord]) -> set[str]:
    """Symbols with a position whose last entry came with a stop."""
    found = set()
    for symbol in (s for s, quantity in held.items() if quantity):
        entries = [r for r in records if r.symbol == symbol and r.purpose == "entry" and r.executed]
        last = max(entries, key=lambda r: r.intent_at, default=None)
        if last is None or not last.decision_id:
            continue
        if any(r.purpose == "stop" and r.decision_id == last.decision_id for r in records):
            found.add(symbol)
    return found

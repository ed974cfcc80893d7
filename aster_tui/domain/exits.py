"""What a position was left at: the average fill of the orders that closed it, where they are known. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.domain.documents import PositionDocument
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import TRIGGERED_TYPES, ZERO, Order, PositionSide, Side, account_key

#: Documents hold doubles: a size is this exact (relative).
_EXACT = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Closing:
    """What one order executed that may have closed a position: quantity (base asset) and average price
    (USDT), about when (Unix ms of the exchange)."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    at: int
    position_side: PositionSide = "BOTH"


def closings(
    records: Iterable[OrderRecord],
    told: Iterable[Order],
    agent_id: str,
    account: str,
    *,
    alone: bool,
    offset_ms: int = 0,
) -> list[Closing]:
    """The orders that can have closed an agent's positions on an account: its own and every close-all there.

    Args:
        records: the journal's orders.
        told: orders that the stream told of; those the journal does not have are somebody's by hand, and
            this agent's where it is alone on its account.
        offset_ms: the exchange's clock less ours.
    """
    found, ours = [], set()
    for r in records:
        ours.add(r.client_order_id)
        if not r.executed or not r.average_price or account_key(r.account) != account_key(account):
            continue
        if r.agent_id == agent_id or r.purpose == "flatten":
            # A market order executes when it is sent; when a stop does, only the stream tells.
            at = r.executed_at if r.order_type in TRIGGERED_TYPES else r.intent_at + offset_ms
            found.append(Closing(r.symbol, r.side, r.executed, r.average_price, at, r.position_side))
    if alone:
        found += [
            Closing(o.symbol, o.side, o.executed, o.average_price, o.updated_at, o.position_side)
            for o in told
            if o.client_order_id not in ours and o.executed and o.average_price
        ]
    return found


def exit_price(document: PositionDocument, orders: Iterable[Closing]) -> Decimal | None:
    """The average fill (USDT) of the last orders that closed what a document says was held; None where no
    fill is known. What of them is not known, a part closed by hand, is taken to be like the rest."""
    long = document.signal == "long"
    side, position_side = ("SELL", "LONG") if long else ("BUY", "SHORT")
    symbol = symbol_of(document.coin)
    mine = [
        c
        for c in orders
        if c.symbol == symbol
        and c.side == side
        and c.position_side in ("BOTH", position_side)
        and c.at >= document.opened_at
    ]
    left = document.size_usd / document.entry_price if document.entry_price > 0 else ZERO
    quantity, worth, least = ZERO, ZERO, left * _EXACT
    for one in sorted(mine, key=lambda c: c.at, reverse=True):
        if left <= least:
            break
        taken = min(one.quantity, left)
        quantity, worth, left = quantity + taken, worth + taken * one.price, left - taken
    return worth / quantity if quantity else None

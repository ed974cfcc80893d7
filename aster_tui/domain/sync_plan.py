"""What a sync has to write: an agent's ``positions`` documents against the exchange, which is the truth.

Pure. Applying a plan and planning again gives an empty plan (a property test says so).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aster_tui.domain.documents import HUNDRED, PositionDocument
from aster_tui.domain.exits import Closing, exit_price
from aster_tui.domain.symbols import coin_of, plain, symbol_of
from aster_tui.domain.trading import ZERO, Order, Position

#: Documents hold doubles: sizes this close (relative) are the same.
TOLERANCE = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """``inserts`` are whole documents, ``updates`` and ``closes`` are fields by document id.

    ``drift`` says, one line each, what differed and was not to be expected; ``active`` is the agent's
    ``activePositions``.
    """

    inserts: tuple[Mapping[str, Any], ...] = ()
    updates: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    closes: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    drift: tuple[str, ...] = ()
    active: tuple[Mapping[str, Any], ...] = ()


def plan_sync(
    agent_id: str,
    agent_name: str,
    documents: Sequence[PositionDocument],
    positions: Sequence[Position],
    marks: Mapping[str, Decimal],
    at: int,
    *,
    expected: Collection[str] = (),
    orders: Sequence[Order] = (),
    closings: Sequence[Closing] = (),
) -> SyncPlan:
    """Compare an agent's open documents with its account's positions.

    Args:
        marks: mark prices in USDT by symbol.
        at: now, Unix ms.
        expected: symbols whose difference is no surprise (just filled): repaired, not named as drift.
        orders: the account's open orders, for stop and target.
        closings: what may have closed a position. Where none of it did, the mark is written as its exit
            price; ``exit_price_from`` says which it is, "fills" or "mark".
    """
    return _Planner(agent_id, agent_name, marks, at, expected, orders, closings).plan(documents, positions)


class _Planner:
    def __init__(
        self,
        agent_id: str,
        agent_name: str,
        marks: Mapping[str, Decimal],
        at: int,
        expected: Collection[str],
        orders: Sequence[Order],
        closings: Sequence[Closing],
    ) -> None:
        self._agent_id, self._agent_name = agent_id, agent_name
        self._marks, self._at, self._expected, self._orders = marks, at, expected, orders
        self._closings = closings
        self._inserts: list[Mapping[str, Any]] = []
        self._updates: list[tuple[str, Mapping[str, Any]]] = []
        self._closes: list[tuple[str, Mapping[str, Any]]] = []
        self._drift: list[str] = []
        self._active: list[Mapping[str, Any]] = []

    def plan(self, documents: Sequence[PositionDocument], positions: Sequence[Position]) -> SyncPlan:
        by_symbol: dict[str, list[PositionDocument]] = {}
        for document in documents:
            if document.status == "open":
                by_symbol.setdefault(symbol_of(document.coin), []).append(document)
        for position in positions:
            if position.quantity:
                self._position(position, by_symbol)
        for symbol, left in by_symbol.items():
            for document in left:
                self._close(symbol, document)
        return SyncPlan(
            tuple(self._inserts),
            tuple(self._updates),
            tuple(self._closes),
            tuple(self._drift),
            tuple(self._active),
        )

    def _position(self, position: Position, by_symbol: dict[str, list[PositionDocument]]) -> None:
        symbol = position.symbol
        same_side = [d for d in by_symbol.get(symbol, ()) if d.signal == position.side]
        if not same_side:
            self._differs(symbol, f"missing in MongoDB: {position.side} {plain(abs(position.quantity))}")
            document = self._document(position)
            self._inserts.append(document)
            self._active.append(self._as_active(position, document))
            return
        # Of several documents of one position the oldest is kept: its stop, target and reason are the first.
        kept = min(same_side, key=lambda d: (d.opened_at, d.position_id))
        by_symbol[symbol].remove(kept)
        fields = self._corrections(position, kept)
        if fields:
            self._updates.append((kept.position_id, fields))
        stop, target = self._protection(position)
        merged = {
            **self._document(position),
            "opened_at": kept.opened_at,
            "expected_duration": kept.expected_duration,
            "stop_loss": float(stop or kept.stop_loss),
            "profit_target": float(target or kept.profit_target),
        }
        self._active.append(self._as_active(position, merged))

    def _corrections(self, position: Position, document: PositionDocument) -> dict[str, Any]:
        size = abs(position.quantity) * position.entry_price
        fields: dict[str, Any] = {}
        if not _close_to(document.entry_price, position.entry_price):
            ours, theirs = plain(document.entry_price), plain(position.entry_price)
            self._differs(position.symbol, f"different entry: {ours} in MongoDB, {theirs} at the exchange")
            fields["entry_price"] = float(position.entry_price)
        if not _close_to(document.size_usd, size):
            self._differs(
                position.symbol,
                f"different size: {document.size_usd:.2f} USD in MongoDB, {size:.2f} at the exchange",
            )
            fields["size_usd"] = float(size)
        if position.leverage and document.leverage != position.leverage:
            fields["leverage"] = position.leverage
        for name, value, known in zip(
            ("stop_loss", "profit_target"),
            self._protection(position),
            (document.stop_loss, document.profit_target),
            strict=True,
        ):
            if value is not None and not _close_to(known, value):
                fields[name] = float(value)
        return fields

    def _close(self, symbol: str, document: PositionDocument) -> None:
        self._differs(symbol, f"extra in MongoDB: {document.signal}, which the exchange has not")
        filled = exit_price(document, self._closings)
        price = filled or self._marks.get(symbol) or document.entry_price
        change = ZERO
        if document.entry_price > 0:
            moved = price - document.entry_price
            change = (moved if document.signal == "long" else -moved) / document.entry_price
        self._closes.append(
            (
                document.position_id,
                {
                    "status": "closed",
                    "trade_type": "exit",
                    "exit_price": float(price),
                    "exit_price_from": "fills" if filled else "mark",
                    "closed_at": self._at,
                    "pnl": float(change * HUNDRED),
                    "pnlAbsolute": float(change * document.size_usd),
                },
            )
        )

    def _document(self, position: Position) -> dict[str, Any]:
        stop, target = self._protection(position)
        return {
            "agentId": self._agent_id,
            "agentName": self._agent_name,
            "coin": coin_of(position.symbol),
            "signal": position.side,
            "entry_price": float(position.entry_price),
            "profit_target": float(target or 0),
            "stop_loss": float(stop or 0),
            "leverage": position.leverage or 1,
            "size_usd": float(abs(position.quantity) * position.entry_price),
            "confidence": 0.0,
            "opened_at": position.updated_at or self._at,
            "expected_duration": "",
            "status": "open",
            "pnl": 0.0,
            "pnlAbsolute": 0.0,
            "trade_type": "entry",
            "aiReason": "read from the exchange",
        }

    def _as_active(self, position: Position, document: Mapping[str, Any]) -> dict[str, Any]:
        mark = self._marks.get(position.symbol) or position.mark_price or position.entry_price
        return {
            "coin": coin_of(position.symbol),
            "entry_price": float(position.entry_price),
            "current_price": float(mark),
            "profit_target": document["profit_target"],
            "stop_loss": document["stop_loss"],
            "leverage": position.leverage or 1,
            "size_usd": float(abs(position.quantity) * position.entry_price),
            "signal": position.side,
            "opened_at": document["opened_at"],
            **({"expected_duration": duration} if (duration := document["expected_duration"]) else {}),
        }

    def _protection(self, position: Position) -> tuple[Decimal | None, Decimal | None]:
        closing = "SELL" if position.quantity > 0 else "BUY"
        mine = [o for o in self._orders if o.symbol == position.symbol and o.side == closing]
        stops = [o.stop_price for o in mine if o.order_type in ("STOP", "STOP_MARKET")]
        targets = [o.stop_price for o in mine if o.order_type in ("TAKE_PROFIT", "TAKE_PROFIT_MARKET")]
        if position.quantity > 0:
            return max(stops, default=None), min(targets, default=None)
        return min(stops, default=None), max(targets, default=None)

    def _differs(self, symbol: str, what: str) -> None:
        if symbol not in self._expected:
            self._drift.append(f"{symbol}: {what}")


def _close_to(left: Decimal, right: Decimal) -> bool:
    return abs(left - right) <= TOLERANCE * max(abs(left), abs(right))

"""The orders of one account, and what filled them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from aster_tui.practice.errors import refuse
from aster_tui.practice.orders import Order

#: Orders that ended, and fills of one symbol, that an account remembers.
ORDERS_KEPT, FILLS_KEPT = 5_000, 5_000

Orders = dict[int, Order]


class Book:
    """Open orders, those that ended lately, and the fills by symbol. No look-up walks over all of them."""

    def __init__(self) -> None:
        self.by_id: Orders = {}
        self.open: Orders = {}
        self.fills: dict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=FILLS_KEPT))
        self._open_of: dict[str, Orders] = defaultdict(dict)
        self._all_of: dict[str, Orders] = defaultdict(dict)
        self._named: dict[str, Orders] = defaultdict(dict)
        self._ended: deque[Order] = deque()

    def add(self, order: Order) -> None:
        """Take a new order."""
        for orders in (
            self.by_id,
            self.open,
            self._open_of[order.symbol],
            self._all_of[order.symbol],
            self._named[order.client_id],
        ):
            orders[order.order_id] = order

    def close(self, order: Order) -> None:
        """An order ended; the oldest that ended is forgotten when there are too many."""
        if self.open.pop(order.order_id, None) is None:
            return
        del self._open_of[order.symbol][order.order_id]
        self._ended.append(order)
        if len(self._ended) > ORDERS_KEPT:
            self._forget(self._ended.popleft())

    def _forget(self, order: Order) -> None:
        named = self._named[order.client_id]
        for orders in (self.by_id, self._all_of[order.symbol], named):
            del orders[order.order_id]
        if not named:
            del self._named[order.client_id]

    def find(self, params: Mapping[str, str]) -> Order | None:
        """The order a request names by ``orderId`` or ``origClientOrderId`` (the newest of that name)."""
        symbol = params.get("symbol")
        if params.get("orderId"):
            text = params["orderId"]
            order = self.by_id.get(int(text)) if text.isascii() and text.isdigit() else None
            return order if order is not None and order.symbol == symbol else None
        name = params.get("origClientOrderId")
        if not name:
            raise refuse(-1102, "orderid") if name is None else refuse(-1119)
        named = self._named.get(name, {})
        return next((o for o in reversed(named.values()) if o.symbol == symbol), None)

    def is_open(self, client_id: str) -> bool:
        """Whether an open order has this client order id."""
        return any(o.open for o in self._named.get(client_id, {}).values())

    def of_symbol(self, symbol: str) -> list[Order]:
        """Open orders of a symbol, oldest first."""
        return list(self._open_of[symbol].values())

    def all_of(self, symbol: str) -> list[Order]:
        """Orders of a symbol of any status, oldest first."""
        return list(self._all_of[symbol].values())

"""The orders of one account."""

from __future__ import annotations

from collections.abc import Mapping

from aster_tui.practice.errors import refuse
from aster_tui.practice.orders import Order

#: Filled and cancelled orders an account remembers.
ORDERS_KEPT = 5_000


class Book:
    """Open orders, and those that ended lately."""

    def __init__(self) -> None:
        self.by_id: dict[int, Order] = {}
        self.open: dict[int, Order] = {}

    def add(self, order: Order) -> None:
        """Take a new order."""
        self.by_id[order.order_id] = order
        self.open[order.order_id] = order
        if len(self.by_id) > ORDERS_KEPT:
            oldest = next(i for i in self.by_id if i not in self.open)
            del self.by_id[oldest]

    def find(self, params: Mapping[str, str]) -> Order | None:
        """The order a request names by ``orderId`` or ``origClientOrderId`` (the newest of that name)."""
        symbol = params.get("symbol")
        if params.get("orderId"):
            text = params["orderId"]
            order = self.by_id.get(int(text)) if text.isascii() and text.isdigit() else None
            return order if order is not None and order.symbol == symbol else None
        name = params.get("origClientOrderId")
        if not name:
            raise refuse(-1102, "orderid")
        named = (o for o in reversed(self.by_id.values()) if o.client_id == name and o.symbol == symbol)
        return next(named, None)

    def of_symbol(self, symbol: str) -> list[Order]:
        """Open orders of a symbol, oldest first."""
        return [o for o in self.open.values() if o.symbol == symbol]

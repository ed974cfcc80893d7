"""Request weight per minute and orders per minute, counted and told in the answers' headers."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

MINUTE_MS = 60_000
#: Path → weight; 1 for what is not named. openOrders without a symbol costs 40.
WEIGHTS = {
    **{"balance": 5, "accountWithJoinMargin": 5, "positionRisk": 5, "allOrders": 5, "userTrades": 5},
    **{"countdownCancelAll": 10, "commissionRate": 20, "income": 30, "batchOrders": 5, "depth": 10},
    **{"klines": 5, "aggTrades": 20},
}
OPEN_ORDERS_OF_ALL = 40


class Limits:
    """Counts one minute at a time. This version tells and does not yet refuse."""

    def __init__(self) -> None:
        self._minute = 0
        self._weight = 0
        self._orders: Counter[str] = Counter()

    def weigh(self, request: web.Request, now_ms: int) -> dict[str, str]:
        """Count a request; the header to answer with."""
        self._turn(now_ms)
        name = request.path.rsplit("/", 1)[-1]
        if name == "openOrders" and "symbol" not in request.query:
            self._weight += OPEN_ORDERS_OF_ALL
        else:
            self._weight += WEIGHTS.get(name, 1)
        return {"X-MBX-USED-WEIGHT-1m": str(self._weight)}

    def count_order(self, user: str, now_ms: int) -> dict[str, str]:
        """Count an order; the header to answer with."""
        self._turn(now_ms)
        self._orders[user] += 1
        return {"X-MBX-ORDER-COUNT-1m": str(self._orders[user])}

    def _turn(self, now_ms: int) -> None:
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute, self._weight = minute, 0
            self._orders.clear()

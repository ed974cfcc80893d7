"""Request weight per minute and address, orders per minute and account: counted, told, and refused past the
limits when they are switched on (the fault ``limits``).

While they are off each account is told what it used itself, and requests of nobody what those used: many
clients on one machine share one address here, and each would keep back for the others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from aiohttp import web

from aster_tui.practice.errors import TEXTS, VenueError
from aster_tui.practice.faults import Faults

MINUTE_MS = 60_000
#: Path → weight; 1 for what is not named. openOrders without a symbol costs 40.
WEIGHTS = {
    **{"balance": 5, "accountWithJoinMargin": 5, "positionRisk": 5, "allOrders": 5, "userTrades": 5},
    **{"countdownCancelAll": 10, "commissionRate": 20, "income": 30, "batchOrders": 5, "depth": 10},
    **{"klines": 5, "aggTrades": 20},
}
OPEN_ORDERS_OF_ALL = 40
#: Requests after a 429 in the same minute that are still answered with 429; then the address is banned.
PATIENCE = 10
FIRST_BAN_MS = 120_000
LONGEST_BAN_MS = 3 * 24 * 3_600_000


@dataclass(slots=True)
class _Address:
    minute: int = 0
    weight: int = 0
    refused: int = 0
    banned_until: int = 0
    bans: int = 0


class Limits:
    """Counts one minute at a time."""

    def __init__(self, faults: Faults, weight_limit: int, order_limit: int) -> None:
        self._faults = faults
        self._weight_limit, self._order_limit = weight_limit, order_limit
        self._addresses: dict[str, _Address] = {}
        self._minute = 0
        self._orders: Counter[str] = Counter()
        self._weights: Counter[str] = Counter()

    def weigh(self, request: web.Request, now_ms: int) -> VenueError | None:
        """Count a request; the refusal if there is one."""
        address = self._addresses.setdefault(request.remote or "", _Address())
        minute = now_ms // MINUTE_MS
        if minute != address.minute:
            address.minute, address.weight, address.refused = minute, 0, 0
        address.weight += _weight(request)
        return self._refusal(address, now_ms) if self._faults.value("limits") else None

    def told(self, request: web.Request, user: str | None, now_ms: int) -> dict[str, str]:
        """The headers to answer a request with; ``user`` is who signed it, None for nobody."""
        self._turn(now_ms)
        whose = user or "nobody"
        self._weights[whose] += _weight(request)
        of_all = self._addresses[request.remote or ""].weight
        used = of_all if self._faults.value("limits") else self._weights[whose]
        return {"X-MBX-USED-WEIGHT-1m": str(used)}

    def _turn(self, now_ms: int) -> None:
        minute = now_ms // MINUTE_MS
        if minute != self._minute:
            self._minute = minute
            self._orders.clear()
            self._weights.clear()

    def count_orders(self, user: str, count: int, now_ms: int) -> dict[str, str]:
        """Count orders; the headers to answer with.

        Raises:
            VenueError: -1015, too many.
        """
        self._turn(now_ms)
        self._orders[user] += count
        if self._faults.value("limits") and self._orders[user] > self._order_limit:
            left = (MINUTE_MS - now_ms % MINUTE_MS) // 1000 + 1
            raise VenueError(-1015, TEXTS[-1015] % (self._order_limit, "MINUTE"), 429, retry_after_s=left)
        return {"X-MBX-ORDER-COUNT-1m": str(self._orders[user])}

    def _refusal(self, address: _Address, now_ms: int) -> VenueError | None:
        if now_ms < address.banned_until:
            return self._banned(address, now_ms)
        if address.weight <= self._weight_limit:
            return None
        address.refused += 1
        if address.refused > PATIENCE:
            length = min(FIRST_BAN_MS * 4**address.bans, LONGEST_BAN_MS)
            address.bans, address.banned_until = address.bans + 1, now_ms + length
            return self._banned(address, now_ms)
        left = (MINUTE_MS - now_ms % MINUTE_MS) // 1000 + 1
        return VenueError(-1003, TEXTS[-1003] % self._weight_limit, 429, retry_after_s=left)

    def _banned(self, address: _Address, now_ms: int) -> VenueError:
        left = (address.banned_until - now_ms) // 1000 + 1
        text = f"Way too many requests; IP banned until {address.banned_until}."
        return VenueError(-1003, text, 418, retry_after_s=left)


def _weight(request: web.Request) -> int:
    name = request.path.rsplit("/", 1)[-1]
    if name == "openOrders" and "symbol" not in request.query:
        return OPEN_ORDERS_OF_ALL
    if request.path.endswith("positionSide/dual") and request.method == "GET":
        return 30
    return WEIGHTS.get(name, 1)

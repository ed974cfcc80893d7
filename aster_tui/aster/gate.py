"""Keeps this process inside the venue's limits: what would be refused or punished is not sent at all.

The weight limit is per address, so all clients of one base address share a gate; the order limit is per
account. The allowance is spent by priority: each may use its share of a minute, and what is above the share
of the orders is kept back for an emergency close. After a 429 nothing is sent for as long as the venue says,
and after a 418 (every request lengthens a ban) neither.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from aster_tui.aster.errors import RateLimited, local_time

MINUTE_S = 60


class Priority(IntEnum):
    """What a request is for; the higher goes first where not all can."""

    DISPLAY = 0
    SYNC = 1
    ORDERS = 2
    EMERGENCY = 3


#: Up to which part of a minute's weight, and of its orders, each priority is sent.
SHARES = {Priority.DISPLAY: 0.6, Priority.SYNC: 0.7, Priority.ORDERS: 0.85, Priority.EMERGENCY: 1.0}
#: What must go on when others may not: what became of an order, the clock of every nonce, and the key of the
#: stream that spares all other reads.
URGENT_PATHS = frozenset({"/fapi/v3/order", "/fapi/v3/time", "/fapi/v3/listenKey", "/fapi/v3/noop"})
_WEIGHTS = {
    **{"balance": 5, "accountWithJoinMargin": 5, "positionRisk": 5, "allOrders": 5, "userTrades": 5},
    **{"batchOrders": 5, "countdownCancelAll": 10, "commissionRate": 20, "income": 30, "depth": 10},
    **{"klines": 5, "aggTrades": 20},
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs: ``weight`` of the address, and ``orders`` of an ``account``."""

    weight: int
    orders: int = 0
    account: str = ""


def cost_of(method: str, path: str, string: str, account: str = "") -> Cost:
    """The cost of a request, by the venue's published weights; 1 where none is published."""
    name = path.removeprefix("/fapi/v3/")
    if method == "POST" and name == "order":
        return Cost(1, 1, account)
    if method == "POST" and name == "batchOrders":
        return Cost(5, max(1, string.count("%22symbol%22")), account)
    if name == "batchOrders":
        return Cost(1)
    if name == "openOrders" and not string.startswith("symbol="):
        return Cost(40)
    if name == "positionSide/dual":
        return Cost(30 if method == "GET" else 1)
    return Cost(_WEIGHTS.get(name, 1))


@dataclass(slots=True)
class _Counter:
    """What was used of one limit in the present minute: as told by the venue, and under way."""

    told: int = 0
    under_way: int = 0

    @property
    def used(self) -> int:
        return self.told + self.under_way

    def answered(self, amount: int, told: int | None) -> None:
        self.under_way = max(0, self.under_way - amount)
        # Without the header (it may be missing) our own count stands.
        self.told = max(self.told, told) if told is not None else self.told + amount


@dataclass(slots=True)
class _Account:
    orders: _Counter = field(default_factory=_Counter)
    closed_until: float = 0.0


class Gate:
    """One address's allowance.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.limit, self.order_limit = 2400, 1200
        #: Server minus local time, ms: the minute that counts is the venue's.
        self.offset_ms = 0
        self._minute, self._weight = 0, _Counter()
        self._accounts: dict[str, _Account] = {}
        self._closed_until, self._banned = 0.0, False

    @property
    def closed_until(self) -> float:
        """Until when the venue told to send nothing (Unix seconds, local time); 0 or past when it is open."""
        return self._closed_until

    @property
    def left(self) -> int:
        """Request weight that the present minute has left, as far as is known here."""
        with self._lock:
            self._turned()
            return self.limit - self._weight.used

    @property
    def minute_left_s(self) -> float:
        """How long the venue's present minute still is (s)."""
        return self._left()

    def enter(self, path: str, cost: Cost, priority: Priority) -> int:
        """Take a request's cost, if it may go now; returns the minute it was taken in.

        Raises:
            RateLimited: not yet; it says until when. Nothing was sent.
        """
        with self._lock:
            now = self._turned()
            if now < self._closed_until:
                why = "banned by the exchange" if self._banned else "too many requests"
                raise self._held(418 if self._banned else 429, why, self._closed_until - now)
            if path in URGENT_PATHS:
                priority = max(priority, Priority.ORDERS)
            self._check(f"{self._weight.used} of {self.limit} request weight", priority, cost.weight)
            account = self._accounts.setdefault(cost.account, _Account()) if cost.orders else None
            if account is not None:
                self._check_orders(account, cost, priority, now)
                account.orders.under_way += cost.orders
            self._weight.under_way += cost.weight
            return self._minute

    def leave(self, cost: Cost, minute: int, *, weight: int | None, orders: int | None) -> None:
        """A request ended; ``weight`` and ``orders`` are what its answer told of the minute, or None."""
        with self._lock:
            self._turned()
            if minute != self._minute:
                return  # it tells of a minute that is over
            self._weight.answered(cost.weight, weight)
            if cost.orders:
                self._accounts.setdefault(cost.account, _Account()).orders.answered(cost.orders, orders)

    def refused(self, retry_after_s: float, *, banned: bool) -> None:
        """The venue refused: send nothing for this long."""
        with self._lock:
            until = self._clock() + retry_after_s
            if until > self._closed_until:
                self._closed_until, self._banned = until, banned

    def refused_orders(self, account: str, retry_after_s: float) -> None:
        """The venue takes no more orders of this account (-1015) for this long; all else goes on."""
        with self._lock:
            known = self._accounts.setdefault(account, _Account())
            known.closed_until = max(known.closed_until, self._clock() + retry_after_s)

    def _check(self, used: str, priority: Priority, weight: int) -> None:
        # An emergency is never held back by our own count: if the venue has had enough, it says so.
        if priority < Priority.EMERGENCY and self._weight.used + weight > self.limit * SHARES[priority]:
            kept = "orders" if priority < Priority.ORDERS else "an emergency close"
            raise self._held(429, f"{used} used; the rest is for {kept}", self._left())

    def _check_orders(self, account: _Account, cost: Cost, priority: Priority, now: float) -> None:
        if now < account.closed_until:
            raise self._held(429, "too many orders of this account", account.closed_until - now, -1015)
        share = SHARES[priority] * self.order_limit
        if priority < Priority.EMERGENCY and account.orders.used + cost.orders > share:
            used = f"{account.orders.used} of {self.order_limit} orders a minute"
            raise self._held(429, f"{used} used; the rest is for an emergency close", self._left(), -1015)

    def _held(self, status: int, why: str, seconds: float, number: int = 0) -> RateLimited:
        error = RateLimited(status, number, "", seconds)
        error.message = f"{why}: nothing is sent until {local_time(self._clock() + seconds)}"
        error.remedy = "wait; it goes on by itself"
        return error

    def _left(self) -> float:
        return MINUTE_S - (self._clock() + self.offset_ms / 1000) % MINUTE_S

    def _turned(self) -> float:
        now = self._clock()
        minute = int((now + self.offset_ms / 1000) // MINUTE_S)
        if minute != self._minute:
            self._minute, self._weight = minute, _Counter()
            for account in self._accounts.values():
                account.orders = _Counter()
        return now


_GATES: dict[str, Gate] = {}
_LOCK = threading.Lock()


def gate_of(base: str) -> Gate:
    """The gate that all clients of a base address share."""
    with _LOCK:
        return _GATES.setdefault(base, Gate())

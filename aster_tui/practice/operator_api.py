"""The operator of the practice exchange: its state, and what it can be made to do (``/practice/…``)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from aster_tui.practice import payloads
from aster_tui.practice.auth import Authenticator
from aster_tui.practice.errors import TEXTS, VenueError
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.faults import FaultError, Faults
from aster_tui.practice.hub import Hub
from aster_tui.practice.listings import LISTINGS

STATUSES = ("TRADING", "REDUCE_ONLY", "CLOSE")
#: What an account's signers may do: everything, only reduce (-4087), nothing (-4088), or they are not known.
PERMISSIONS = ("all", "reduce", "none", "unknown")
MOST_REFUSALS = 1_000
Body = dict[str, Any]


class Wrong(ValueError):
    """The operator asked for something that is not there. One line."""


class OperatorApi:
    """Answers the operator; none of it is signed, weighed or disturbed by faults."""

    def __init__(
        self,
        exchange: Exchange,
        authenticator: Authenticator,
        hub: Hub,
        faults: Faults,
        *,
        requests: Counter[str],
        rejected: Counter[str],
    ) -> None:
        self._exchange = exchange
        self._authenticator = authenticator
        self._hub = hub
        self._faults = faults
        self._requests = requests
        self._rejected = rejected

    def routes(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/practice/state", self._state)
        for name, call in (
            ("price", self._price),
            ("faults", self._set_faults),
            ("refuse", self._refuse),
            ("symbol", self._symbol),
            ("account", self._account),
            ("funding", self._funding),
            ("adl", self._deleverage),
        ):
            app.router.add_post(f"/practice/{name}", _answered(call))

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "time": self._exchange.now(),
                "accounts": self._exchange.state(),
                "requests": dict(self._requests),
                "executed_orders": self._exchange.executed_orders,
                "rejected": dict(self._rejected),
                "streams": self._hub.count,
            }
        )

    def _price(self, body: Body) -> Any:
        """Set a symbol's price; ``mark`` sets the mark price apart."""
        symbol = self._symbol_of(body)
        try:
            price = Decimal(str(body.get("price")))
            mark = Decimal(str(body["mark"])) if "mark" in body else None
            self._exchange.set_price(symbol, price, mark)
        except InvalidOperation:
            raise Wrong("price must be a number") from None
        except ValueError as error:
            raise Wrong(str(error)) from None
        return {"symbol": symbol, "price": payloads.text(price)}

    def _set_faults(self, body: Body) -> Any:
        self._faults.set(body)
        return {name: self._faults.value(name) for name in body}

    def _refuse(self, body: Body) -> Any:
        """Refuse the next ``times`` requests to ``path`` ("POST /fapi/v3/order", without one any) with the
        venue's error ``code``, at HTTP ``status`` (400)."""
        code, times, status = body.get("code"), body.get("times", 1), body.get("status", 400)
        if not isinstance(code, int) or (code not in TEXTS and "msg" not in body):
            raise Wrong("code must be one of the venue's, or come with a msg")
        if not isinstance(times, int) or not 0 < times <= MOST_REFUSALS:
            raise Wrong(f"times must be from 1 to {MOST_REFUSALS}")
        if not isinstance(status, int) or not 400 <= status < 600:
            raise Wrong("status must be from 400 to 599")
        text = str(body.get("msg", TEXTS.get(code, "")))
        self._faults.refuse(VenueError(code, text, status), str(body.get("path", "")), times)
        return {"code": code, "times": times}

    def _symbol(self, body: Body) -> Any:
        symbol, status = self._symbol_of(body), body.get("status")
        if status not in STATUSES:
            raise Wrong(f"status must be one of {', '.join(STATUSES)}")
        self._exchange.statuses[symbol] = status
        return {"symbol": symbol, "status": status}

    def _account(self, body: Body) -> Any:
        user, trading = self._user_of(body), body.get("trading")
        if trading not in PERMISSIONS:
            raise Wrong(f"trading must be one of {', '.join(PERMISSIONS)}")
        self._exchange.accounts[user].trading = trading
        if trading == "unknown":
            self._authenticator.revoked.add(user)
        else:
            self._authenticator.revoked.discard(user)
        return {"user": user, "trading": trading}

    def _funding(self, body: Body) -> Any:
        self._exchange.risk.fund(self._exchange.now(), at_once=True)
        return {}

    def _deleverage(self, body: Body) -> Any:
        if not self._exchange.risk.deleverage(self._user_of(body), self._symbol_of(body)):
            raise Wrong("there is no such position")
        return {}

    def _symbol_of(self, body: Body) -> str:
        symbol = body.get("symbol")
        if not isinstance(symbol, str) or symbol not in LISTINGS:
            raise Wrong(f"no such symbol: {symbol}")
        return symbol

    def _user_of(self, body: Body) -> str:
        user = str(body.get("user", "")).lower()
        if user not in self._exchange.accounts:
            raise Wrong(f"no such user: {user}")
        return user


def _answered(call: Callable[[Body], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.text() or "{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return web.json_response({"error": "a JSON object is expected"}, status=400)
        try:
            return web.json_response(call(body))
        except (Wrong, FaultError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return handle

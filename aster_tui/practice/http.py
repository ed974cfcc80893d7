"""The HTTP side: routes, the authentication of signed calls, weights, and the operator's ``/practice``."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from aster_tui.practice import payloads
from aster_tui.practice.account_api import AccountApi
from aster_tui.practice.auth import Authenticator, split_signature
from aster_tui.practice.errors import VenueError, refuse
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.faults import FaultError, Faults
from aster_tui.practice.hub import MARKET_STREAMS, Hub
from aster_tui.practice.ledger import ZERO
from aster_tui.practice.limits import Limits
from aster_tui.practice.listings import LISTINGS, exchange_info
from aster_tui.practice.market_api import MarketApi
from aster_tui.practice.orders import listing_of, whole

Params = dict[str, str]
Public = Callable[[Params], Any]
Signed = Callable[[str, Params], Any]
API = "/fapi/v3"
HTML_500 = "<html><body><h1>500 Internal Server Error</h1></body></html>"


class Api:
    """Answers requests."""

    def __init__(
        self, exchange: Exchange, authenticator: Authenticator, hub: Hub, faults: Faults, limits: Limits
    ) -> None:
        self._exchange = exchange
        self._authenticator = authenticator
        self._hub = hub
        self._faults = faults
        self._limits = limits
        self.requests: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def routes(self, app: web.Application) -> None:
        """Add every path to an application."""
        public: dict[str, Public] = {
            "ping": lambda _: {},
            "time": lambda _: {"serverTime": self._exchange.now()},
            "exchangeInfo": lambda _: exchange_info(self._exchange.now()),
            **MarketApi(self._exchange).calls(),
        }
        signed: dict[tuple[str, str], Signed] = {
            ("POST", "order"): self._place,
            ("GET", "order"): self._query,
            ("DELETE", "order"): self._cancel,
            ("POST", "order/test"): self._test,
            ("GET", "openOrders"): self._open_orders,
            ("DELETE", "allOpenOrders"): self._cancel_all,
            ("GET", "positionRisk"): self._position_risk,
            ("GET", "balance"): self._balance,
            ("GET", "accountWithJoinMargin"): self._account,
            ("POST", "leverage"): self._leverage,
            ("POST", "noop"): self._noop,
            ("POST", "listenKey"): self._create_key,
            ("PUT", "listenKey"): self._renew_key,
            ("DELETE", "listenKey"): self._close_key,
            **AccountApi(self._exchange).calls(),
        }
        for name, public_call in public.items():
            app.router.add_get(f"{API}/{name}", self._public(public_call))
        for (method, name), signed_call in signed.items():
            app.router.add_route(method, f"{API}/{name}", self._signed(signed_call))
        # The spot host's market list, which some clients ask first: this venue has no spot market.
        app.router.add_get("/api/v3/exchangeInfo", self._public(lambda _: {"symbols": []}))
        app.router.add_get("/ws/{stream}", self._raw_stream)
        app.router.add_get("/stream", self._combined_stream)
        app.router.add_get("/practice/state", self._state)
        app.router.add_post("/practice/price", self._set_price)
        app.router.add_post("/practice/faults", self._set_faults)

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Around every request: count, delay, faults, weights, and refusals as the venue writes them."""
        if request.path.startswith("/practice/"):
            return await handler(request)
        self.requests[f"{request.method} {request.path}"] += 1
        if delay := self._faults.value("latency-ms"):
            await asyncio.sleep(delay / 1000)
        if request.path.startswith(("/ws", "/stream")):
            return await handler(request)
        if self._faults.strikes("html500"):
            return web.Response(
                status=500, text="<html><body><h1>500</h1></body></html>", content_type="text/html"
            )
        if self._faults.strikes("http503"):
            return _json({"code": -1001, "msg": "Service Unavailable."}, 503)
        if self._faults.strikes("429"):
            text = "Too many requests; current limit is 2400 requests per minute."
            refused = _json({"code": -1003, "msg": text}, 429)
            refused.headers["Retry-After"] = "1"
            return refused
        weight = self._limits.weigh(request, self._exchange.now())
        try:
            response = await handler(request)
        except VenueError as error:
            self.rejected[str(error.code)] += 1
            response = _json({"code": error.code, "msg": error.msg}, error.status)
        except web.HTTPException as error:
            response = _json({"code": -1, "msg": error.reason}, error.status)
        response.headers.update(weight)
        return self._after(request, response)

    def _after(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Faults that happen once a request was carried out: the answer is lost, or turned into a 503."""
        if request.method == "GET":
            return response
        if self._faults.strikes("lost-reply"):
            if isinstance(request.transport, asyncio.WriteTransport):
                request.transport.abort()
            return response
        if self._faults.strikes("503-after"):
            return _json({"code": -1001, "msg": "Service Unavailable."}, 503)
        return response

    # Authentication

    def _public(self, call: Public) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            return _json(call(_params(_raw_query(request))))

        return handle

    def _signed(self, call: Signed) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            raw = _raw_query(request) + await request.read()
            message, signature = split_signature(raw)
            params = _params(message)
            user = self._authenticator.check(message, signature, params, self._exchange.now() * 1000)
            answer = call(user, params)
            if asyncio.iscoroutine(answer):
                answer = await answer
            response = _json(answer)
            if request.path.endswith(f"{API}/order") and request.method == "POST":
                response.headers.update(self._limits.count_order(user, self._exchange.now()))
            return response

        return handle

    # Signed calls

    def _place(self, user: str, params: Params) -> Any:
        order = self._exchange.place(user, params)
        assert order is not None
        return payloads.order(order, acknowledged_only=params.get("newOrderRespType", "ACK") == "ACK")

    def _test(self, user: str, params: Params) -> Any:
        self._exchange.place(user, params, test=True)
        return {}

    def _query(self, user: str, params: Params) -> Any:
        listing_of(params)
        order = self._exchange.books[user].find(params)
        if order is None:
            raise refuse(-2013)
        return payloads.order(order)

    def _cancel(self, user: str, params: Params) -> Any:
        listing_of(params)
        return payloads.order(self._exchange.cancel(user, params))

    def _cancel_all(self, user: str, params: Params) -> Any:
        self._exchange.cancel_all(user, listing_of(params).symbol)
        return {"code": "200", "msg": "The operation of cancel all open order is done."}

    def _open_orders(self, user: str, params: Params) -> Any:
        symbol = listing_of(params).symbol if "symbol" in params else None
        orders = self._exchange.books[user].open.values()
        return [payloads.order(o) for o in orders if symbol in (None, o.symbol)]

    def _position_risk(self, user: str, params: Params) -> Any:
        exchange = self._exchange
        account = exchange.accounts[user]
        symbols = [listing_of(params).symbol] if "symbol" in params else list(LISTINGS)
        return [
            payloads.position_risk(
                account, s, exchange.market.quote(s), exchange.liquidation_price(user, account.position(s))
            )
            for s in symbols
        ]

    def _balance(self, user: str, params: Params) -> Any:
        unrealized, available = self._exchange.unrealized(user), self._exchange.available(user)
        return [payloads.balance(self._exchange.accounts[user], unrealized, max(available, ZERO))]

    def _account(self, user: str, params: Params) -> Any:
        account = self._exchange.accounts[user]
        unrealized = self._exchange.unrealized(user)
        available = max(self._exchange.available(user), ZERO)
        wallet, margin = payloads.eight(account.wallet), payloads.eight(account.wallet + unrealized)
        bound = payloads.eight(account.wallet + unrealized - self._exchange.available(user))
        risks = [row for row in self._position_risk(user, {}) if row["positionAmt"] != "0"]
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "updateTime": account.updated_ms,
            "totalInitialMargin": bound,
            "totalWalletBalance": wallet,
            "totalUnrealizedProfit": payloads.eight(unrealized),
            "totalMarginBalance": margin,
            "totalCrossWalletBalance": wallet,
            "totalCrossUnPnl": payloads.eight(unrealized),
            "availableBalance": payloads.eight(available),
            "maxWithdrawAmount": payloads.eight(available),
            "assets": [
                {
                    "asset": "USDT",
                    "walletBalance": wallet,
                    "unrealizedProfit": payloads.eight(unrealized),
                    "marginBalance": margin,
                    "initialMargin": bound,
                    "crossWalletBalance": wallet,
                    "availableBalance": payloads.eight(available),
                    "marginAvailable": True,
                    "updateTime": account.updated_ms,
                }
            ],
            "positions": [
                {
                    "symbol": row["symbol"],
                    "positionAmt": row["positionAmt"],
                    "entryPrice": row["entryPrice"],
                    "unrealizedProfit": row["unRealizedProfit"],
                    "leverage": row["leverage"],
                    "isolated": False,
                    "positionSide": "BOTH",
                    "updateTime": row["updateTime"],
                }
                for row in risks
            ],
        }

    def _leverage(self, user: str, params: Params) -> Any:
        listing = listing_of(params)
        leverage = whole(params, "leverage")
        self._exchange.set_leverage(user, listing.symbol, leverage)
        return {
            "symbol": listing.symbol,
            "leverage": leverage,
            "maxNotionalValue": payloads.text(listing.max_notional),
        }

    def _noop(self, user: str, params: Params) -> Any:
        # The nonce was taken by the authentication: a late order that carries it will be refused.
        return {"code": 200, "msg": "success"}

    def _create_key(self, user: str, params: Params) -> Any:
        return {"listenKey": self._hub.create_key(user, self._exchange.now())}

    def _renew_key(self, user: str, params: Params) -> Any:
        if not self._hub.renew_key(user, self._exchange.now()):
            raise refuse(-1125)
        return {}

    async def _close_key(self, user: str, params: Params) -> Any:
        await self._hub.close_key(user)
        return {}

    # Streams

    async def _raw_stream(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, [request.match_info["stream"]], wrapped=False)

    async def _combined_stream(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        return await self._stream(request, names, wrapped=True)

    async def _stream(self, request: web.Request, names: list[str], *, wrapped: bool) -> web.StreamResponse:
        market = [n for n in names if n in MARKET_STREAMS or _is_symbol_stream(n)]
        keys = [n for n in names if n not in market]
        if len(keys) > 1 or not names:
            return _json({"code": -1125, "msg": "Invalid stream."}, 400)
        user = self._hub.user_of(keys[0], self._exchange.now()) if keys else None
        if keys and user is None:
            return _json({"code": -1125, "msg": "This listenKey does not exist."}, 400)
        return await self._hub.serve(
            request, market, wrapped=wrapped, user=user, key=keys[0] if keys else None
        )

    # The operator

    async def _state(self, request: web.Request) -> web.Response:
        return _json(
            {
                "time": self._exchange.now(),
                "accounts": self._exchange.state(),
                "requests": dict(self.requests),
                "executed_orders": self._exchange.executed_orders,
                "rejected": dict(self.rejected),
                "streams": self._hub.count,
            }
        )

    async def _set_price(self, request: web.Request) -> web.Response:
        body = await _body(request)
        symbol = body.get("symbol")
        if symbol not in LISTINGS:
            return _json({"error": f"no such symbol: {symbol}"}, 400)
        try:
            price = Decimal(str(body.get("price")))
            self._exchange.set_price(symbol, price)
        except (InvalidOperation, ValueError):
            return _json({"error": "price must be a number above zero"}, 400)
        return _json({"symbol": symbol, "price": payloads.text(price)})

    async def _set_faults(self, request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            for name, value in body.items():
                self._faults.set(name, value)
        except FaultError as error:
            return _json({"error": str(error)}, 400)
        return _json({name: self._faults.value(name) for name in body})


def _is_symbol_stream(name: str) -> bool:
    symbol, _, kind = name.partition("@")
    return symbol.upper() in LISTINGS and kind in ("markPrice", "markPrice@1s")


def _raw_query(request: web.Request) -> bytes:
    """The query as it came over the wire: the signature covers its bytes, not their meaning."""
    return request.raw_path.partition("?")[2].encode()


def _params(raw: bytes) -> Params:
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(raw))
    except ValueError:  # UnicodeDecodeError is one too
        raise refuse(-1102, "query") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise refuse(-1101)
    return dict(pairs)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except ValueError:
        raise web.HTTPBadRequest(reason="a JSON object is expected") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="a JSON object is expected")
    return body


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)

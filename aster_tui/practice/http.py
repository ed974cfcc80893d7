"""The HTTP side: routes, the authentication of signed calls, weights and faults."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

import orjson
from aiohttp import web

from aster_tui.practice import payloads
from aster_tui.practice.account_api import AccountApi
from aster_tui.practice.auth import Authenticator, split_signature
from aster_tui.practice.errors import TEXTS, VenueError, refuse
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.faults import Faults
from aster_tui.practice.hub import Hub
from aster_tui.practice.ledger import ZERO, Account, Position
from aster_tui.practice.limits import Limits
from aster_tui.practice.listings import LISTINGS, exchange_info
from aster_tui.practice.market_api import MarketApi
from aster_tui.practice.market_streams import is_market_stream
from aster_tui.practice.orders import listing_of, whole

Params = dict[str, str]
Public = Callable[[Params], Any]
Signed = Callable[[str, Params], Any]
API = "/fapi/v3"
_LISTEN_KEY = re.compile(r"/ws/[0-9a-f]{64}")
#: Who signed the request that is being answered.
_signed_by: ContextVar[str | None] = ContextVar("signed_by", default=None)
ORDER_PATHS = (f"{API}/order", f"{API}/batchOrders")


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
            "exchangeInfo": lambda _: exchange_info(
                self._exchange.now(), self._exchange.statuses, self._exchange.options
            ),
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
            **AccountApi(self._exchange, self.rejected).calls(),
        }
        for name, public_call in public.items():
            app.router.add_get(f"{API}/{name}", self._public(public_call))
        for (method, name), signed_call in signed.items():
            app.router.add_route(method, f"{API}/{name}", self._signed(signed_call))
        # The spot host's market list, which some clients ask first: this venue has no spot market.
        app.router.add_get("/api/v3/exchangeInfo", self._public(lambda _: {"symbols": []}))
        app.router.add_get("/ws", self._raw_stream)
        app.router.add_get("/ws/{stream}", self._raw_stream)
        app.router.add_get("/stream", self._combined_stream)

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Around every request: count, delay, faults, weights, and refusals as the venue writes them."""
        if request.path.startswith("/practice/"):
            return await handler(request)
        # Listen keys are many and secret: their sockets count as one path.
        path = request.path
        self.requests[f"{request.method} {'/ws/listenKey' if _LISTEN_KEY.fullmatch(path) else path}"] += 1
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
        refused = self._limits.weigh(request, self._exchange.now()) or self._told_to_refuse(request)
        response: web.StreamResponse
        _signed_by.set(None)
        if refused is not None:
            response = self._refused(refused)
        else:
            try:
                response = await handler(request)
            except VenueError as error:
                response = self._refused(error)
            except web.HTTPException as error:
                response = _json({"code": -1, "msg": error.reason}, error.status)
        response.headers.update(self._limits.told(request, _signed_by.get(), self._exchange.now()))
        return response if refused is not None else self._after(request, response)

    def _told_to_refuse(self, request: web.Request) -> VenueError | None:
        """The operator's refusals, and the fault of the limits."""
        if self._faults.strikes("429"):
            return VenueError(-1003, TEXTS[-1003] % 2400, 429, retry_after_s=1)
        return self._faults.refusal(f"{request.method} {request.path}")

    def _refused(self, error: VenueError) -> web.Response:
        self.rejected[str(error.code)] += 1
        response = _json({"code": error.code, "msg": error.msg}, error.status)
        if error.retry_after_s:
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response

    def _after(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Faults that happen once a request was carried out: the answer is lost, or turned into a 503."""
        if request.method == "GET":
            return response
        if self._faults.strikes("lost-reply"):
            _hang_up(request)
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
            query, body = _raw_query(request), await request.read()
            message, signature = split_signature(query + b"&" + body if query and body else query or body)
            params = _params(message)
            user = self._authenticator.check(message, signature, params, self._exchange.now() * 1000)
            _signed_by.set(user)
            counted = {}
            if request.method == "POST" and request.path in ORDER_PATHS:
                counted = self._limits.count_orders(user, _count_of(params), self._exchange.now())
            answer = call(user, params)
            if asyncio.iscoroutine(answer):
                answer = await answer
            response = _json(answer)
            response.headers.update(counted)
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
        account = self._exchange.accounts[user]
        symbols = [listing_of(params).symbol] if "symbol" in params else list(LISTINGS)
        sides = ("LONG", "SHORT") if account.hedge else ("BOTH",)
        return self._risks(account, [(symbol, side) for symbol in symbols for side in sides])

    def _risks(self, account: Account, keys: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        market, margin = self._exchange.market, self._exchange.margin
        spare = margin.spare(account)

        def liquidation(position: Position) -> Decimal:
            return margin.liquidation_price(account, position, spare)

        return [
            payloads.position_risk(account, symbol, side, market.quote(symbol), liquidation)
            for symbol, side in keys
        ]

    def _balance(self, user: str, params: Params) -> Any:
        exchange, account = self._exchange, self._exchange.accounts[user]
        cross = exchange.margin.unrealized(account, cross_only=True)
        return [payloads.balance(account, cross, max(exchange.available(user), ZERO))]

    def _account(self, user: str, params: Params) -> Any:
        exchange, account = self._exchange, self._exchange.accounts[user]
        rows = self._risks(account, [(p.symbol, p.side) for p in account.held])
        cross = exchange.margin.unrealized(account, cross_only=True)
        return payloads.account(account, exchange.unrealized(user), cross, exchange.available(user), rows)

    def _leverage(self, user: str, params: Params) -> Any:
        listing = listing_of(params)
        leverage = whole(params, "leverage")
        self._exchange.set_leverage(user, listing.symbol, leverage)
        return {
            "symbol": listing.symbol,
            "leverage": leverage,
            "maxNotionalValue": payloads.text(listing.max_notional(leverage)),
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
        name = request.match_info.get("stream")
        return await self._stream(request, [name] if name else [], wrapped=False)

    async def _combined_stream(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        return await self._stream(request, names, wrapped=True)

    async def _stream(self, request: web.Request, names: list[str], *, wrapped: bool) -> web.StreamResponse:
        market = [n for n in names if is_market_stream(n)]
        keys = [n for n in names if n not in market]
        if len(keys) > 1:
            return _json({"code": -1125, "msg": "Invalid stream."}, 400)
        user = self._hub.user_of(keys[0], self._exchange.now()) if keys else None
        if keys and user is None:
            return _json({"code": -1125, "msg": "This listenKey does not exist."}, 400)
        return await self._hub.serve(
            request, market, wrapped=wrapped, user=user, key=keys[0] if keys else None
        )


def _raw_query(request: web.Request) -> bytes:
    """The query as it came over the wire: the signature covers its bytes, not their meaning."""
    return request.raw_path.partition("?")[2].encode()


def _params(raw: bytes) -> Params:
    if not raw:
        return {}
    try:
        pairs = [pair.split("=", 1) for pair in raw.decode("utf-8").split("&")]
        found = {_plain(name): _plain(value) for name, value in pairs}
    except ValueError:  # no "=", or no UTF-8
        raise refuse(-1102, "query") from None
    if len(found) != len(pairs):
        raise refuse(-1101)
    return found


def _plain(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _count_of(params: Params) -> int:
    """How many orders a request places."""
    return max(1, params.get("batchOrders", "").count('"symbol"'))


def _hang_up(request: web.Request) -> None:
    """End the connection without a word."""
    transport: Any = request.transport
    if transport is not None:
        transport.abort()


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")

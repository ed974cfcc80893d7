"""The REST client. :class:`Observer` reads; :class:`Trader` adds what changes something.

Read-only is a type: a console that watches holds an Observer, and there is no method on it with which an
order could leave. Reads are asked again when they get no answer; what changes something never is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import tenacity
from pydantic import ValidationError

from aster_tui.aster import models
from aster_tui.aster.errors import AnswerError, AsterError, MalformedAnswer, OutcomeUnknown, Unreachable
from aster_tui.aster.nonces import SHARED, NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.transport import Transport
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.events import AccountSnapshot, MarkPrices
from aster_tui.domain.outcomes import FenceAnswer
from aster_tui.domain.symbols import QUOTE, SymbolRules
from aster_tui.domain.trading import ZERO, Order, Position, account_key

Parameters = Sequence[tuple[str, str]]
M = TypeVar("M", bound=models.Wire)

READ_TRIES = 3
NONCE_REFUSED = -4225
#: "Already so" of leverage and margin type: success.
NO_CHANGE_CODES = frozenset({-4046, -4059})


@dataclass(frozen=True, slots=True)
class Clock:
    """Server time minus local time, and the round trip it was measured with, in ms."""

    offset_ms: int
    round_trip_ms: int


@dataclass(frozen=True, slots=True)
class PreparedOrder:
    """A signed order that was not sent yet: the exact bytes, and the nonce that fences it."""

    request: OrderRequest
    nonce: int
    string: str

    def __repr__(self) -> str:
        return f"PreparedOrder({self.request}, nonce={self.nonce})"  # without the signature


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """Symbols that trade with their filters, the limits, and the symbols that could not be read."""

    rules: dict[str, SymbolRules]
    weight_limit: int
    order_limit: int
    unreadable: tuple[str, ...] = ()


class Observer:
    """Reads the exchange. Signed reads need a wallet.

    Args:
        on_weight: told the used request weight after each answer.
    """

    def __init__(
        self,
        venue: Venue,
        wallet: Wallet | None = None,
        *,
        nonces: NonceSource = SHARED,
        timeout_s: float = 5.0,
        on_weight: Callable[[int], None] | None = None,
    ) -> None:
        self.venue = venue
        self.wallet = wallet
        self._nonces = nonces
        self._timeout_s = timeout_s
        self._transport = Transport(venue.rest_url, timeout_s, on_weight)

    @property
    def clock_offset_ms(self) -> int:
        """Server minus local time as last measured by any client that shares the nonces."""
        return self._nonces.offset_ms

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    # Public

    async def ping(self) -> None:
        """Whether the exchange answers (weight 1)."""
        await self._read("/fapi/v3/ping")

    async def server_time(self) -> int:
        """Server time in Unix ms (weight 1)."""
        return _model(models.ServerTime, await self._read("/fapi/v3/time")).server_time

    async def measure_clock(self) -> Clock:
        """How far server time is from ours, taking the middle of the round trip; used for nonces from now."""
        started_wall, started = time.time_ns(), time.perf_counter_ns()
        server = _model(models.ServerTime, await self._once("GET", "/fapi/v3/time", "", changes=False))
        trip_ns = time.perf_counter_ns() - started
        middle_ms = (started_wall + trip_ns // 2) // 1_000_000
        self._nonces.offset_ms = server.server_time - middle_ms
        return Clock(self._nonces.offset_ms, round(trip_ns / 1_000_000))

    async def exchange_info(self) -> ExchangeInfo:
        """Symbols, filters and limits (weight 1). One symbol that cannot be read does not cost the others."""
        answer = _model(models.ExchangeInfoAnswer, await self._read("/fapi/v3/exchangeInfo"))
        limits = {limit.kind: limit.limit for limit in answer.limits if limit.interval == "MINUTE"}
        rules: dict[str, SymbolRules] = {}
        unreadable = []
        for row in answer.symbols:
            try:
                symbol = models.SymbolAnswer.model_validate(row)
                rules[symbol.symbol] = symbol.rules()
            except ValueError:
                unreadable.append(str(row.get("symbol", "?"))[:30])
        return ExchangeInfo(
            rules, limits.get("REQUEST_WEIGHT", 2400), limits.get("ORDERS", 1200), tuple(unreadable)
        )

    async def mark_prices(self) -> MarkPrices:
        """The mark price of every symbol (premiumIndex, weight 1)."""
        rows = [
            _model(models.MarkPriceAnswer, row) for row in _rows(await self._read("/fapi/v3/premiumIndex"))
        ]
        return MarkPrices(
            max((row.time for row in rows), default=0),
            {row.symbol: row.mark_price for row in rows if row.mark_price > 0},
        )

    # Signed reads

    async def open_orders(self, symbol: str | None = None) -> tuple[Order, ...]:
        """Open orders (weight 1 with a symbol, 40 without)."""
        asked = [("symbol", symbol)] if symbol else []
        rows = _rows(await self._signed_read("/fapi/v3/openOrders", asked))
        return tuple(_model(models.OrderAnswer, row).order() for row in rows)

    async def order(
        self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """One order by either id (weight 1).

        Raises:
            AnswerError: -2013, the venue does not know it (which is no proof after an unknown outcome).
        """
        asked = [("symbol", symbol), *_identity(order_id, client_order_id)]
        return _model(models.OrderAnswer, await self._signed_read("/fapi/v3/order", asked)).order()

    async def positions(self) -> tuple[Position, ...]:
        """Open positions (positionRisk, weight 5); zero rows are left out."""
        rows = _rows(await self._signed_read("/fapi/v3/positionRisk", []))
        found = (_model(models.PositionAnswer, row).position() for row in rows)
        return tuple(p for p in found if p.quantity)

    async def balances(self) -> tuple[models.BalanceAnswer, ...]:
        """Balances by asset (weight 5)."""
        rows = _rows(await self._signed_read("/fapi/v3/balance", []))
        return tuple(_model(models.BalanceAnswer, row) for row in rows)

    async def account(self) -> models.AccountAnswer:
        """Account totals (accountWithJoinMargin, weight 5)."""
        return _model(models.AccountAnswer, await self._signed_read("/fapi/v3/accountWithJoinMargin", []))

    async def account_snapshot(self, *, open_orders: bool = True) -> AccountSnapshot:
        """Balance, positions and open orders together.

        ``at`` is server time from before the reads, so a stream event that came during them stays the newer
        one. Weight 11, and 40 more with ``open_orders``.
        """
        wallet = self._wallet()
        at = await self.server_time()
        balances, positions, orders = await asyncio.gather(
            self.balances(), self.positions(), self.open_orders() if open_orders else _nothing()
        )
        quote = next((b for b in balances if b.asset == QUOTE), None)
        return AccountSnapshot(
            account=account_key(wallet.user),
            at=at,
            wallet_balance=quote.balance if quote else ZERO,
            available=quote.available if quote else ZERO,
            positions=positions,
            open_orders=orders,
        )

    # The user stream's key: it changes nothing of the account

    async def create_listen_key(self) -> str:
        """A listen key, the live one if there is one (valid 60 min, weight 1)."""
        answer = await self._signed("POST", "/fapi/v3/listenKey", [], changes=False)
        return _model(models.ListenKeyAnswer, answer).listen_key

    async def renew_listen_key(self) -> None:
        """Extend the key by 60 min.

        Raises:
            AnswerError: -1125, it is gone.
        """
        await self._signed("PUT", "/fapi/v3/listenKey", [], changes=False)

    async def close_listen_key(self) -> None:
        """End the key and its streams."""
        await self._signed("DELETE", "/fapi/v3/listenKey", [], changes=False)

    # How it is sent

    def _wallet(self) -> Wallet:
        if self.wallet is None:
            raise AsterError("this needs a wallet, and none was given", remedy="set the agent's key")
        return self.wallet

    def _nonce(self) -> int:
        try:
            return self._nonces.next(self._wallet().signer.address)
        except OSError as error:
            raise AsterError(
                f"no nonce could be taken, so nothing was sent: {error.strerror or error}",
                remedy="make the state folder writable (aster-tui paths)",
            ) from error

    def _signed_with(self, parameters: Parameters, nonce: int) -> str:
        """The string that is signed, with its signature: built once and sent as it is."""
        wallet = self._wallet()
        identity = [("nonce", str(nonce)), ("user", wallet.user), ("signer", wallet.signer.address)]
        string = urlencode([*parameters, *identity])
        return f"{string}&signature={wallet.signer.sign(string)}"

    async def _once(self, method: str, path: str, string: str, *, changes: bool) -> Any:
        return await self._transport.send(method, path, string, changes=changes)

    async def _signed(self, method: str, path: str, parameters: Parameters, *, changes: bool) -> Any:
        string = self._signed_with(parameters, self._nonce())
        return await self._explained(self._once(method, path, string, changes=changes))

    async def _explained(self, asking: Awaitable[Any]) -> Any:
        try:
            return await asking
        except AnswerError as error:
            if error.number == NONCE_REFUSED:
                self._explain_nonce(error)
            raise

    def _explain_nonce(self, error: AnswerError) -> None:
        """Our nonce was the newest of this machine and near server time, and was refused all the same: then
        somebody else signs with this signer."""
        if abs(self.clock_offset_ms) < self.venue.nonce_window_s * 500:
            error.message = f"{error.message}: another program seems to sign with this signer"
            error.remedy = (
                "use each signer on one machine only; approve a second API wallet for the other program"
            )

    async def _read(self, path: str, parameters: Parameters = ()) -> Any:
        string = urlencode(list(parameters))
        return await self._retrying(lambda: self._once("GET", path, string, changes=False))

    async def _signed_read(self, path: str, parameters: Parameters) -> Any:
        # Each try is signed anew: the venue refuses a nonce it has seen.
        return await self._retrying(lambda: self._signed("GET", path, parameters, changes=False))

    async def _retrying(self, ask: Callable[[], Any]) -> Any:
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unreachable),
            stop=tenacity.stop_after_attempt(READ_TRIES) | tenacity.stop_after_delay(2 * self._timeout_s),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )
        async for attempt in tries:
            with attempt:
                return await ask()
        raise AssertionError("unreachable: the last try raises")


class Trader(Observer):
    """Adds what changes an account. Nothing here is ever sent twice."""

    def prepare_order(self, request: OrderRequest) -> PreparedOrder:
        """Sign an order without sending it, so that what will be sent can be written down first.

        Raises:
            InvalidOrder: refused here.
        """
        parameters = request.parameters()
        nonce = self._nonce()
        return PreparedOrder(request, nonce, self._signed_with(parameters, nonce))

    async def send_order(self, prepared: PreparedOrder) -> Order:
        """Send a prepared order (weight 1), once; answered with what happened (RESULT).

        Raises:
            AnswerError: the venue refused it: it is not live.
            OutcomeUnknown: it may be live; fence it and ask, never send it again.
            Unreachable: it was not sent.
        """
        answer = await self._explained(self._once("POST", "/fapi/v3/order", prepared.string, changes=True))
        return _answered_order(answer)

    async def place_order(self, request: OrderRequest) -> Order:
        """Prepare and send an order. Raises what :meth:`prepare_order` and :meth:`send_order` raise."""
        return await self.send_order(self.prepare_order(request))

    async def fence(self, nonce: int) -> FenceAnswer:
        """Send a noop that carries the nonce of an order of unknown outcome (weight 1).

        ``burned``: it was taken, a late order is refused. ``used``: it was refused as a duplicate, the
        order had arrived. ``lost``: no answer.
        """
        try:
            await self._once("POST", "/fapi/v3/noop", self._signed_with([], nonce), changes=True)
        except AnswerError as error:
            if error.number == NONCE_REFUSED:
                return "used"
            raise
        except (OutcomeUnknown, Unreachable):
            return "lost"
        return "burned"

    async def test_order(self, request: OrderRequest) -> None:
        """Have the venue validate an order without placing it (weight 1): another path, not a flag."""
        await self._signed("POST", "/fapi/v3/order/test", request.parameters(), changes=False)

    async def cancel_order(
        self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """Cancel one order by either id (weight 1)."""
        asked = [("symbol", symbol), *_identity(order_id, client_order_id)]
        return _answered_order(await self._signed("DELETE", "/fapi/v3/order", asked, changes=True))

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every open order of a symbol (weight 1)."""
        await self._signed("DELETE", "/fapi/v3/allOpenOrders", [("symbol", symbol)], changes=True)

    async def set_leverage(self, symbol: str, leverage: int) -> int:
        """Set a symbol's leverage (weight 1); "already so" is success. Returns the leverage in force."""
        asked = [("symbol", symbol), ("leverage", str(leverage))]
        try:
            answer = await self._signed("POST", "/fapi/v3/leverage", asked, changes=True)
        except AnswerError as error:
            if error.number in NO_CHANGE_CODES:
                return leverage
            raise
        return _model(models.LeverageAnswer, answer).leverage


async def _nothing() -> None:
    return None


def _identity(order_id: int | None, client_order_id: str | None) -> list[tuple[str, str]]:
    if order_id is not None:
        return [("orderId", str(order_id))]
    if client_order_id:
        return [("origClientOrderId", client_order_id)]
    raise AsterError("an order is asked for by its id or its client order id")


def _model(kind: type[M], answer: Any) -> M:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise MalformedAnswer(
            f"{kind.__name__.removesuffix('Answer')}: {where}: {first['msg']}",
            remedy="the exchange's answer changed its form; please report it",
            raw=str(answer)[:300],
        ) from None


def _answered_order(answer: Any) -> Order:
    """An order that was sent and answered in a form nobody knows is an order of unknown outcome."""
    try:
        return _model(models.OrderAnswer, answer).order()
    except MalformedAnswer as error:
        raise OutcomeUnknown(
            f"the answer to an order could not be read: {error.message}",
            remedy="do not send it again; look at the exchange",
            raw=error.raw,
        ) from None


def _rows(answer: Any) -> list[Any]:
    if isinstance(answer, list):
        return answer
    if isinstance(answer, dict):
        return [answer]
    raise MalformedAnswer("a list was expected", raw=str(answer)[:300])

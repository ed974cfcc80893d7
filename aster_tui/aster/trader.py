"""The client that trades. Nothing here is ever sent twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aster_tui.aster import models
from aster_tui.aster.answers import MOST_ID, answered_order, identity, model
from aster_tui.aster.connection import NONCE_REFUSED, Parameters
from aster_tui.aster.errors import AnswerError, InvalidOrder, OutcomeUnknown, Unreachable
from aster_tui.aster.orders import OrderRequest, checked_client_id, checked_whole
from aster_tui.aster.rest import Observer
from aster_tui.domain.checks import OpenOrders, check_order
from aster_tui.domain.outcomes import FenceAnswer
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import Order

MOST_PLACED, MOST_CANCELLED = 5, 10
MOST_LEVERAGE, MOST_COUNTDOWN_MS = 1_000, 7 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class PreparedOrder:
    """A signed order that was not sent yet: the exact bytes, and the nonce that fences it."""

    request: OrderRequest
    nonce: int
    string: str

    def __repr__(self) -> str:
        return f"PreparedOrder({self.request}, nonce={self.nonce})"  # without the signature


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """Signed orders that were not sent yet and go together: one nonce fences them all."""

    requests: tuple[OrderRequest, ...]
    nonce: int
    string: str

    def __repr__(self) -> str:
        return f"PreparedBatch({self.requests}, nonce={self.nonce})"  # without the signature


class Trader(Observer):
    """Adds what changes an account. Nothing here is ever sent twice.

    What the filters (``rules``) would reject is refused here, before anything is signed. ``marks`` are mark
    prices by symbol and ``open_orders_of`` counts the account's open orders of a symbol, where somebody keeps
    them.
    """

    marks: Mapping[str, Decimal] | None = None
    open_orders_of: Callable[[str], OpenOrders] | None = None

    def check(self, request: OrderRequest, mark: Decimal | None = None) -> list[tuple[str, str]]:
        """The parameters of an order that nothing known here speaks against.

        Raises:
            InvalidOrder: the reason, with the nearest value that would do.
        """
        rules = self.rules.get(request.symbol) if self.rules is not None else None
        parameters = request.parameters(known_symbol=rules is not None)
        if self.rules is None:
            return parameters
        if rules is None:
            raise InvalidOrder(
                f"{request.symbol} is not traded here", remedy="choose a symbol of the exchange"
            )
        refusals = check_order(
            rules,
            side=request.side,
            order_type=request.order_type,
            quantity=request.quantity,
            price=request.price,
            stop_price=request.stop_price,
            activation_price=request.activation_price,
            reduces=request.reduces,
            # What closes is not refused for a price that may be old.
            mark=mark or (None if request.reduces or self.marks is None else self.marks.get(request.symbol)),
            open_orders=self.open_orders_of(request.symbol) if self.open_orders_of is not None else None,
        )
        if refusals:
            raise InvalidOrder("; ".join(str(r) for r in refusals), remedy="nothing was sent")
        return parameters

    def prepare_order(self, request: OrderRequest, mark: Decimal | None = None) -> PreparedOrder:
        """Sign an order without sending it, so that what will be sent can be written down first.

        ``mark`` is the mark price, if it is known, for the filters that depend on it.

        Raises:
            InvalidOrder: refused here.
        """
        parameters = self.check(request, mark)
        nonce = self._nonce()
        return PreparedOrder(request, nonce, self._signed_with(parameters, nonce))

    async def send_order(self, prepared: PreparedOrder) -> Order:
        """Send a prepared order (weight 1), once; answered with what happened (RESULT).

        Raises:
            AnswerError: the venue refused it: it is not live.
            OutcomeUnknown: it may be live; fence it and ask, never send it again.
            Unreachable: it was not sent.
        """
        sending = self._once("POST", "/fapi/v3/order", prepared.string, changes=True)
        return answered_order(await self._explained(sending, prepared.nonce))

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
        await self._signed("POST", "/fapi/v3/order/test", self.check(request), changes=False)

    async def cancel_order(
        self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """Cancel one order by either id (weight 1)."""
        asked = [("symbol", self._symbol(symbol)), *identity(order_id, client_order_id)]
        return answered_order(await self._signed("DELETE", "/fapi/v3/order", asked, changes=True))

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every open order of a symbol (weight 1)."""
        await self._signed(
            "DELETE", "/fapi/v3/allOpenOrders", [("symbol", self._symbol(symbol))], changes=True
        )

    async def set_leverage(self, symbol: str, leverage: int) -> int:
        """Set a symbol's leverage (weight 1); "already so" is success. Returns the leverage in force."""
        asked = [
            ("symbol", self._symbol(symbol)),
            ("leverage", checked_whole("a leverage", leverage, 1, MOST_LEVERAGE)),
        ]
        answer = await self._already_is_success("/fapi/v3/leverage", asked)
        return leverage if answer is None else model(models.LeverageAnswer, answer).leverage

    async def place_batch(self, requests: Sequence[OrderRequest]) -> tuple[Order | AnswerError, ...]:
        """Prepare and send a batch. Raises what :meth:`prepare_batch` and :meth:`send_batch` raise."""
        return await self.send_batch(self.prepare_batch(requests))

    def prepare_batch(self, requests: Sequence[OrderRequest]) -> PreparedBatch:
        """Sign one to five orders that go together, without sending them.

        Raises:
            InvalidOrder: one of them, or their number, is refused here.
        """
        if not 1 <= len(requests) <= MOST_PLACED:
            raise InvalidOrder(f"a batch has one to {MOST_PLACED} orders, not {len(requests)}")
        rows = [dict(self.check(request)) for request in requests]
        asked = [("batchOrders", json.dumps(rows, separators=(",", ":")))]
        nonce = self._nonce()
        return PreparedBatch(tuple(requests), nonce, self._signed_with(asked, nonce))

    async def send_batch(self, prepared: PreparedBatch) -> tuple[Order | AnswerError, ...]:
        """Send a batch (weight 5), once; its orders match concurrently, and each is answered in its place by
        the order or by why it was refused.

        Raises:
            AnswerError: the venue refused all of it.
            OutcomeUnknown: any of them may be live; fence the nonce, never send it again.
            Unreachable: nothing was sent.
        """
        sending = self._once("POST", "/fapi/v3/batchOrders", prepared.string, changes=True)
        return self._each(await self._explained(sending, prepared.nonce), len(prepared.requests))

    async def cancel_batch(
        self, symbol: str, client_order_ids: Sequence[str] = (), *, order_ids: Sequence[int] = ()
    ) -> tuple[Order | AnswerError, ...]:
        """Cancel one to ten orders of a symbol at once (weight 1), by either id, each answered in its
        place."""
        count = len(order_ids or client_order_ids)
        if not 1 <= count <= MOST_CANCELLED:
            raise InvalidOrder(f"one to {MOST_CANCELLED} orders are cancelled at once")
        # The venue wants no space after a comma.
        ids = [int(checked_whole("an order id", number, 1, MOST_ID)) for number in order_ids]
        listed = json.dumps(
            ids or [checked_client_id(name) for name in client_order_ids], separators=(",", ":")
        )
        asked = [
            ("symbol", self._symbol(symbol)),
            ("orderIdList" if ids else "origClientOrderIdList", listed),
        ]
        answer = await self._signed("DELETE", "/fapi/v3/batchOrders", asked, changes=True)
        return self._each(answer, count)

    async def modify_order(self, request: OrderRequest) -> Order:
        """Change price and quantity of the resting LIMIT order that has the request's client order id
        (weight 1); the venue wants both."""
        if request.order_type != "LIMIT" or request.quantity is None or request.price is None:
            raise InvalidOrder("only a limit order is changed, and by both its price and its quantity")
        self.check(request)  # the same checks as for a new one
        asked = [
            ("symbol", request.symbol),
            ("side", request.side),
            ("origClientOrderId", request.client_order_id),
            ("quantity", plain(request.quantity)),
            ("price", plain(request.price)),
        ]
        return answered_order(await self._signed("PUT", "/fapi/v3/order", asked, changes=True))

    async def set_countdown(self, symbol: str, after_ms: int) -> None:
        """The dead-man timer of a symbol (weight 10): all its orders, protective ones too, are cancelled
        after ``after_ms`` unless it is set again; 0 stops it."""
        asked = [
            ("symbol", self._symbol(symbol)),
            ("countdownTime", checked_whole("a countdown", after_ms, 0, MOST_COUNTDOWN_MS)),
        ]
        await self._signed("POST", "/fapi/v3/countdownCancelAll", asked, changes=True)

    async def set_hedge_mode(self, hedge: bool) -> None:
        """One-way or hedge mode of the whole account (weight 1); "already so" is success."""
        asked = [("dualSidePosition", "true" if hedge else "false")]
        await self._already_is_success("/fapi/v3/positionSide/dual", asked)

    async def set_margin_type(self, symbol: str, *, isolated: bool) -> None:
        """Crossed or isolated margin of a symbol (weight 1); "already so" is success."""
        asked = [("symbol", self._symbol(symbol)), ("marginType", "ISOLATED" if isolated else "CROSSED")]
        await self._already_is_success("/fapi/v3/marginType", asked)

    async def _already_is_success(self, path: str, asked: Parameters) -> Any:
        try:
            return await self._signed("POST", path, asked, changes=True)
        except AnswerError as error:
            if error.meaning.kind != "already":
                raise
            return None

    def _each(self, answer: Any, count: int) -> tuple[Order | AnswerError, ...]:
        if not isinstance(answer, list) or len(answer) != count:
            raise OutcomeUnknown(
                "a batch was answered in a form nobody here knows: any of its orders may be live",
                remedy="do not send it again; look at the exchange",
                raw=str(answer)[:300],
            )
        return tuple(
            AnswerError(400, int(row["code"]), str(row.get("msg", "")), changes=True)
            if isinstance(row, dict) and "orderId" not in row and "code" in row
            else answered_order(row)
            for row in answer
        )

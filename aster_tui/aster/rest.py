"""The client that reads: :class:`Observer`. What changes something is in :mod:`aster_tui.aster.trader`.

Read-only is a type: a console that watches holds an Observer, and there is no method on it with which an
order could leave. Reads are asked again when they get no answer.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aster_tui.aster import models
from aster_tui.aster.answers import identity, model, rows_of
from aster_tui.aster.connection import Parameters
from aster_tui.aster.errors import AnswerError, AsterError
from aster_tui.aster.reports import Reports
from aster_tui.domain.symbols import QUOTE, SymbolRules
from aster_tui.domain.trading import ZERO, Order, Position, account_key

_ZERO = re.compile(r"0+(\.0+)?")


if TYPE_CHECKING:  # half a hundred classes that a command which only closes does without
    from aster_tui.domain.events import AccountSnapshot, MarkPrices


@dataclass(frozen=True, slots=True)
class Clock:
    """Server time minus local time, and the round trip it was measured with, in ms."""

    offset_ms: int
    round_trip_ms: int


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """Symbols that trade with their filters, the limits, and the symbols that could not be read."""

    rules: dict[str, SymbolRules]
    weight_limit: int
    order_limit: int
    unreadable: tuple[str, ...] = ()


class Observer(Reports):
    """Reads the exchange. Signed reads need a wallet.

    Args:
        on_weight: told the used request weight after each answer.
    """

    # Public

    async def ping(self) -> None:
        """Whether the exchange answers (weight 1)."""
        await self._read("/fapi/v3/ping")

    async def server_time(self) -> int:
        """Server time in Unix ms (weight 1)."""
        return model(models.ServerTime, await self._read("/fapi/v3/time")).server_time

    async def measure_clock(self) -> Clock:
        """How far server time is from ours, taking the middle of the round trip; used for nonces from now."""
        started_wall, started = time.time_ns(), time.perf_counter_ns()
        server = model(models.ServerTime, await self._once("GET", "/fapi/v3/time", "", changes=False))
        trip_ns = time.perf_counter_ns() - started
        middle_ms = (started_wall + trip_ns // 2) // 1_000_000
        self._nonces.measured(server.server_time - middle_ms, self.venue.nonce_window_s)
        self._transport.gate.offset_ms = self._nonces.offset_ms
        return Clock(self._nonces.offset_ms, round(trip_ns / 1_000_000))

    async def exchange_info(self) -> ExchangeInfo:
        """Symbols, filters and limits (weight 1); what is asked is checked against them from now on. One
        symbol that cannot be read does not cost the others."""
        answer = model(models.ExchangeInfoAnswer, await self._read("/fapi/v3/exchangeInfo"))
        limits = {limit.kind: limit.limit for limit in answer.limits if limit.interval == "MINUTE"}
        rules: dict[str, SymbolRules] = {}
        unreadable = []
        for row in answer.symbols:
            try:
                symbol = models.SymbolAnswer.model_validate(row)
                rules[symbol.symbol] = symbol.rules()
            except ValueError:
                unreadable.append(str(row.get("symbol", "?"))[:30])
        weight, orders = limits.get("REQUEST_WEIGHT", 2400), limits.get("ORDERS", 1200)
        self.rules = rules
        self._transport.gate.limit, self._transport.gate.order_limit = weight, orders
        return ExchangeInfo(rules, weight, orders, tuple(unreadable))

    async def mark_prices(self) -> MarkPrices:
        """The mark price of every symbol (premiumIndex, weight 1)."""
        from aster_tui.domain.events import MarkPrices

        rows = [
            model(models.MarkPriceAnswer, row) for row in rows_of(await self._read("/fapi/v3/premiumIndex"))
        ]
        return MarkPrices(
            max((row.time for row in rows), default=0),
            {row.symbol: row.mark_price for row in rows if row.mark_price > 0},
        )

    # Signed reads

    async def _signed_read(self, path: str, parameters: Parameters) -> Any:
        """A read that is refused for its time is asked once more, after the clock was measured."""
        try:
            return await super()._signed_read(path, parameters)
        except AnswerError as error:
            if error.meaning.kind != "clock":
                raise
            try:
                await self.measure_clock()
            except AsterError:
                raise error from None
        return await super()._signed_read(path, parameters)

    async def open_orders(self, symbol: str | None = None) -> tuple[Order, ...]:
        """Open orders (weight 1 with a symbol, 40 without)."""
        asked = [("symbol", self._symbol(symbol))] if symbol is not None else []
        rows = rows_of(await self._signed_read("/fapi/v3/openOrders", asked))
        return tuple(model(models.OrderAnswer, row).order() for row in rows)

    async def order(
        self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """One order by either id (weight 1).

        Raises:
            AnswerError: -2013, the venue does not know it (which is no proof after an unknown outcome).
        """
        asked = [("symbol", self._symbol(symbol)), *identity(order_id, client_order_id)]
        return model(models.OrderAnswer, await self._signed_read("/fapi/v3/order", asked)).order()

    async def positions(self) -> tuple[Position, ...]:
        """Open positions (positionRisk, weight 5); zero rows are left out."""
        rows = rows_of(await self._signed_read("/fapi/v3/positionRisk", []))
        # A row for every symbol of the venue: those that say zero need no closer look.
        found = (model(models.PositionAnswer, row).position() for row in rows if not _says_zero(row))
        return tuple(p for p in found if p.quantity)

    async def leverage(self, symbol: str) -> int:
        """The leverage of a symbol on this account (positionRisk, weight 5); 0 where it is not told."""
        rows = rows_of(await self._signed_read("/fapi/v3/positionRisk", [("symbol", self._symbol(symbol))]))
        found = (model(models.PositionAnswer, row) for row in rows)
        return max((int(row.leverage) for row in found if row.symbol == symbol), default=0)

    async def balances(self) -> tuple[models.BalanceAnswer, ...]:
        """Balances by asset (weight 5)."""
        rows = rows_of(await self._signed_read("/fapi/v3/balance", []))
        return tuple(model(models.BalanceAnswer, row) for row in rows)

    async def account(self) -> models.AccountAnswer:
        """Account totals (accountWithJoinMargin, weight 5)."""
        return model(models.AccountAnswer, await self._signed_read("/fapi/v3/accountWithJoinMargin", []))

    async def account_snapshot(self, *, open_orders: bool = True) -> AccountSnapshot:
        """Balance, positions and open orders together.

        ``at`` is server time from before the reads, so a stream event that came during them stays the newer
        one. Weight 11, and 40 more with ``open_orders``.
        """
        from aster_tui.domain.events import AccountSnapshot

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
        return model(models.ListenKeyAnswer, answer).listen_key

    async def renew_listen_key(self) -> None:
        """Extend the key by 60 min.

        Raises:
            AnswerError: -1125, it is gone.
        """
        await self._signed("PUT", "/fapi/v3/listenKey", [], changes=False)

    async def close_listen_key(self) -> None:
        """End the key and its streams."""
        await self._signed("DELETE", "/fapi/v3/listenKey", [], changes=False)


def _says_zero(row: object) -> bool:
    amount = row.get("positionAmt") if isinstance(row, dict) else None
    return isinstance(amount, str) and _ZERO.fullmatch(amount) is not None


async def _nothing() -> None:
    return None

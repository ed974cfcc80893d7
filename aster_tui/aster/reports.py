"""Reads beside the everyday ones: what happened on an account, its modes and fees, and market data."""

from __future__ import annotations

from decimal import Decimal

from aster_tui.aster import models
from aster_tui.aster.answers import MOST_ID, model, rows_of
from aster_tui.aster.connection import Connection
from aster_tui.aster.orders import checked_interval, checked_kind, checked_whole
from aster_tui.domain.trading import Order


class Reports(Connection):
    """Reads history, modes, fees and market data."""

    async def all_orders(self, symbol: str, *, limit: int = 500) -> tuple[Order, ...]:
        """Orders of any status, oldest first (weight 5); unfilled ones vanish after seven days."""
        asked = [("symbol", self._symbol(symbol)), ("limit", checked_whole("a limit", limit, 1, 1500))]
        rows = rows_of(await self._signed_read("/fapi/v3/allOrders", asked))
        return tuple(model(models.OrderAnswer, row).order() for row in rows)

    async def user_trades(
        self, symbol: str, *, since: int = 0, limit: int = 500
    ) -> tuple[models.UserTradeAnswer, ...]:
        """Fills of the account, oldest first (weight 5). ``since`` is Unix ms."""
        asked = [
            ("symbol", self._symbol(symbol)),
            *([("startTime", checked_whole("a time", since, 1, MOST_ID))] if since else []),
            ("limit", checked_whole("a limit", limit, 1, 1500)),
        ]
        rows = rows_of(await self._signed_read("/fapi/v3/userTrades", asked))
        return tuple(model(models.UserTradeAnswer, row) for row in rows)

    async def income(self, *, kind: str | None = None, limit: int = 500) -> tuple[models.IncomeAnswer, ...]:
        """Realized PnL, fees and funding, oldest first (weight 30). ``kind`` as the venue names it."""
        asked = [
            *([("incomeType", checked_kind(kind))] if kind else []),
            ("limit", checked_whole("a limit", limit, 1, 1500)),
        ]
        rows = rows_of(await self._signed_read("/fapi/v3/income", asked))
        return tuple(model(models.IncomeAnswer, row) for row in rows)

    async def commission(self, symbol: str) -> models.CommissionAnswer:
        """The account's fee rates in a symbol (weight 20)."""
        return model(
            models.CommissionAnswer,
            await self._signed_read("/fapi/v3/commissionRate", [("symbol", self._symbol(symbol))]),
        )

    async def hedge_mode(self) -> bool:
        """Whether the account is in hedge mode (weight 30)."""
        return model(
            models.PositionModeAnswer, await self._signed_read("/fapi/v3/positionSide/dual", [])
        ).hedge

    async def leverage_brackets(self, symbol: str) -> tuple[models.Bracket, ...]:
        """A symbol's leverage by position size (weight 1)."""
        answer = await self._signed_read("/fapi/v3/leverageBracket", [("symbol", self._symbol(symbol))])
        (row,) = rows_of(answer) or ({},)
        return model(models.BracketsAnswer, row).brackets

    async def depth(self, symbol: str, *, limit: int = 20) -> models.DepthAnswer:
        """The order book, best prices first (weight by depth)."""
        asked = [("symbol", self._symbol(symbol)), ("limit", checked_whole("a limit", limit, 1, 1500))]
        return model(models.DepthAnswer, await self._read("/fapi/v3/depth", asked))

    async def candles(self, symbol: str, interval: str, *, limit: int = 200) -> tuple[models.Candle, ...]:
        """Candles, oldest first (weight by count). ``interval`` as the venue names it: 1m, 1h …"""
        asked = [
            ("symbol", self._symbol(symbol)),
            ("interval", checked_interval(interval)),
            ("limit", checked_whole("a limit", limit, 1, 1500)),
        ]
        rows = rows_of(await self._read("/fapi/v3/klines", asked))
        return tuple(model(models.Candle, dict(zip(models.CANDLE, row, strict=False))) for row in rows)

    async def day_ticker(self, symbol: str) -> models.DayTickerAnswer:
        """The last 24 hours of a symbol (weight 1)."""
        return model(
            models.DayTickerAnswer,
            await self._read("/fapi/v3/ticker/24hr", [("symbol", self._symbol(symbol))]),
        )

    async def last_price(self, symbol: str) -> Decimal:
        """The last traded price, USDT (weight 1)."""
        return model(
            models.PriceAnswer,
            await self._read("/fapi/v3/ticker/price", [("symbol", self._symbol(symbol))]),
        ).price

    async def best_prices(self, symbol: str) -> models.BookTickerAnswer:
        """Best bid and ask with their quantities (weight 1)."""
        return model(
            models.BookTickerAnswer,
            await self._read("/fapi/v3/ticker/bookTicker", [("symbol", self._symbol(symbol))]),
        )

    async def public_trades(self, symbol: str, *, limit: int = 100) -> tuple[models.AggTradeAnswer, ...]:
        """Recent trades of everybody, oldest first (weight 20)."""
        asked = [("symbol", self._symbol(symbol)), ("limit", checked_whole("a limit", limit, 1, 1500))]
        rows = rows_of(await self._read("/fapi/v3/aggTrades", asked))
        return tuple(model(models.AggTradeAnswer, row) for row in rows)

    async def funding_rates(self, symbol: str) -> tuple[models.FundingAnswer, ...]:
        """Past funding rates of a symbol (weight 1)."""
        rows = rows_of(await self._read("/fapi/v3/fundingRate", [("symbol", self._symbol(symbol))]))
        return tuple(model(models.FundingAnswer, row) for row in rows)

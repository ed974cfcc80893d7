"""Market data: depth, candles, tickers, trades, funding. All public, all from the one simulated market."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aster_tui.practice import payloads
from aster_tui.practice.errors import refuse
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.history import INTERVALS, MINUTE_MS, Candle
from aster_tui.practice.listings import LISTINGS, Listing
from aster_tui.practice.orders import listing_of, whole
from aster_tui.practice.paging import page

Params = dict[str, str]
DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
FUNDINGS_KEPT = 90


class MarketApi:
    """Answers public calls."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def calls(self) -> dict[str, Callable[[Params], Any]]:
        """The calls by path."""
        return {
            "premiumIndex": self._premium_index,
            "depth": self._depth,
            "klines": self._klines,
            "ticker/24hr": self._of_symbols(self._day),
            "ticker/price": self._of_symbols(self._price),
            "ticker/bookTicker": self._of_symbols(self._book),
            "trades": self._trades,
            "aggTrades": self._agg_trades,
            "fundingRate": self._funding,
        }

    def _of_symbols(self, row: Callable[[Listing], Any]) -> Callable[[Params], Any]:
        """One row with a symbol, a list of all without."""

        def answer(params: Params) -> Any:
            if "symbol" in params:
                return row(listing_of(params))
            return [row(listing) for listing in LISTINGS.values()]

        return answer

    def _premium_index(self, params: Params) -> Any:
        now = self._exchange.now()

        def row(listing: Listing) -> Any:
            quote = self._exchange.market.quote(listing.symbol)
            rate = self._exchange.risk.rate(listing.symbol, now)
            return payloads.premium_index(listing.symbol, quote, now, rate)

        return self._of_symbols(row)(params)

    def _depth(self, params: Params) -> Any:
        listing = listing_of(params)
        limit = whole(params, "limit") if "limit" in params else 500
        if limit not in DEPTHS:
            raise refuse(-4021, limit)
        market, now = self._exchange.market, self._exchange.now()
        most = Decimal(10) ** 15

        def side(name: str) -> list[list[str]]:
            levels = market.sweep(listing.symbol, name, most)[:limit]
            return [[payloads.text(level.price), payloads.text(level.quantity)] for level in levels]

        return {"lastUpdateId": market.steps, "E": now, "T": now, "bids": side("SELL"), "asks": side("BUY")}

    def _klines(self, params: Params) -> Any:
        listing = listing_of(params)
        minutes = INTERVALS.get(params.get("interval", ""))
        if minutes is None:
            raise refuse(-1120)
        candles = self._exchange.history[listing.symbol].every(minutes)
        return [_kline(c, minutes) for c in page(params, candles, lambda c: c.opened, most=1500)]

    def _day(self, listing: Listing) -> Any:
        quote, now = self._exchange.market.quote(listing.symbol), self._exchange.now()
        day = self._exchange.history[listing.symbol].day()
        change = quote.last - day.open
        return {
            "symbol": listing.symbol,
            "priceChange": payloads.text(change),
            "priceChangePercent": f"{change / day.open * 100:.3f}",
            "weightedAvgPrice": payloads.text(day.average(quote.last)),
            "lastPrice": payloads.text(quote.last),
            "lastQty": payloads.text(listing.min_qty),
            "openPrice": payloads.text(day.open),
            "highPrice": payloads.text(max(day.high, quote.last)),
            "lowPrice": payloads.text(min(day.low, quote.last)),
            "volume": payloads.text(day.volume),
            "quoteVolume": payloads.text(day.quote),
            "openTime": day.opened,
            "closeTime": now,
            "firstId": 0,
            "lastId": max(0, day.trades - 1),
            "count": day.trades,
        }

    def _price(self, listing: Listing) -> Any:
        quote = self._exchange.market.quote(listing.symbol)
        return {"symbol": listing.symbol, "price": payloads.text(quote.last), "time": self._exchange.now()}

    def _book(self, listing: Listing) -> Any:
        market = self._exchange.market
        quote, quantity = market.quote(listing.symbol), market.level_quantity(listing.symbol)
        return {
            "symbol": listing.symbol,
            "bidPrice": payloads.text(quote.bid),
            "bidQty": payloads.text(quantity),
            "askPrice": payloads.text(quote.ask),
            "askQty": payloads.text(quantity),
            "time": self._exchange.now(),
        }

    def _trades(self, params: Params) -> Any:
        return [
            {
                "id": t.trade_id,
                "price": payloads.text(t.price),
                "qty": payloads.text(t.quantity),
                "quoteQty": payloads.text(t.price * t.quantity),
                "time": t.at,
                "isBuyerMaker": t.buyer_made,
            }
            for t in self._recent(params)
        ]

    def _agg_trades(self, params: Params) -> Any:
        return [
            {
                "a": t.trade_id,
                "p": payloads.text(t.price),
                "q": payloads.text(t.quantity),
                "f": t.trade_id,
                "l": t.trade_id,
                "T": t.at,
                "m": t.buyer_made,
            }
            for t in self._recent(params)
        ]

    def _recent(self, params: Params) -> list[Any]:
        trades = self._exchange.history[listing_of(params).symbol].trades
        return page(params, trades, lambda t: t.at, number=lambda t: t.trade_id)

    def _funding(self, params: Params) -> Any:
        symbols = [listing_of(params).symbol] if "symbol" in params else list(LISTINGS)
        exchange, interval = self._exchange, payloads.FUNDING_INTERVAL_MS
        last = payloads.next_funding(exchange.now()) - interval
        times = [last - back * interval for back in reversed(range(FUNDINGS_KEPT))]
        rows = [(at, symbol) for at in times for symbol in symbols]
        return [
            {"symbol": s, "fundingRate": payloads.eight(exchange.risk.rate(s, at)), "fundingTime": at}
            for at, s in page(params, rows, lambda row: row[0])
        ]


def _kline(c: Candle, minutes: int) -> list[Any]:
    prices = [payloads.text(p) for p in (c.open, c.high, c.low, c.close)]
    closed = c.opened + minutes * MINUTE_MS - 1
    half, half_quote = payloads.text(c.volume / 2), payloads.text(c.quote / 2)
    volume, quote = payloads.text(c.volume), payloads.text(c.quote)
    return [c.opened, *prices, volume, closed, quote, c.trades, half, half_quote, "0"]

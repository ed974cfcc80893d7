"""The market streams: what a name stands for, and what is pushed on it each second."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aster_tui.practice import payloads
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.history import INTERVALS, MINUTE_MS, Candle
from aster_tui.practice.listings import LISTINGS

ALL_MARKS = ("!markPrice@arr", "!markPrice@arr@1s")
ALL_BOOKS, ALL_DAYS = "!bookTicker", ("!ticker@arr", "!miniTicker@arr")
DEPTHS = {f"depth{levels}{speed}": levels for levels in (5, 10, 20) for speed in ("", "@100ms", "@500ms")}
PLAIN = ("markPrice", "markPrice@1s", "aggTrade", "bookTicker", "ticker", "miniTicker")
_EVERYTHING = Decimal(10) ** 15


def is_market_stream(name: str) -> bool:
    """Whether there is such a stream. Symbols are written in lower case; either is taken."""
    if name in (*ALL_MARKS, ALL_BOOKS, *ALL_DAYS):
        return True
    symbol, _, kind = name.partition("@")
    if symbol.upper() not in LISTINGS:
        return False
    return kind in PLAIN or kind in DEPTHS or kind.removeprefix("kline_") in INTERVALS


class MarketStreams:
    """Builds what is pushed, each payload once per push however many listen."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._told_trade = dict.fromkeys(LISTINGS, 0)

    def push(self, names: set[str]) -> dict[str, list[Any]]:
        """The payloads of the streams that somebody listens to."""
        fresh = self._fresh_trades()
        return {name: self._payloads(name, fresh) for name in names}

    def _fresh_trades(self) -> dict[str, list[Any]]:
        found = {}
        for symbol, history in self._exchange.history.items():
            rows = [t for t in history.trades if t.trade_id > self._told_trade[symbol]]
            if rows:
                self._told_trade[symbol] = rows[-1].trade_id
            found[symbol] = rows
        return found

    def _payloads(self, name: str, fresh: dict[str, list[Any]]) -> list[Any]:
        if name in ALL_MARKS:
            return [[self._mark(s) for s in LISTINGS]]
        if name == ALL_BOOKS:
            return [self._book(s) for s in LISTINGS]
        if name in ALL_DAYS:
            return [[self._day(s) for s in LISTINGS]]
        lower, _, kind = name.partition("@")
        symbol = lower.upper()
        if kind == "aggTrade":
            return [self._trade(symbol, t) for t in fresh[symbol]]
        if kind in DEPTHS:
            return [self._depth(symbol, DEPTHS[kind])]
        if kind.startswith("kline_"):
            return self._kline(symbol, kind.removeprefix("kline_"))
        kinds: dict[str, Callable[[str], Any]] = {"bookTicker": self._book, "ticker": self._day}
        kinds["miniTicker"] = self._day
        return [kinds.get(kind, self._mark)(symbol)]

    def _mark(self, symbol: str) -> Any:
        exchange, now = self._exchange, self._exchange.now()
        return payloads.mark_event(
            symbol, exchange.market.quote(symbol), now, exchange.risk.rate(symbol, now)
        )

    def _book(self, symbol: str) -> Any:
        market, now = self._exchange.market, self._exchange.now()
        quote, quantity = market.quote(symbol), payloads.text(market.level_quantity(symbol))
        bid, ask = payloads.text(quote.bid), payloads.text(quote.ask)
        prices = {"b": bid, "B": quantity, "a": ask, "A": quantity}
        return {"e": "bookTicker", "u": market.steps, "E": now, "T": now, "s": symbol, **prices}

    def _day(self, symbol: str) -> Any:
        last, now = self._exchange.market.quote(symbol).last, self._exchange.now()
        day = self._exchange.history[symbol].day() or Candle(now, last, last, last, last)
        change = last - day.open
        return {
            "e": "24hrTicker",
            "E": now,
            "s": symbol,
            "p": payloads.text(change),
            "P": f"{change / day.open * 100:.3f}",
            "c": payloads.text(last),
            "o": payloads.text(day.open),
            "h": payloads.text(max(day.high, last)),
            "l": payloads.text(min(day.low, last)),
            "v": payloads.text(day.volume),
            "q": payloads.text(day.quote),
            "O": day.opened,
            "C": now,
            "n": day.trades,
        }

    def _trade(self, symbol: str, trade: Any) -> Any:
        return {
            "e": "aggTrade",
            "E": self._exchange.now(),
            "s": symbol,
            "a": trade.trade_id,
            "p": payloads.text(trade.price),
            "q": payloads.text(trade.quantity),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.at,
            "m": trade.buyer_made,
        }

    def _depth(self, symbol: str, levels: int) -> Any:
        market, now = self._exchange.market, self._exchange.now()

        def side(name: str) -> list[list[str]]:
            rows = market.sweep(symbol, name, _EVERYTHING)[:levels]
            return [[payloads.text(row.price), payloads.text(row.quantity)] for row in rows]

        ids = {"U": market.steps, "u": market.steps, "pu": market.steps - 1}
        return {
            **{"e": "depthUpdate", "E": now, "T": now, "s": symbol, **ids},
            **{"b": side("SELL"), "a": side("BUY")},
        }

    def _kline(self, symbol: str, interval: str) -> list[Any]:
        candles = self._exchange.history[symbol].every(INTERVALS[interval])
        if not candles:
            return []
        c = candles[-1]
        row = {
            "t": c.opened,
            "T": c.opened + INTERVALS[interval] * MINUTE_MS - 1,
            "s": symbol,
            "i": interval,
            "o": payloads.text(c.open),
            "c": payloads.text(c.close),
            "h": payloads.text(c.high),
            "l": payloads.text(c.low),
            "v": payloads.text(c.volume),
            "q": payloads.text(c.quote),
            "n": c.trades,
            "x": False,
        }
        return [{"e": "kline", "E": self._exchange.now(), "s": symbol, "k": row}]

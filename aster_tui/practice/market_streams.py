"""The market streams: what a name stands for, and what is pushed on it each second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from aster_tui.practice import payloads
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.history import INTERVALS, MINUTE_MS, ForcedOrder, PublicTrade
from aster_tui.practice.ledger import ZERO
from aster_tui.practice.listings import LISTINGS

ALL_MARKS = ("!markPrice@arr", "!markPrice@arr@1s")
ALL_BOOKS, ALL_DAYS = "!bookTicker", ("!ticker@arr", "!miniTicker@arr")
DEPTHS = {f"depth{levels}{speed}": levels for levels in (5, 10, 20) for speed in ("", "@100ms", "@500ms")}
ALL_FORCED = "!forceOrder@arr"
PLAIN = ("markPrice", "markPrice@1s", "aggTrade", "bookTicker", "ticker", "miniTicker", "forceOrder")
_EVERYTHING = Decimal(10) ** 15
Row = TypeVar("Row")


def is_market_stream(name: str) -> bool:
    """Whether there is such a stream. Symbols are written in lower case; either is taken."""
    if name in (*ALL_MARKS, ALL_BOOKS, *ALL_DAYS, ALL_FORCED):
        return True
    symbol, _, kind = name.partition("@")
    if symbol.upper() not in LISTINGS:
        return False
    return kind in PLAIN or kind in DEPTHS or kind.removeprefix("kline_") in INTERVALS


class MarketStreams:
    """Builds what is pushed, each payload once per push however many listen."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._fresh: dict[str, tuple[list[PublicTrade], list[ForcedOrder]]] = {}
        self._told_trade = dict.fromkeys(LISTINGS, 0)
        self._told_forced = dict.fromkeys(LISTINGS, 0)

    def push(self, names: set[str]) -> dict[str, list[Any]]:
        """The payloads of the streams that somebody listens to."""
        history = self._exchange.history
        for symbol in LISTINGS:
            trades = _since(history[symbol].trades, lambda t: t.trade_id, self._told_trade[symbol])
            forced = _since(history[symbol].forced, lambda f: f.number, self._told_forced[symbol])
            self._fresh[symbol] = trades, forced
            if trades:
                self._told_trade[symbol] = trades[-1].trade_id
            if forced:
                self._told_forced[symbol] = forced[-1].number
        return {name: self._payloads(name) for name in names}

    def _payloads(self, name: str) -> list[Any]:
        if name in ALL_MARKS:
            # A symbol that is closed has no mark price that moves.
            closed = self._exchange.statuses
            return [[self._mark(s) for s in LISTINGS if closed.get(s) != "CLOSE"]]
        if name == ALL_BOOKS:
            return [self._book(s) for s in LISTINGS]
        if name in ALL_DAYS:
            day = self._day if name == "!ticker@arr" else self._mini
            return [[day(s) for s in LISTINGS]]
        if name == ALL_FORCED:
            return [event for s in LISTINGS for event in self._forced(s)]
        lower, _, kind = name.partition("@")
        symbol = lower.upper()
        if kind == "aggTrade":
            return [self._trade(symbol, t) for t in self._fresh[symbol][0]]
        if kind == "forceOrder":
            return self._forced(symbol)
        if kind in DEPTHS:
            return [self._depth(symbol, DEPTHS[kind])]
        if kind.startswith("kline_"):
            return self._kline(symbol, kind.removeprefix("kline_"))
        kinds: dict[str, Callable[[str], Any]] = {"bookTicker": self._book, "ticker": self._day}
        kinds["miniTicker"] = self._mini
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
        day = self._exchange.history[symbol].day()
        change = last - day.open
        return {
            "e": "24hrTicker",
            "E": now,
            "s": symbol,
            "p": payloads.text(change),
            "P": f"{change / day.open * 100:.3f}",
            "w": payloads.text(day.average(last)),
            "c": payloads.text(last),
            "Q": payloads.text(self._last_quantity(symbol)),
            "o": payloads.text(day.open),
            "h": payloads.text(max(day.high, last)),
            "l": payloads.text(min(day.low, last)),
            "v": payloads.text(day.volume),
            "q": payloads.text(day.quote),
            "O": day.opened,
            "C": now,
            "F": 1 if day.trades else 0,
            "L": day.trades,
            "n": day.trades,
        }

    def _last_quantity(self, symbol: str) -> Decimal:
        trades = self._exchange.history[symbol].trades
        return trades[-1].quantity if trades else ZERO

    def _mini(self, symbol: str) -> Any:
        day = self._day(symbol)
        return {
            "e": "24hrMiniTicker",
            **{name: day[name] for name in ("E", "s", "c", "o", "h", "l", "v", "q")},
        }

    def _forced(self, symbol: str) -> list[Any]:
        return [{"e": "forceOrder", "E": f.at, "o": f.order} for f in self._fresh[symbol][1]]

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
        c = self._exchange.history[symbol].latest(INTERVALS[interval])
        row = {
            "t": c.opened,
            "T": c.opened + INTERVALS[interval] * MINUTE_MS - 1,
            "s": symbol,
            "i": interval,
            "f": 0,
            "L": 0,
            "o": payloads.text(c.open),
            "c": payloads.text(c.close),
            "h": payloads.text(c.high),
            "l": payloads.text(c.low),
            "v": payloads.text(c.volume),
            "q": payloads.text(c.quote),
            "n": c.trades,
            "x": False,
            "V": payloads.text(c.volume / 2),
            "Q": payloads.text(c.quote / 2),
            "B": "0",
        }
        return [{"e": "kline", "E": self._exchange.now(), "s": symbol, "k": row}]


def _since(rows: Sequence[Row], number: Callable[[Row], int], told: int) -> list[Row]:
    """The rows after ``told``, looked at from the newest back."""
    found: list[Row] = []
    for row in reversed(rows):
        if number(row) <= told:
            break
        found.append(row)
    return found[::-1]

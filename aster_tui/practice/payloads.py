"""The venue's JSON, from this exchange's state. Numbers are strings, as on the wire."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from aster_tui.practice.ledger import CENT8, ZERO, Account, Position
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.market import Quote
from aster_tui.practice.orders import TRAILING, Order

FUNDING_INTERVAL_MS = 8 * 3600 * 1000


def text(value: Decimal) -> str:
    """A decimal as the venue writes it: no exponent."""
    return format(value, "f") if value else "0"


def eight(value: Decimal) -> str:
    """A decimal with the venue's eight places."""
    return format(value.quantize(CENT8), "f")


def order(row: Order, *, acknowledged_only: bool = False) -> dict[str, Any]:
    """An order of POST, GET, DELETE order and openOrders. An ACK says nothing of what was executed."""
    executed = ZERO if acknowledged_only else row.executed
    answer = {
        "orderId": row.order_id,
        "symbol": row.symbol,
        "status": "NEW" if acknowledged_only else row.status,
        "clientOrderId": row.client_id,
        "price": text(row.price),
        "avgPrice": "0.00000" if acknowledged_only else average(row),
        "origQty": text(row.quantity),
        "executedQty": text(executed),
        "cumQty": text(executed),
        "cumQuote": "0" if acknowledged_only else text(row.quote),
        "timeInForce": row.force,
        "type": row.kind,
        "reduceOnly": row.reduce_only,
        "closePosition": row.close_position,
        "side": row.side,
        "positionSide": row.position_side,
        "stopPrice": text(row.stop),
        "workingType": row.working,
        "priceProtect": row.protect,
        "origType": row.original,
        "time": row.created_ms,
        "updateTime": row.updated_ms,
    }
    if row.original == TRAILING:
        answer |= {"activatePrice": text(row.activation or row.extreme), "priceRate": text(row.callback)}
    return answer


def average(row: Order) -> str:
    """The average price to the tick's places and three more."""
    return format(row.average.quantize(_average_step(row.symbol)), "f")


@cache
def _average_step(symbol: str) -> Decimal:
    return Decimal(1).scaleb(-LISTINGS[symbol].tick_places - 3)


def order_event(
    row: Order,
    at: int,
    execution: str,
    *,
    last: Decimal = ZERO,
    price: Decimal = ZERO,
    fee: Decimal | None = None,
    realized: Decimal = ZERO,
    trade_id: int = 0,
    maker: bool = False,
) -> dict[str, Any]:
    """ORDER_TRADE_UPDATE."""
    o: dict[str, Any] = {
        "s": row.symbol,
        "c": row.client_id,
        "S": row.side,
        "o": row.kind,
        "f": row.force,
        "q": text(row.quantity),
        "p": text(row.price),
        "ap": average(row),
        "sp": text(row.stop),
        "x": execution,
        "X": row.status,
        "i": row.order_id,
        "l": text(last),
        "z": text(row.executed),
        "L": text(price),
        "T": at,
        "t": trade_id,
        "b": "0",
        "a": "0",
        "m": maker,
        "R": row.reduce_only,
        "wt": row.working,
        "ot": row.original,
        "ps": row.position_side,
        "cp": row.close_position,
        "rp": text(realized),
    }
    if fee is not None:
        o |= {"N": "USDT", "n": eight(fee)}
    if row.original == TRAILING:
        o |= {"AP": text(row.activation or row.extreme), "cr": text(row.callback)}
    return {"e": "ORDER_TRADE_UPDATE", "E": at, "T": at, "o": o}


def forced_order(row: Order, at: int) -> dict[str, str | int]:
    """The order of a forceOrder event: what everybody sees of a liquidation."""
    filled = text(row.executed)
    return {
        **{"s": row.symbol, "S": row.side, "o": row.kind, "f": row.force, "q": text(row.quantity)},
        **{"p": text(row.price), "ap": average(row), "X": row.status, "l": filled, "z": filled, "T": at},
    }


def account_event(
    account: Account, at: int, reason: str, changed: Decimal, touched: list[Position]
) -> dict[str, Any]:
    """ACCOUNT_UPDATE: the balance and the positions that changed."""
    return {
        "e": "ACCOUNT_UPDATE",
        "E": at,
        "T": at,
        "a": {
            "m": reason,
            "B": [
                {
                    "a": "USDT",
                    "wb": eight(account.wallet),
                    "cw": eight(account.cross_wallet),
                    "bc": eight(changed),
                }
            ],
            "P": [
                {
                    "s": p.symbol,
                    "pa": text(p.amount),
                    "ep": eight(p.entry),
                    "cr": eight(p.realized),
                    "up": "0",
                    "mt": "isolated" if p.symbol in account.isolated else "cross",
                    "iw": eight(p.isolated),
                    "ps": p.side,
                    "ma": "USDT",
                }
                for p in touched
            ],
        },
    }


def leverage_event(symbol: str, leverage: int, at: int) -> dict[str, Any]:
    """ACCOUNT_CONFIG_UPDATE."""
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": at, "T": at, "ac": {"s": symbol, "l": leverage}}


def mark_event(symbol: str, quote: Quote, at: int, rate: Decimal) -> dict[str, Any]:
    """One element of ``!markPrice@arr``."""
    return {
        "e": "markPriceUpdate",
        "E": at,
        "s": symbol,
        "p": quote.mark_text,
        "i": eight(quote.index),
        "P": quote.mark_text,
        "r": eight(rate),
        "T": next_funding(at),
    }


def premium_index(symbol: str, quote: Quote, at: int, rate: Decimal) -> dict[str, Any]:
    """GET premiumIndex, one symbol."""
    return {
        "symbol": symbol,
        "markPrice": quote.mark_text,
        "indexPrice": eight(quote.index),
        "estimatedSettlePrice": eight(quote.index),
        "lastFundingRate": eight(rate),
        "nextFundingTime": next_funding(at),
        "interestRate": "0.00010000",
        "time": at,
    }


def next_funding(at: int) -> int:
    """When funding is next, Unix ms."""
    return (at // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS


@cache
def _flat_risk(symbol: str, side: str, leverage: int, isolated: bool) -> dict[str, Any]:
    """A positionRisk row without a position: all of it but the mark price and the time."""
    flat = Position(symbol, side)
    return _risk(flat, ZERO, ZERO, leverage, ZERO, isolated=isolated)


def position_risk(
    account: Account, symbol: str, side: str, quote: Quote, liquidation: Callable[[Position], Decimal]
) -> dict[str, Any]:
    """A row of positionRisk; also for a symbol without a position."""
    position, isolated = account.positions.get((symbol, side)), symbol in account.isolated
    leverage = account.leverage(symbol)
    if position is None or not position.amount:
        row = _flat_risk(symbol, side, leverage, isolated).copy()
        row["markPrice"] = quote.mark_text
        row["updateTime"] = position.updated_ms if position is not None else 0
        return row
    return _risk(
        position,
        quote.mark,
        liquidation(position),
        leverage,
        position.unrealized(quote.mark),
        isolated=isolated,
    )


def _risk(
    position: Position,
    mark: Decimal,
    liquidation: Decimal,
    leverage: int,
    unrealized: Decimal,
    *,
    isolated: bool,
) -> dict[str, Any]:
    symbol = position.symbol
    return {
        "symbol": symbol,
        "positionAmt": text(position.amount),
        "entryPrice": eight(position.entry),
        "markPrice": eight(mark),
        "unRealizedProfit": eight(unrealized),
        "liquidationPrice": text(liquidation),
        "leverage": str(leverage),
        "maxNotionalValue": text(LISTINGS[symbol].max_notional(leverage)),
        "marginType": "isolated" if isolated else "cross",
        "isolatedMargin": eight(position.isolated + unrealized if position.isolated else ZERO),
        "isAutoAddMargin": "false",
        "positionSide": position.side,
        "notional": eight(position.amount * mark),
        "isolatedWallet": eight(position.isolated),
        "updateTime": position.updated_ms,
    }


def balance(account: Account, cross_unrealized: Decimal, available: Decimal) -> dict[str, Any]:
    """A row of GET balance."""
    return {
        "accountAlias": account.name,
        "asset": "USDT",
        "balance": eight(account.wallet),
        "crossWalletBalance": eight(account.cross_wallet),
        "crossUnPnl": eight(cross_unrealized),
        "availableBalance": eight(available),
        "maxWithdrawAmount": eight(available),
        "marginAvailable": True,
        "updateTime": account.updated_ms,
    }


def account(
    of: Account,
    unrealized: Decimal,
    cross_unrealized: Decimal,
    available: Decimal,
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    """GET accountWithJoinMargin; ``rows`` are the positionRisk rows of open positions."""
    wallet, cross = eight(of.wallet), eight(of.cross_wallet)
    equity, free = eight(of.wallet + unrealized), eight(max(available, ZERO))
    bound = eight(of.wallet + unrealized - available)
    return {
        "feeTier": 0,
        "canTrade": of.trading == "all",
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": of.updated_ms,
        "totalInitialMargin": bound,
        "totalWalletBalance": wallet,
        "totalUnrealizedProfit": eight(unrealized),
        "totalMarginBalance": equity,
        "totalCrossWalletBalance": cross,
        "totalCrossUnPnl": eight(cross_unrealized),
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "assets": [
            {
                "asset": "USDT",
                "walletBalance": wallet,
                "unrealizedProfit": eight(unrealized),
                "marginBalance": equity,
                "initialMargin": bound,
                "crossWalletBalance": cross,
                "availableBalance": free,
                "marginAvailable": True,
                "updateTime": of.updated_ms,
            }
        ],
        "positions": [
            {
                "symbol": row["symbol"],
                "positionAmt": row["positionAmt"],
                "entryPrice": row["entryPrice"],
                "unrealizedProfit": row["unRealizedProfit"],
                "leverage": row["leverage"],
                "isolated": row["marginType"] == "isolated",
                "positionSide": row["positionSide"],
                "updateTime": row["updateTime"],
            }
            for row in rows
        ],
    }

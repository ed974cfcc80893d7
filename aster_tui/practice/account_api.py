"""Signed calls beyond the everyday ones: batches, changes, the dead-man timer, modes, and what happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any

from aster_tui.practice import payloads
from aster_tui.practice.errors import VenueError, refuse
from aster_tui.practice.exchange import Exchange
from aster_tui.practice.ledger import MAKER_FEE, TAKER_FEE
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.orders import listing_of, whole
from aster_tui.practice.paging import WEEK_MS, page

Params = dict[str, str]
MOST_PLACED, MOST_CANCELLED = 5, 10
SUCCESS = {"code": 200, "msg": "success"}


class AccountApi:
    """Answers signed calls.

    Args:
        rejected: counts refusals by code; those of single orders of a batch are counted here.
    """

    def __init__(self, exchange: Exchange, rejected: Counter[str]) -> None:
        self._exchange = exchange
        self._rejected = rejected

    def calls(self) -> dict[tuple[str, str], Callable[[str, Params], Any]]:
        """The calls by method and path."""
        return {
            ("PUT", "order"): self._modify,
            ("POST", "batchOrders"): self._place_batch,
            ("DELETE", "batchOrders"): self._cancel_batch,
            ("POST", "countdownCancelAll"): self._countdown,
            ("GET", "openOrder"): self._open_order,
            ("GET", "allOrders"): self._all_orders,
            ("GET", "userTrades"): self._user_trades,
            ("GET", "income"): self._income,
            ("GET", "commissionRate"): self._commission,
            ("GET", "leverageBracket"): self._brackets,
            ("GET", "positionSide/dual"): lambda user, params: {
                "dualSidePosition": self._exchange.accounts[user].hedge
            },
            ("POST", "positionSide/dual"): self._position_mode,
            ("POST", "marginType"): self._margin_type,
        }

    def _modify(self, user: str, params: Params) -> Any:
        return payloads.order(self._exchange.modify(user, params))

    def _place_batch(self, user: str, params: Params) -> Any:
        rows = _list(params, "batchOrders")
        if not 1 <= len(rows) <= MOST_PLACED:
            raise refuse(-4082)
        return [self._one(user, row) for row in rows]

    def _one(self, user: str, row: Any) -> Any:
        try:
            if not isinstance(row, dict):
                raise refuse(-1130, "batchOrders")
            asked = {str(name): _text(value) for name, value in row.items()}
            order = self._exchange.place(user, asked)
            if order is None:
                raise refuse(-1130, "batchOrders")
            return payloads.order(order, acknowledged_only=asked.get("newOrderRespType", "ACK") == "ACK")
        except VenueError as error:
            return self._refused(error)

    def _refused(self, error: VenueError) -> Any:
        self._rejected[str(error.code)] += 1
        return {"code": error.code, "msg": error.msg}

    def _cancel_batch(self, user: str, params: Params) -> Any:
        symbol = listing_of(params).symbol
        by_id = "orderIdList" in params
        rows = _list(params, "orderIdList" if by_id else "origClientOrderIdList")
        if not 1 <= len(rows) <= MOST_CANCELLED:
            raise refuse(-4032, MOST_CANCELLED)
        answers = []
        for row in rows:
            name = "orderId" if by_id else "origClientOrderId"
            try:
                cancelled = self._exchange.cancel(user, {"symbol": symbol, name: _text(row)})
                answers.append(payloads.order(cancelled))
            except VenueError as error:
                answers.append(self._refused(error))
        return answers

    def _countdown(self, user: str, params: Params) -> Any:
        symbol, after = listing_of(params).symbol, whole(params, "countdownTime")
        self._exchange.set_countdown(user, symbol, after)
        return {"symbol": symbol, "countdownTime": str(after)}

    def _open_order(self, user: str, params: Params) -> Any:
        listing_of(params)
        order = self._exchange.books[user].find(params)
        if order is None or not order.open:
            raise refuse(-2013)
        return payloads.order(order)

    def _all_orders(self, user: str, params: Params) -> Any:
        symbol = listing_of(params).symbol
        rows = page(
            params,
            self._exchange.books[user].all_of(symbol),
            lambda o: o.created_ms,
            number=lambda o: o.order_id,
            from_name="orderId",
            longest_ms=WEEK_MS,
        )
        return [payloads.order(o) for o in rows]

    def _user_trades(self, user: str, params: Params) -> Any:
        symbol = listing_of(params).symbol
        rows = self._exchange.books[user].fills[symbol]
        return page(params, rows, lambda t: t["time"], number=lambda t: t["id"], longest_ms=WEEK_MS)

    def _income(self, user: str, params: Params) -> Any:
        symbol, kind = params.get("symbol"), params.get("incomeType")
        rows = []
        fills = self._exchange.books[user].fills
        for fill in chain.from_iterable([fills[symbol]] if symbol else fills.values()):
            for number, (name, amount) in enumerate(
                (("REALIZED_PNL", fill["realizedPnl"]), ("COMMISSION", f"-{fill['commission']}")), start=1
            ):
                if kind in (None, name) and amount.strip("-0."):
                    rows.append(
                        {
                            "symbol": fill["symbol"],
                            "incomeType": name,
                            "income": amount,
                            "asset": "USDT",
                            "info": name,
                            "time": fill["time"],
                            "tranId": f"{fill['id']}{number}",
                            "tradeId": str(fill["id"]),
                        }
                    )
        rows += [
            row
            for row in self._exchange.income[user]
            if symbol in (None, row["symbol"]) and kind in (None, row["incomeType"])
        ]
        return page(params, sorted(rows, key=lambda row: row["time"]), lambda row: row["time"])

    def _commission(self, user: str, params: Params) -> Any:
        return {
            "symbol": listing_of(params).symbol,
            "makerCommissionRate": payloads.text(MAKER_FEE),
            "takerCommissionRate": payloads.text(TAKER_FEE),
        }

    def _brackets(self, user: str, params: Params) -> Any:
        symbols = [listing_of(params).symbol] if "symbol" in params else list(LISTINGS)
        rows = [
            {
                "symbol": symbol,
                "brackets": [
                    {
                        "bracket": b.number,
                        "initialLeverage": b.leverage,
                        "notionalCap": int(b.cap),
                        "notionalFloor": int(b.floor),
                        "maintMarginRatio": float(b.ratio),
                        "cum": float(b.deduction),
                    }
                    for b in LISTINGS[symbol].brackets
                ],
            }
            for symbol in symbols
        ]
        return rows[0] if "symbol" in params else rows

    def _position_mode(self, user: str, params: Params) -> Any:
        wanted = params.get("dualSidePosition", "").lower()
        if wanted not in ("true", "false"):
            raise refuse(-1102, "dualsideposition")
        self._exchange.set_hedge(user, wanted == "true")
        return SUCCESS

    def _margin_type(self, user: str, params: Params) -> Any:
        symbol, wanted = listing_of(params).symbol, params.get("marginType", "")
        if wanted not in ("CROSSED", "ISOLATED"):
            raise refuse(-1102, "margintype")
        self._exchange.set_isolated(user, symbol, wanted == "ISOLATED")
        return SUCCESS


def _list(params: Params, name: str) -> list[Any]:
    try:
        rows = json.loads(params.get(name, ""), parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise refuse(-1102, name) from None
    if not isinstance(rows, list):
        raise refuse(-1102, name)
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""

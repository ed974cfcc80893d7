"""The exchange without sockets: accounts, orders, matching and triggers on one simulated market.

Synchronous and deterministic: the same options, calls and times give the same answers. Every change is told
to ``publish`` as the event the user stream carries.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from aster_tui.practice import payloads
from aster_tui.practice.auth import account_keys
from aster_tui.practice.errors import other, refuse
from aster_tui.practice.history import PublicTrade, SymbolHistory
from aster_tui.practice.ledger import CENT8, ZERO, Account, Position, initial_margin
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.market import Level, Market, Quote
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.orders import Order, parse

Publish = Callable[[str, dict[str, Any]], None]
FIRST_ORDER_ID = 22_500_000
#: Filled and cancelled orders an account remembers.
ORDERS_KEPT = 5_000
FILLS_KEPT = 5_000


class Book:
    """The orders of one account."""

    def __init__(self) -> None:
        self.by_id: dict[int, Order] = {}
        self.open: dict[int, Order] = {}

    def add(self, order: Order) -> None:
        """Take a new order."""
        self.by_id[order.order_id] = order
        self.open[order.order_id] = order
        if len(self.by_id) > ORDERS_KEPT:
            oldest = next(i for i in self.by_id if i not in self.open)
            del self.by_id[oldest]

    def find(self, params: Mapping[str, str]) -> Order | None:
        """The order a request names by ``orderId`` or ``origClientOrderId`` (the newest of that name)."""
        symbol = params.get("symbol")
        if params.get("orderId"):
            text = params["orderId"]
            order = self.by_id.get(int(text)) if text.isascii() and text.isdigit() else None
            return order if order is not None and order.symbol == symbol else None
        name = params.get("origClientOrderId")
        if not name:
            raise refuse(-1102, "orderid")
        named = (o for o in reversed(self.by_id.values()) if o.client_id == name and o.symbol == symbol)
        return next(named, None)


class Exchange:
    """All accounts on one market.

    Args:
        clock_ms: server time in Unix ms.
        publish: told (user, event) for the user streams.
    """

    def __init__(self, options: PracticeOptions, clock_ms: Callable[[], int], publish: Publish) -> None:
        self.options = options
        self.market = Market(
            LISTINGS.values(), seed=options.seed, volatility=options.volatility, depth=options.depth
        )
        self._clock_ms = clock_ms
        self._publish = publish
        self._last_ms = 0
        self._next_order = FIRST_ORDER_ID
        self._next_trade = 1
        self.executed_orders = 0
        self.history = {symbol: SymbolHistory() for symbol in LISTINGS}
        self.fills: dict[str, deque[dict[str, Any]]] = {}
        self._countdowns: dict[tuple[str, str], int] = {}
        self.keys = [account_keys(options.seed, number) for number in range(options.accounts)]
        self.accounts: dict[str, Account] = {}
        self.books: dict[str, Book] = {}
        for keys in self.keys:
            user = keys.user.lower()
            self.accounts[user] = Account(
                user, keys.user, keys.name, options.balance, options.default_leverage
            )
            self.books[user] = Book()
            self.fills[user] = deque(maxlen=FILLS_KEPT)
            self._open_positions(user, keys.name)

    def now(self) -> int:
        """Server time in Unix ms; never goes back."""
        self._last_ms = max(self._last_ms, self._clock_ms())
        return self._last_ms

    def _open_positions(self, user: str, name: str) -> None:
        """``--positions``: different symbols, sides and sizes, as if bought at the present mark."""
        rng = random.Random(f"{self.options.seed}/{name}/positions")
        symbols = rng.sample(list(LISTINGS), min(self.options.positions, len(LISTINGS)))
        for number, symbol in enumerate(symbols):
            listing, quote = LISTINGS[symbol], self.market.quote(symbol)
            notional = Decimal(rng.randint(60, 160)) + number * 7
            quantity = (notional / quote.last).quantize(listing.step, ROUND_DOWN)
            quantity = max(quantity, listing.min_qty) * rng.choice((1, -1))
            position = self.accounts[user].position(symbol)
            position.apply(quantity, quote.last)
            position.updated_ms = self.now()

    # Orders

    def place(self, user: str, params: Mapping[str, str], *, test: bool = False) -> Order | None:
        """Place an order; ``test`` runs every check and stops before the book."""
        book = self.books[user]
        order = parse(params, self.market.quote, self.now(), self._next_order)
        if any(o.client_id == order.client_id for o in book.open.values()):
            raise other(-4116, "ClientOrderId is duplicated.")
        self._check_counts(book, order)
        if order.reduces:
            self._check_reduces(user, order)
        else:
            self._check_margin(user, order)
        levels: list[Level] = []
        if not order.waiting:
            levels = self._levels(order)
            self._check_crossing(order, levels)
        if test:
            return None
        self._next_order += 1
        book.add(order)
        self._tell(user, order, "NEW")
        if not order.waiting:
            self._execute(user, order, levels)
        return order

    def cancel(self, user: str, params: Mapping[str, str]) -> Order:
        """Cancel one order; -2011 when it is not open."""
        order = self.books[user].find(params)
        if order is None or not order.open:
            raise refuse(-2011)
        self._end(user, order, "CANCELED")
        return order

    def cancel_all(self, user: str, symbol: str) -> None:
        """Cancel every open order of a symbol."""
        for order in [o for o in self.books[user].open.values() if o.symbol == symbol]:
            self._end(user, order, "CANCELED")

    def modify(self, user: str, params: Mapping[str, str]) -> Order:
        """Change price and quantity of a resting LIMIT; -2013 when there is none, -4000 for another type."""
        order = self.books[user].find(params)
        if order is None or not order.open:
            raise refuse(-2013)
        if order.kind != "LIMIT":
            raise other(-4000, "Invalid order status.")
        asked = {**params, "type": "LIMIT", "side": order.side, "timeInForce": order.force}
        if order.reduce_only:
            asked["reduceOnly"] = "true"
        changed = parse(asked, self.market.quote, self.now(), order.order_id)
        if changed.quantity <= order.executed:
            raise refuse(-4004)
        before = order.price, order.quantity
        order.price, order.quantity = changed.price, changed.quantity
        if not order.reduces and self.available(user) < 0:
            order.price, order.quantity = before
            raise refuse(-2019)
        order.updated_ms = self.now()
        self._tell(user, order, "AMENDMENT")
        self._execute(user, order, self._levels(order))
        return order

    def set_countdown(self, user: str, symbol: str, after_ms: int) -> None:
        """Cancel a symbol's orders ``after_ms`` from now unless it is set again; 0 stops it."""
        if after_ms:
            self._countdowns[user, symbol] = self.now() + after_ms
        else:
            self._countdowns.pop((user, symbol), None)

    def run_countdowns(self) -> None:
        """Carry out what has run down."""
        now = self.now()
        for (user, symbol), at in [*self._countdowns.items()]:
            if at <= now:
                del self._countdowns[user, symbol]
                self.cancel_all(user, symbol)

    def _check_counts(self, book: Book, order: Order) -> None:
        mine = [o for o in book.open.values() if o.symbol == order.symbol]
        listing = LISTINGS[order.symbol]
        if order.waiting and sum(o.waiting for o in mine) >= listing.max_algo_orders:
            raise refuse(-4045)
        if len(mine) >= listing.max_orders:
            raise refuse(-2025)

    def _check_reduces(self, user: str, order: Order) -> None:
        position = self.accounts[user].position(order.symbol)
        if order.close_position and order.waiting:
            return  # may wait for a position that is not there yet
        if not position.reducible(order.side):
            raise refuse(-2022)

    def _check_margin(self, user: str, order: Order) -> None:
        if order.waiting:
            return  # margin is asked for when it triggers
        if self.available(user, order) < 0:
            raise refuse(-2019)

    def _levels(self, order: Order) -> list[Level]:
        limit = order.price if order.kind == "LIMIT" else None
        return self.market.sweep(order.symbol, order.side, order.remaining, limit)

    def _check_crossing(self, order: Order, levels: list[Level]) -> None:
        if order.force == "GTX" and levels:
            raise other(
                -5022,
                "Due to the order could not be executed as maker, the Post Only order will be rejected.",
            )
        if order.kind == "MARKET" and levels:
            listing, mark = LISTINGS[order.symbol], self.market.quote(order.symbol).mark
            worst = levels[-1].price
            if worst > mark * listing.percent_up or worst < mark * listing.percent_down:
                raise refuse(-4131)

    def _execute(self, user: str, order: Order, levels: list[Level]) -> None:
        filled_by_book = sum((level.quantity for level in levels), ZERO)
        if order.force == "FOK" and filled_by_book < order.quantity:
            levels = []
        wallet_before = self.accounts[user].wallet
        for level in levels:
            self._fill(user, order, level.quantity, level.price, maker=False)
            if not order.open:
                break
        if levels:
            self._tell_account(user, order.symbol, wallet_before)
        if order.open and (order.kind == "MARKET" or order.force in ("IOC", "FOK")):
            self._end(user, order, "EXPIRED")

    def _fill(self, user: str, order: Order, quantity: Decimal, price: Decimal, *, maker: bool) -> None:
        account = self.accounts[user]
        if order.reduces:
            # Never flips and never grows: what the position no longer has is not executed.
            quantity = min(quantity, account.position(order.symbol).reducible(order.side))
        if quantity <= 0:
            return
        signed = quantity if order.side == "BUY" else -quantity
        realized, fee = account.fill(order.symbol, "BOTH", signed, price, maker=maker)
        now = self.now()
        account.updated_ms = account.position(order.symbol).updated_ms = order.updated_ms = now
        if not order.executed:
            self.executed_orders += 1
        order.executed += quantity
        order.quote += quantity * price
        order.status = "FILLED" if order.executed >= order.quantity else "PARTIALLY_FILLED"
        if not order.open:
            self.books[user].open.pop(order.order_id, None)
        self._publish(
            user,
            payloads.order_event(
                order,
                now,
                "TRADE",
                last=quantity,
                price=price,
                fee=fee,
                realized=realized,
                trade_id=self._next_trade,
                maker=maker,
            ),
        )
        self._remember(user, order, signed, price, realized, fee, now, maker=maker)
        self._next_trade += 1

    def _remember(
        self,
        user: str,
        order: Order,
        signed: Decimal,
        price: Decimal,
        realized: Decimal,
        fee: Decimal,
        at: int,
        *,
        maker: bool,
    ) -> None:
        quantity, buys = abs(signed), signed > 0
        trade = PublicTrade(self._next_trade, at, price, quantity, buyer_made=buys == maker)
        self.history[order.symbol].fill(trade)
        self.fills[user].append(
            {
                "symbol": order.symbol,
                "id": self._next_trade,
                "orderId": order.order_id,
                "side": order.side,
                "price": payloads.text(price),
                "qty": payloads.text(quantity),
                "realizedPnl": payloads.text(realized),
                "marginAsset": "USDT",
                "quoteQty": payloads.text(quantity * price),
                "commission": payloads.eight(fee),
                "commissionAsset": "USDT",
                "time": at,
                "positionSide": "BOTH",
                "buyer": buys,
                "maker": maker,
            }
        )

    def _end(self, user: str, order: Order, status: str) -> None:
        order.status, order.updated_ms = status, self.now()
        self.books[user].open.pop(order.order_id, None)
        self._tell(user, order, status)

    def _tell(self, user: str, order: Order, execution: str) -> None:
        self._publish(user, payloads.order_event(order, self.now(), execution))

    def _tell_account(self, user: str, symbol: str, wallet_before: Decimal) -> None:
        account = self.accounts[user]
        changed = account.wallet - wallet_before
        self._publish(
            user, payloads.account_event(account, self.now(), "ORDER", changed, [account.position(symbol)])
        )

    # The market moves

    def step(self) -> None:
        """One step of the market, and what follows from it."""
        self.market.step()
        now = self.now()
        for symbol, history in self.history.items():
            history.see(now, self.market.quote(symbol).last)
        self.run_countdowns()
        self.settle()

    def set_price(self, symbol: str, price: Decimal) -> None:
        """An operator sets a price."""
        self.market.set_price(symbol, price)
        self.settle()

    def settle(self) -> None:
        """Fill resting limits that were crossed and set off triggers, oldest order first."""
        for user, book in self.books.items():
            for order in sorted(book.open.values(), key=lambda o: o.order_id):
                if not order.open:
                    continue
                quote = self.market.quote(order.symbol)
                if order.waiting:
                    if order.triggers(quote):
                        self._trigger(user, order)
                elif _crossed(order, quote):
                    self._rest_filled(user, order)

    def _rest_filled(self, user: str, order: Order) -> None:
        before = self.accounts[user].wallet
        self._fill(user, order, order.remaining, order.price, maker=True)
        self._tell_account(user, order.symbol, before)
        if order.open:
            self._end(user, order, "EXPIRED")  # reduce-only, and the position was smaller

    def _trigger(self, user: str, order: Order) -> None:
        order.kind = "MARKET"
        if order.close_position:
            order.quantity = self.accounts[user].position(order.symbol).reducible(order.side)
        nothing_left = order.reduces and not self.accounts[user].position(order.symbol).reducible(order.side)
        too_dear = not order.reduces and self.available(user, order, listed=True) < 0
        if nothing_left or too_dear:
            self._end(user, order, "EXPIRED")
            return
        self._tell(user, order, "NEW")
        self._execute(user, order, self._levels(order))

    # Accounts

    def unrealized(self, user: str) -> Decimal:
        """Profit of all open positions at the marks, USDT."""
        positions = self.accounts[user].positions.values()
        return sum((p.unrealized(self.market.quote(p.symbol).mark) for p in positions if p.amount), ZERO)

    def available(self, user: str, more: Order | None = None, *, listed: bool = False) -> Decimal:
        """Wallet + unrealized − margin of positions and open orders, USDT; below zero is not enough.

        ``more`` is an order to count in; ``listed`` says that it is in the book already.
        """
        account = self.accounts[user]
        orders = [o for o in self.books[user].open.values() if not o.reduces and not o.waiting]
        if more is not None and not (listed and more in orders):
            orders.append(more)
        symbols = {p.symbol for p in account.positions.values() if p.amount} | {o.symbol for o in orders}
        bound = sum((self._margin(account, symbol, orders) for symbol in symbols), ZERO)
        return (account.wallet + self.unrealized(user) - bound).quantize(CENT8, ROUND_DOWN)

    def _margin(self, account: Account, symbol: str, orders: list[Order]) -> Decimal:
        quote = self.market.quote(symbol)
        buying = selling = ZERO
        for order in orders:
            if order.symbol == symbol:
                value = order.remaining * (order.price or (quote.ask if order.side == "BUY" else quote.bid))
                buying, selling = (
                    (buying + value, selling) if order.side == "BUY" else (buying, selling + value)
                )
        value = account.position(symbol).amount * quote.mark
        return initial_margin(value, buying, selling, account.leverage(symbol))

    def set_leverage(self, user: str, symbol: str, leverage: int) -> None:
        """Set a symbol's leverage; -4028 when it is out of range, -2028 when the margin would not do."""
        account = self.accounts[user]
        if not 1 <= leverage <= LISTINGS[symbol].max_leverage:
            raise refuse(-4028, leverage)
        before = account.leverages.get(symbol)
        account.leverages[symbol] = leverage
        if self.available(user) < 0:
            if before is None:
                del account.leverages[symbol]
            else:
                account.leverages[symbol] = before
            raise refuse(-2028)
        if before != leverage:
            self._publish(user, payloads.leverage_event(symbol, leverage, self.now()))

    def liquidation_price(self, user: str, position: Position) -> Decimal:
        """Where the account could no longer hold this position, all else staying as it is; 0 for never."""
        if not position.amount:
            return ZERO
        account, ratio = self.accounts[user], LISTINGS[position.symbol].maint_ratio
        others = [p for p in account.positions.values() if p.amount and p is not position]
        cushion = account.wallet
        for other_one in others:
            mark = self.market.quote(other_one.symbol).mark
            kept = LISTINGS[other_one.symbol].maint_ratio * abs(other_one.amount) * mark
            cushion += other_one.unrealized(mark) - kept
        slope = position.amount - ratio * abs(position.amount)
        price = (position.cost - cushion) / slope if slope else ZERO
        return max(price, ZERO).quantize(LISTINGS[position.symbol].tick)

    def state(self) -> dict[str, Any]:
        """The accounts of ``/practice/state``."""
        return {
            account.address: {
                "balance": payloads.eight(account.wallet),
                "positions": [
                    {
                        "symbol": p.symbol,
                        "positionSide": p.side,
                        "positionAmt": payloads.text(p.amount),
                        "entryPrice": payloads.eight(p.entry),
                    }
                    for p in account.positions.values()
                    if p.amount
                ],
                "open_orders": sorted(self.books[user].open),
            }
            for user, account in self.accounts.items()
        }


def _crossed(order: Order, quote: Quote) -> bool:
    return quote.ask <= order.price if order.side == "BUY" else quote.bid >= order.price

"""The exchange without sockets: accounts, orders, matching and triggers on one simulated market.

Synchronous and deterministic: the same options, calls and times give the same answers. Every change is told
to ``publish`` as the event the user stream carries. Liquidation and funding are in
:mod:`aster_tui.practice.risk`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from aster_tui.practice import payloads
from aster_tui.practice.auth import account_keys
from aster_tui.practice.book import Book
from aster_tui.practice.crowd import Crowd
from aster_tui.practice.errors import refuse
from aster_tui.practice.history import PublicTrade, SymbolHistory
from aster_tui.practice.ledger import ZERO, Account
from aster_tui.practice.listings import LISTINGS, Listing
from aster_tui.practice.margin import Margin
from aster_tui.practice.market import Level, Market, Quote
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.orders import Order, parse
from aster_tui.practice.past import Past
from aster_tui.practice.risk import Risk

Publish = Callable[[str, dict[str, Any]], None]
FIRST_ORDER_ID = 22_500_000
INCOME_KEPT = 5_000
SET_CLOCK_MS = 500


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
        self.margin = Margin(self.market.quote)
        #: Symbols that do not trade: CLOSE, or REDUCE_ONLY for those that only take closing orders.
        self.statuses: dict[str, str] = {}
        #: Income that is no fill: funding and what liquidations cost.
        self.income: dict[str, deque[dict[str, Any]]] = {}
        self.history = {row.symbol: self._history_of(row) for row in LISTINGS.values()}
        self._crowd = Crowd(options.seed)
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
            self.income[user] = deque(maxlen=INCOME_KEPT)
            self._open_positions(user, keys.name)
        self.risk = Risk(self)

    def now(self) -> int:
        """Server time in Unix ms. Small steps back of the machine's clock are not followed, so that events
        keep their order; a clock that is set, or a skew that ends, is."""
        now = self._clock_ms()
        if not self._last_ms - SET_CLOCK_MS < now < self._last_ms:
            self._last_ms = now
        return self._last_ms

    def _history_of(self, listing: Listing) -> SymbolHistory:
        moving = (
            Past(listing, self.options.seed, self.options.volatility) if self.options.volatility else None
        )
        last = self.market.quote(listing.symbol).last
        return SymbolHistory(self.now(), last, moving.before if moving is not None else None)

    def _open_positions(self, user: str, name: str) -> None:
        """``--positions``: different symbols, sides and sizes, as if bought at the present mark."""
        rng = random.Random(f"{self.options.seed}/{name}/positions")
        first = rng.randint(0, 1)
        symbols = rng.sample(list(LISTINGS), min(self.options.positions, len(LISTINGS)))
        for number, symbol in enumerate(symbols):
            listing, quote = LISTINGS[symbol], self.market.quote(symbol)
            notional = Decimal(rng.randint(60, 160)) + number * 7
            quantity = (notional / quote.last).quantize(listing.step, ROUND_DOWN)
            # In turns, so that there are longs and shorts wherever there are two.
            quantity = max(quantity, listing.min_qty) * (1 if number % 2 == first else -1)
            position = self.accounts[user].position(symbol)
            position.apply(quantity, quote.last)
            position.updated_ms = self.now()

    # Orders

    def place(self, user: str, params: Mapping[str, str], *, test: bool = False) -> Order | None:
        """Place an order; ``test`` runs every check and stops before the book."""
        book, account = self.books[user], self.accounts[user]
        order = parse(params, self.market.quote, self.now(), self._next_order, hedge=account.hedge)
        self._check_permitted(account, order)
        if book.is_open(order.client_id):
            raise refuse(-4116)
        self._check_counts(book, order)
        if order.reduces:
            self._check_reduces(account, order)
        else:
            self._check_margin(user, order)
        levels: list[Level] = []
        if not order.waiting:
            levels = self._levels(order)
            self._check_crossing(order, levels)
        if test:
            return None
        self.accept(user, order)
        if not order.waiting:
            self.execute(user, order, levels)
        return order

    def accept(self, user: str, order: Order) -> None:
        """Take an order into the book and tell of it."""
        self._next_order = max(self._next_order, order.order_id) + 1
        self.books[user].add(order)
        self.tell(user, order, "NEW")

    @property
    def next_order_id(self) -> int:
        """The id the next order will have."""
        return self._next_order

    def cancel(self, user: str, params: Mapping[str, str]) -> Order:
        """Cancel one order; -2011 when it is not open."""
        order = self.books[user].find(params)
        if order is None or not order.open:
            raise refuse(-2011)
        self.end(user, order, "CANCELED")
        return order

    def cancel_all(self, user: str, symbol: str) -> None:
        """Cancel every open order of a symbol."""
        for order in self.books[user].of_symbol(symbol):
            self.end(user, order, "CANCELED")

    def modify(self, user: str, params: Mapping[str, str]) -> Order:
        """Change price and quantity of a resting LIMIT; -2013 when there is none, -4000 for another type."""
        order = self.books[user].find(params)
        if order is None or not order.open:
            raise refuse(-2013)
        if order.kind != "LIMIT":
            raise refuse(-4000)
        asked = {**params, "type": "LIMIT", "side": order.side, "timeInForce": order.force}
        asked["positionSide"] = order.position_side
        if order.reduce_only:
            asked["reduceOnly"] = "true"
        hedge = self.accounts[user].hedge
        changed = parse(asked, self.market.quote, self.now(), order.order_id, hedge=hedge)
        if changed.quantity <= order.executed:
            raise refuse(-4004)
        before = order.price, order.quantity
        order.price, order.quantity = changed.price, changed.quantity
        if not order.reduces and self.available(user) < 0:
            order.price, order.quantity = before
            raise refuse(-2019)
        order.updated_ms = self.now()
        self.tell(user, order, "AMENDMENT")
        self.execute(user, order, self._levels(order))
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
        mine = book.of_symbol(order.symbol)
        listing = LISTINGS[order.symbol]
        if order.waiting and sum(o.waiting for o in mine) >= listing.max_algo_orders:
            raise refuse(-4045)
        if len(mine) >= listing.max_orders:
            raise refuse(-2025)

    def _check_permitted(self, account: Account, order: Order) -> None:
        status = self.statuses.get(order.symbol, "TRADING")
        if status == "CLOSE":
            raise refuse(-4141)
        if status != "TRADING" and not order.reduces:
            raise refuse(-4140)
        if account.trading == "none":
            raise refuse(-4088)
        if account.trading == "reduce" and not order.reduces:
            raise refuse(-4087)

    def _check_reduces(self, account: Account, order: Order) -> None:
        if order.waiting and (order.close_position or account.hedge):
            return  # may wait for a position that is not there yet
        there = account.position(order.symbol, order.position_side).reducible(order.side)
        # One way, a larger order is cut to what is there; in hedge mode it is refused.
        if not there or (account.hedge and order.quantity > there):
            raise refuse(-2022)

    def _check_margin(self, user: str, order: Order) -> None:
        account = self.accounts[user]
        most = LISTINGS[order.symbol].max_notional(account.leverage(order.symbol))
        book = self.books[user]
        if self.margin.exposure(account, order.symbol, [*book.of_symbol(order.symbol), order]) > most:
            raise refuse(-2027)
        if order.waiting:
            return  # margin is asked for when it triggers
        if self.margin.available(account, [*book.open.values(), order]) < 0:
            raise refuse(-2019)

    def _levels(self, order: Order) -> list[Level]:
        limit = order.price if order.kind == "LIMIT" else None
        return self.market.sweep(order.symbol, order.side, order.remaining, limit)

    def _check_crossing(self, order: Order, levels: list[Level]) -> None:
        if order.force == "GTX" and levels:
            raise refuse(-5022)
        if order.kind == "MARKET" and levels:
            listing, mark = LISTINGS[order.symbol], self.market.quote(order.symbol).mark
            worst = levels[-1].price
            if worst > mark * listing.percent_up or worst < mark * listing.percent_down:
                raise refuse(-4131)

    def execute(self, user: str, order: Order, levels: list[Level], *, kind: str = "TRADE") -> None:
        """Fill what ``levels`` hold; what a MARKET, IOC or FOK order does not get ends it."""
        filled_by_book = sum((level.quantity for level in levels), ZERO)
        if order.force == "FOK" and filled_by_book < order.quantity:
            levels = []
        wallet_before = self.accounts[user].wallet
        for level in levels:
            self._fill(user, order, level, maker=False, kind=kind)
            if not order.open:
                break
        if levels:
            self.tell_account(user, [(order.symbol, order.position_side)], wallet_before)
        if order.open and (order.kind == "MARKET" or order.force in ("IOC", "FOK")):
            self.end(user, order, "EXPIRED")

    def _fill(self, user: str, order: Order, level: Level, *, maker: bool, kind: str = "TRADE") -> None:
        account, price, quantity = self.accounts[user], level.price, level.quantity
        position = account.position(order.symbol, order.position_side)
        if order.reduces:
            # Never flips and never grows: what the position no longer has is not executed.
            quantity = min(quantity, position.reducible(order.side))
        if quantity <= 0:
            return
        signed = quantity if order.side == "BUY" else -quantity
        realized, fee = account.fill(order.symbol, order.position_side, signed, price, maker=maker)
        now = self.now()
        account.updated_ms = position.updated_ms = order.updated_ms = now
        if not order.executed:
            self.executed_orders += 1
        order.executed += quantity
        order.quote += quantity * price
        order.status = "FILLED" if order.executed >= order.quantity else "PARTIALLY_FILLED"
        if not order.open:
            self.books[user].close(order)
        told = payloads.order_event(
            order,
            now,
            kind,
            last=quantity,
            price=price,
            fee=fee,
            realized=realized,
            trade_id=self._next_trade,
            maker=maker,
        )
        self._publish(user, told)
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
        self.books[user].fills[order.symbol].append(
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
                "positionSide": order.position_side,
                "buyer": buys,
                "maker": maker,
            }
        )

    def end(self, user: str, order: Order, status: str) -> None:
        """An order ends without (further) execution."""
        order.status, order.updated_ms = status, self.now()
        self.books[user].close(order)
        self.tell(user, order, status)

    def tell(self, user: str, order: Order, execution: str) -> None:
        """Tell the user's streams of an order."""
        self._publish(user, payloads.order_event(order, self.now(), execution))

    def tell_account(
        self, user: str, touched: list[tuple[str, str]], wallet_before: Decimal, reason: str = "ORDER"
    ) -> None:
        """Tell the user's streams of the wallet and of the positions ``touched``."""
        account = self.accounts[user]
        changed = account.wallet - wallet_before
        positions = [account.position(*key) for key in touched]
        self._publish(user, payloads.account_event(account, self.now(), reason, changed, positions))

    def publish(self, user: str, event: dict[str, Any]) -> None:
        """Tell the user's streams anything else."""
        self._publish(user, event)

    # The market moves

    def step(self) -> None:
        """One step of the market, and what follows from it."""
        self.market.step()
        now = self.now()
        for listing in LISTINGS.values():
            history, last = self.history[listing.symbol], self.market.quote(listing.symbol).last
            history.see(now, last)
            if self.options.volatility and (traded := self._crowd.trade(listing, last)):
                history.fill(PublicTrade(self._next_trade, now, last, *traded))
                self._next_trade += 1
        self.run_countdowns()
        self.risk.fund(now)
        self.settle()

    def set_price(self, symbol: str, price: Decimal, mark: Decimal | None = None) -> None:
        """An operator sets a price, and the mark price apart if it is given."""
        self.market.set_price(symbol, price, mark)
        self.settle()

    def settle(self) -> None:
        """Fill resting limits that were crossed and set off triggers, oldest order first; then end what can
        no longer be held."""
        for user, book in self.books.items():
            for order in sorted(book.open.values(), key=lambda o: o.order_id):
                if not order.open or self.statuses.get(order.symbol) == "CLOSE":
                    continue
                quote = self.market.quote(order.symbol)
                if order.waiting:
                    if order.triggers(quote):
                        self._trigger(user, order)
                elif _crossed(order, quote):
                    self._rest_filled(user, order)
        self.risk.look()

    def _rest_filled(self, user: str, order: Order) -> None:
        before = self.accounts[user].wallet
        self._fill(user, order, Level(order.price, order.remaining), maker=True)
        self.tell_account(user, [(order.symbol, order.position_side)], before)
        if order.open:
            self.end(user, order, "EXPIRED")  # reduce-only, and the position was smaller

    def _trigger(self, user: str, order: Order) -> None:
        account = self.accounts[user]
        order.kind = "LIMIT" if order.price else "MARKET"
        there = account.position(order.symbol, order.position_side).reducible(order.side)
        if order.close_position:
            order.quantity = there
        too_dear = not order.reduces and self.available(user) < 0
        if too_dear or (order.reduces and not there):
            self.end(user, order, "EXPIRED")
            return
        self.tell(user, order, "NEW")
        levels = self._levels(order)
        if order.force == "GTX" and levels:
            self.end(user, order, "EXPIRED")
            return
        self.execute(user, order, levels)

    # Accounts

    def unrealized(self, user: str) -> Decimal:
        """Profit of all open positions at the marks, USDT."""
        return self.margin.unrealized(self.accounts[user])

    def available(self, user: str) -> Decimal:
        """What new orders may bind, USDT; below zero is too little."""
        return self.margin.available(self.accounts[user], self.books[user].open.values())

    def set_leverage(self, user: str, symbol: str, leverage: int) -> None:
        """Set a symbol's leverage. -4028 out of range, -2028 for want of margin, -2027 when the position is
        too large for it, -4161 to lower it under an isolated position."""
        account, listing = self.accounts[user], LISTINGS[symbol]
        if not 1 <= leverage <= listing.max_leverage:
            raise refuse(-4028, leverage)
        holds = any(p.symbol == symbol for p in account.held)
        if symbol in account.isolated and holds and leverage < account.leverage(symbol):
            raise refuse(-4161)
        orders = self.books[user].of_symbol(symbol)
        if self.margin.exposure(account, symbol, orders) > listing.max_notional(leverage):
            raise refuse(-2027)
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

    def set_hedge(self, user: str, hedge: bool) -> None:
        """One-way or hedge mode. -4059 already so, -4067 with open orders, -4068 with positions."""
        account = self.accounts[user]
        if account.hedge == hedge:
            raise refuse(-4059)
        if self.books[user].open:
            raise refuse(-4067)
        if account.held:
            raise refuse(-4068)
        account.hedge = hedge

    def set_isolated(self, user: str, symbol: str, isolated: bool) -> None:
        """Crossed or isolated margin of a symbol. -4046 already so, -4047 with open orders, -4048 with a
        position."""
        account = self.accounts[user]
        if (symbol in account.isolated) == isolated:
            raise refuse(-4046)
        if self.books[user].of_symbol(symbol):
            raise refuse(-4047)
        if any(p.symbol == symbol for p in account.held):
            raise refuse(-4048)
        if isolated:
            account.isolated.add(symbol)
        else:
            account.isolated.discard(symbol)

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
                    for p in account.held
                ],
                "open_orders": sorted(self.books[user].open),
            }
            for user, account in self.accounts.items()
        }


def _crossed(order: Order, quote: Quote) -> bool:
    return quote.ask <= order.price if order.side == "BUY" else quote.bid >= order.price

"""What the exchange does to accounts by itself: funding, margin calls, liquidation, auto-deleveraging."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aster_tui.practice import payloads
from aster_tui.practice.history import ForcedOrder
from aster_tui.practice.ledger import CENT8, ZERO, Position
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.market import Level
from aster_tui.practice.orders import Order

if TYPE_CHECKING:
    from aster_tui.practice.exchange import Exchange

#: Part of a liquidated value that goes to the insurance fund, as the listings publish it.
LIQUIDATION_FEE = Decimal("0.01")
#: A margin call is sent when this part of the margin is needed to keep the positions.
CALL_AT = Decimal("0.8")


@lru_cache(maxsize=4096)
def funding_rate(seed: int, symbol: str, interval: int) -> Decimal:
    """The rate of one funding interval: a function of the seed. Above zero the longs pay."""
    # Never nothing: whoever looks for the payment of an interval finds one.
    basis_points = random.Random(f"{seed}/{symbol}/funding/{interval}").randint(-5, 15) or 1
    return Decimal(basis_points).scaleb(-5).quantize(CENT8)


class Risk:
    """Looks after the accounts of an exchange."""

    #: Whether funding is charged when its hour comes; otherwise only when it is asked for.
    funds_by_the_hour = True

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._next_funding = payloads.next_funding(exchange.now())

    # Funding

    def rate(self, symbol: str, at: int) -> Decimal:
        """The funding rate in force at a time."""
        return funding_rate(self._exchange.options.seed, symbol, at // payloads.FUNDING_INTERVAL_MS)

    def fund(self, now: int, *, at_once: bool = False) -> None:
        """Charge funding when its time has come."""
        by_the_hour = self.funds_by_the_hour and self._exchange.options.funding
        if not at_once and (now < self._next_funding or not by_the_hour):
            return
        if not at_once:
            self._next_funding = payloads.next_funding(now)
        for user, account in self._exchange.accounts.items():
            for position in account.held:
                self._charge(user, position, now)

    def _charge(self, user: str, position: Position, now: int) -> None:
        exchange = self._exchange
        account, value = exchange.accounts[user], exchange.margin.value(position)
        paid = (-value * self.rate(position.symbol, now)).quantize(CENT8, ROUND_HALF_EVEN)
        if not paid:
            return
        before = account.wallet
        account.wallet += paid
        account.updated_ms = now
        isolated = position.symbol in account.isolated
        if isolated:
            position.isolated += paid
        self._earn(user, position.symbol, "FUNDING_FEE", paid, now)
        # On cross margin only the balance is told.
        touched = [(position.symbol, position.side)] if isolated else []
        exchange.tell_account(user, touched, before, "FUNDING_FEE")

    def _earn(self, user: str, symbol: str, kind: str, amount: Decimal, now: int) -> None:
        rows = self._exchange.income[user]
        rows.append(
            {
                "symbol": symbol,
                "incomeType": kind,
                "income": payloads.eight(amount),
                "asset": "USDT",
                "info": kind,
                "time": now,
                "tranId": f"{now}{len(rows)}",
                "tradeId": "",
            }
        )

    # Liquidation

    def look(self) -> None:
        """Call for margin, and end what can no longer be held."""
        for user, account in self._exchange.accounts.items():
            if not account.held:
                account.warned = False
                continue
            ruined = self._exchange.margin.ruined(account)
            if ruined:
                self._liquidate(user, ruined)
            else:
                self._call(user)

    def _call(self, user: str) -> None:
        exchange, account = self._exchange, self._exchange.accounts[user]
        needed, there = exchange.margin.maintenance(account), exchange.margin.cross_balance(account)
        pressing = needed > there * CALL_AT
        if pressing and not account.warned:
            rows = [self._pressed(account, p) for p in account.held if p.symbol not in account.isolated]
            now = exchange.now()
            event = {"e": "MARGIN_CALL", "E": now, "cw": payloads.eight(account.cross_wallet), "p": rows}
            exchange.publish(user, event)
        account.warned = pressing

    def _pressed(self, account: Any, position: Position) -> dict[str, str]:
        mark = self._exchange.market.quote(position.symbol).mark
        return {
            "s": position.symbol,
            "ps": position.side,
            "pa": payloads.text(position.amount),
            "mt": "CROSSED",
            "iw": "0",
            "mp": payloads.eight(mark),
            "up": payloads.eight(position.unrealized(mark)),
            "mm": payloads.eight(LISTINGS[position.symbol].maintenance(position.amount * mark)),
        }

    def _liquidate(self, user: str, ruined: list[Position]) -> None:
        exchange, account = self._exchange, self._exchange.accounts[user]
        symbols = {p.symbol for p in ruined}
        cross = any(s not in account.isolated for s in symbols)
        for order in [*exchange.books[user].open.values()]:
            if cross or order.symbol in symbols:
                exchange.end(user, order, "EXPIRED")
        for position in ruined:
            price = exchange.market.quote(position.symbol).mark.quantize(LISTINGS[position.symbol].tick)
            value = abs(position.amount) * price
            self.force(user, position, f"autoclose-{exchange.now()}{position.symbol}"[:36], price)
            fee = min((value * LIQUIDATION_FEE).quantize(CENT8), max(account.wallet, ZERO))
            if fee:
                before = account.wallet
                account.wallet -= fee
                self._earn(user, position.symbol, "INSURANCE_CLEAR", -fee, exchange.now())
                exchange.tell_account(user, [], before, "INSURANCE_CLEAR")
        if account.wallet < 0:  # the insurance fund bears what the account cannot
            before, account.wallet = account.wallet, ZERO
            self._earn(user, "", "INSURANCE_CLEAR", -before, exchange.now())
            exchange.tell_account(user, [], before, "INSURANCE_CLEAR")

    def deleverage(self, user: str, symbol: str) -> bool:
        """Close a user's positions in a symbol as auto-deleveraging does; False when there are none."""
        found = [p for p in self._exchange.accounts[user].held if p.symbol == symbol]
        for position in found:
            price = self._exchange.market.quote(symbol).mark.quantize(LISTINGS[symbol].tick)
            self.force(user, position, "adl_autoclose", price)
        return bool(found)

    def force(self, user: str, position: Position, client_id: str, price: Decimal) -> None:
        """Close a position with an order of the exchange itself."""
        exchange, now = self._exchange, self._exchange.now()
        order = Order(
            order_id=exchange.next_order_id,
            client_id=client_id,
            symbol=position.symbol,
            side="SELL" if position.amount > 0 else "BUY",
            kind="LIMIT",
            original="LIMIT",
            force="IOC",
            quantity=abs(position.amount),
            price=price,
            stop=ZERO,
            working="CONTRACT_PRICE",
            reduce_only=not exchange.accounts[user].hedge,
            close_position=False,
            protect=False,
            created_ms=now,
            updated_ms=now,
            position_side=position.side,
        )
        exchange.accept(user, order)
        exchange.execute(user, order, [Level(price, order.quantity)], kind="CALCULATED")
        seen = ForcedOrder(order.order_id, now, payloads.forced_order(order, now))
        exchange.history[order.symbol].forced.append(seen)

"""What tests of close-all share: a practice exchange in any situation, and runs of the engine against it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.signing import Signer
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.flatten.report import FlattenReport
from aster_tui.domain.keys import PrivateKey
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.engine.flatten.run import FlattenRun
from aster_tui.engine.flatten.targets import Target
from aster_tui.practice.listings import LISTINGS
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.journal import Journal

D = Decimal
Leg = tuple[str, str]


def practice(**more: Any) -> PracticeExchange:
    """An exchange whose market stands still, with one rich account unless more are asked for."""
    options: dict[str, Any] = {"volatility": D(0), "balance": D(10**6), "accounts": 1, **more}
    return PracticeExchange(PracticeOptions(**options))


def user_of(exchange: PracticeExchange, number: int = 0) -> str:
    """The address of an account."""
    user: str = exchange.ready_document()["accounts"][number]["user"]
    return user


def agent_of(account: dict[str, str], name: str | None = None) -> AgentDocument:
    name = name or account["name"].capitalize()
    return AgentDocument(f"id-{name}", name, paper=False, user_address=account["user"])


def target(account: dict[str, str], chain_id: int = 1666) -> Target:
    def wallet() -> Wallet:
        return Wallet(account["user"], Signer(PrivateKey.parse(account["signer_private_key"]), chain_id))

    # Its key is at hand, as one that the environment gives: finding it takes no thread and no time.
    return Target(account["user"], (agent_of(account),), wallet, slow=False)


def targets(exchange: PracticeExchange) -> list[Target]:
    return [target(account) for account in exchange.ready_document()["accounts"]]


def venue(exchange: PracticeExchange, window_s: int = 10) -> Venue:
    return Venue(exchange.rest_url, exchange.ws_url, 1666, nonce_window_s=window_s)


def a_run(
    exchange: PracticeExchange,
    state: Path,
    chosen: Iterable[Target] | None = None,
    *,
    window_s: int = 10,
    journal: bool = True,
    **more: Any,
) -> FlattenRun:
    """A close-all of these accounts, of all without one."""
    book = FlattenBook(Journal(state), opens=True) if journal else None
    return FlattenRun(
        venue(exchange, window_s),
        NonceSource(state / "nonces", insists=True),
        chosen if chosen is not None else targets(exchange),
        book=book,
        **more,
    )


def hold(exchange: PracticeExchange, user: str, symbol: str, amount: Decimal, side: str = "BOTH") -> None:
    """Have a position, as if it had been bought at the mark."""
    inside = exchange.exchange
    inside.accounts[user.lower()].position(symbol, side).apply(amount, inside.market.quote(symbol).mark)


def rest(exchange: PracticeExchange, user: str, **params: str) -> int:
    """Have an open order; its id."""
    order = exchange.exchange.place(user.lower(), params)
    assert order is not None
    return order.order_id


def arrange(
    exchange: PracticeExchange, user: str, rng: random.Random, *, hedge: bool, positions: int, orders: int
) -> None:
    """Random positions and open orders of all kinds on one account."""
    inside = exchange.exchange
    inside.accounts[user.lower()].hedge = hedge
    symbols = rng.sample(sorted(LISTINGS), positions)
    for symbol in symbols:
        for side in rng.choice((("LONG",), ("SHORT",), ("LONG", "SHORT"))) if hedge else ("BOTH",):
            listing, mark = LISTINGS[symbol], inside.market.quote(symbol).mark
            amount = (D(rng.randint(20, 400)) / mark).quantize(listing.step, ROUND_DOWN)
            amount = max(amount, listing.min_qty)
            negative = side == "SHORT" or (side == "BOTH" and rng.random() < 0.5)
            hold(exchange, user, symbol, -amount if negative else amount, side)
    for _ in range(orders):
        symbol = rng.choice(symbols) if symbols and rng.random() < 0.7 else rng.choice(sorted(LISTINGS))
        _rest_one(exchange, user, symbol, rng, hedge=hedge)


def _rest_one(exchange: PracticeExchange, user: str, symbol: str, rng: random.Random, *, hedge: bool) -> None:
    inside, listing = exchange.exchange, LISTINGS[symbol]
    mark = inside.market.quote(symbol).mark
    side = rng.choice(("BUY", "SELL"))
    quantity = max((D(30) / mark).quantize(listing.step, ROUND_DOWN), listing.step)
    params = {"symbol": symbol, "side": side, "quantity": f"{quantity:f}"}
    legs = {
        s: p
        for (name, s), p in inside.accounts[user.lower()].positions.items()
        if name == symbol and p.amount
    }
    where = rng.choice(sorted(legs)) if legs else ("LONG" if hedge else "BOTH")
    if hedge:
        params["positionSide"] = where
    held = legs.get(where)
    if rng.random() < 0.5 and held is not None:  # a stop that protects it
        closing = "SELL" if held.amount > 0 else "BUY"
        below = closing == "SELL"
        stop = (mark * (D("0.9") if below else D("1.1"))).quantize(listing.tick, ROUND_DOWN)
        params |= {"side": closing, "type": "STOP_MARKET", "stopPrice": f"{stop:f}"}
        params["quantity"] = f"{abs(held.amount):f}"
        if not hedge:
            params["reduceOnly"] = "true"
    else:  # one that adds risk, far from the market
        if hedge:
            params["side"] = side = "BUY" if where == "LONG" else "SELL"
        price = (mark * (D("0.95") if side == "BUY" else D("1.05"))).quantize(listing.tick, ROUND_DOWN)
        params |= {"type": "LIMIT", "timeInForce": "GTC", "price": f"{price:f}"}
    rest(exchange, user, **params)


def held(exchange: PracticeExchange) -> dict[str, dict[Leg, Decimal]]:
    """What is open, by user (lower case)."""
    return {
        user: {(p.symbol, p.side): p.amount for p in account.held}
        for user, account in exchange.exchange.accounts.items()
    }


def resting(exchange: PracticeExchange) -> int:
    """How many orders are open."""
    return sum(len(book.open) for book in exchange.exchange.books.values())


def told_remaining(report: FlattenReport) -> dict[str, dict[Leg, Decimal]]:
    """What a report says is left, in the form of :func:`held`."""
    return {
        account.account.lower(): {
            (row.symbol, row.position_side): row.quantity for row in account.state.remaining
        }
        for account in report.accounts
    }

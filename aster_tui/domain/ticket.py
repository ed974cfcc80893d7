"""The order ticket: what a person wants, from text to a checked order with its cost. Pure.

The same examination is shown while the person types, made by the engine before anything leaves, and used by
the command line: one place decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from aster_tui.domain.checks import Refusal, check_order
from aster_tui.domain.safeguards import Limits, Proposal, Situation, Verdict, evaluate
from aster_tui.domain.symbols import SymbolRules, plain, round_down, symbol_of
from aster_tui.domain.trading import ZERO, Side

#: What the person calls an order type, and what the venue does.
TYPES: Mapping[str, str] = {
    "market": "MARKET",
    "limit": "LIMIT",
    "stop-market": "STOP_MARKET",
    "take-profit-market": "TAKE_PROFIT_MARKET",
    "trailing-stop-market": "TRAILING_STOP_MARKET",
}
FORCES = ("GTC", "IOC", "FOK", "GTX", "HIDDEN")
#: Percent, as the venue documents them.
LEAST_CALLBACK, MOST_CALLBACK = Decimal("0.1"), Decimal(5)
#: Longer texts are no number anybody meant.
_LONGEST = 40
_NUMBER = re.compile(r"[+-]?(?:\d[\d,_]*\.?\d*|\.\d+)")
#: The venue's taker fee where the account's own is not known, a part of the notional.
TAKER_FEE, MAKER_FEE = Decimal("0.0004"), Decimal("0.0002")
#: A market order pays half the spread and more; without a book this is assumed, basis points.
ASSUMED_SLIPPAGE_BP = Decimal(2)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One order as a person asks for it. ``order_type`` is one of :data:`TYPES`' names; ``quantity`` is in
    the base asset, or ``size_usd`` gives the notional; ``callback_rate`` is in percent."""

    symbol: str
    side: Side
    order_type: str = "market"
    quantity: Decimal | None = None
    size_usd: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    time_in_force: str = ""
    reduce_only: bool = False

    @property
    def wire_type(self) -> str:
        """The venue's name of the type."""
        return TYPES.get(self.order_type, self.order_type)

    def words(self) -> list[str]:
        """The options of the command line that say the same."""
        words = ["--symbol", self.symbol, "--side", self.side.lower(), "--type", self.order_type]
        for name, value in (
            ("--quantity", self.quantity),
            ("--size-usd", self.size_usd),
            ("--price", self.price),
            ("--stop-price", self.stop_price),
            ("--callback-rate", self.callback_rate),
            ("--activation-price", self.activation_price),
        ):
            if value is not None:
                words += [name, plain(value)]
        if self.time_in_force:
            words += ["--tif", self.time_in_force]
        return [*words, "--reduce-only"] if self.reduce_only else words


@dataclass(frozen=True, slots=True)
class Facts:
    """What a ticket is judged by. ``leverage`` is the symbol's on the account; fees are parts of the
    notional."""

    rules: SymbolRules | None
    situation: Situation
    limits: Limits
    leverage: int = 1
    taker_fee: Decimal = TAKER_FEE
    maker_fee: Decimal = MAKER_FEE
    slippage_bp: Decimal = ASSUMED_SLIPPAGE_BP


@dataclass(frozen=True, slots=True)
class Examined:
    """What a ticket comes to. Money in USDT; ``share`` is the notional in percent of the balance;
    ``problems`` are what the symbol's filters refuse, ``verdicts`` what every safeguard says."""

    ticket: Ticket
    quantity: Decimal = ZERO
    at_price: Decimal = ZERO
    notional: Decimal = ZERO
    margin: Decimal = ZERO
    share: Decimal | None = None
    fee: Decimal = ZERO
    slippage: Decimal = ZERO
    problems: tuple[Refusal, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it may not leave; empty when it may."""
        return (
            *(str(p) for p in self.problems),
            *(f"{v.name}: {v.message}" for v in self.verdicts if not v.ok),
        )

    @property
    def ok(self) -> bool:
        """Whether it may leave."""
        return not self.problems and all(v.ok for v in self.verdicts)


def examine(ticket: Ticket, facts: Facts) -> Examined:
    """What a ticket comes to, and everything that speaks against it."""
    mark = facts.situation.mark
    problems = list(_shape(ticket))
    if facts.rules is None:
        problems.append(Refusal("symbol", f"{ticket.symbol} is not traded here"))
        return Examined(ticket, problems=tuple(problems))
    rules = facts.rules
    priced = ticket.price or ticket.stop_price or mark
    quantity, refusal = _quantity(ticket, rules, priced)
    problems += refusal
    if not problems:
        problems += check_order(
            rules,
            side=ticket.side,
            order_type=ticket.wire_type,
            quantity=quantity,
            price=ticket.price,
            stop_price=ticket.stop_price,
            reduces=ticket.reduce_only,
            mark=mark,
        )
    at_price = priced if priced is not None and priced.is_finite() else ZERO
    if not quantity.is_finite():
        quantity = ZERO  # refused above
    notional = quantity * at_price
    rests = ticket.order_type == "limit" and ticket.time_in_force not in ("IOC", "FOK")
    balance = facts.situation.balance
    return Examined(
        ticket,
        quantity=quantity,
        at_price=at_price,
        notional=notional,
        margin=ZERO if ticket.reduce_only else notional / max(1, facts.leverage),
        share=notional / balance * 100 if balance else None,
        fee=notional * (facts.maker_fee if rests else facts.taker_fee),
        slippage=ZERO if ticket.order_type == "limit" else notional * facts.slippage_bp / 10_000,
        problems=tuple(problems),
        verdicts=evaluate(
            Proposal(
                symbol=ticket.symbol,
                side=ticket.side,
                notional=notional,
                leverage=facts.leverage,
                price=ticket.price if ticket.order_type == "limit" else None,
                reduces=ticket.reduce_only,
                by_person=True,
            ),
            facts.situation,
            facts.limits,
        ),
    )


def _shape(ticket: Ticket) -> list[Refusal]:
    """What is missing or does not go together, whatever the symbol."""
    found: list[Refusal] = []
    kind = ticket.order_type
    if kind not in TYPES:
        return [Refusal("type", f"the type must be one of {', '.join(TYPES)}")]
    if (ticket.quantity is None) == (ticket.size_usd is None):
        found.append(Refusal("quantity", "say either a quantity or a size in USD"))
    for name, value, kinds in (
        ("price", ticket.price, ("limit",)),
        ("stop price", ticket.stop_price, ("stop-market", "take-profit-market")),
        ("callback rate", ticket.callback_rate, ("trailing-stop-market",)),
    ):
        if value is None and kind in kinds:
            found.append(Refusal(name, f"a {kind} order needs a {name}"))
        elif value is not None and kind not in kinds:
            found.append(Refusal(name, f"a {kind} order takes no {name}"))
    rate = ticket.callback_rate
    if rate is not None and not rate.is_finite():
        found.append(Refusal("callback rate", "the callback rate is not a number"))
    elif rate is not None and not LEAST_CALLBACK <= rate <= MOST_CALLBACK:
        nearest = min(max(rate, LEAST_CALLBACK), MOST_CALLBACK)
        found.append(
            Refusal("callback rate", f"it is from {LEAST_CALLBACK} to {MOST_CALLBACK} percent", nearest)
        )
    if ticket.activation_price is not None and kind != "trailing-stop-market":
        found.append(Refusal("activation price", f"a {kind} order takes no activation price"))
    if ticket.time_in_force and kind != "limit":
        found.append(Refusal("time in force", f"a {kind} order takes no time in force"))
    elif ticket.time_in_force and ticket.time_in_force not in FORCES:
        found.append(Refusal("time in force", f"it is one of {', '.join(FORCES)}"))
    return found


def _quantity(ticket: Ticket, rules: SymbolRules, price: Decimal | None) -> tuple[Decimal, list[Refusal]]:
    """The quantity in the base asset: as it was said, or the notional's, rounded down to the step."""
    if ticket.quantity is not None:
        return ticket.quantity, []
    size = ticket.size_usd
    if size is None:
        return ZERO, []
    if not size.is_finite() or size <= 0:
        return ZERO, [Refusal("quantity", "the size must be above zero")]
    if price is None or not price.is_finite() or price <= 0:
        return ZERO, [Refusal("quantity", f"{rules.symbol} has no mark price: say a quantity")]
    step = rules.step_size if ticket.order_type == "limit" else rules.market_step_size or rules.step_size
    quantity = round_down(size / price, step)
    if not quantity:
        least = rules.market_min_quantity or rules.min_quantity
        return ZERO, [
            Refusal("quantity", f"{plain(size)} USD is less than the smallest order", least * price)
        ]
    return quantity, []


@dataclass(frozen=True, slots=True)
class Typed:
    """A ticket as it was typed: the ticket where it can be read, and what cannot, by field."""

    ticket: Ticket | None
    wrong: Mapping[str, str] = field(default_factory=dict)


def read_number(text: str) -> Decimal | None:
    """The number of a text; None of none.

    Raises:
        ValueError: it is no number anybody could mean; the text says so.
    """
    text = text.strip()
    if not text:
        return None
    if len(text) > _LONGEST or not text.isascii() or not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    try:
        return Decimal(text.replace(",", "").replace("_", ""))
    except InvalidOperation:
        raise ValueError("not a number") from None


def read_ticket(fields: Mapping[str, str]) -> Typed:
    """A ticket from texts: ``symbol``, ``side``, ``type``, ``quantity``, ``size_usd``, ``price``,
    ``stop_price``, ``callback_rate``, ``activation_price``, ``tif``, ``reduce_only`` ("yes")."""
    wrong: dict[str, str] = {}
    numbers: dict[str, Decimal | None] = {}
    for name in ("quantity", "size_usd", "price", "stop_price", "callback_rate", "activation_price"):
        try:
            numbers[name] = read_number(fields.get(name, ""))
        except ValueError as error:
            wrong[name] = str(error)
    symbol = fields.get("symbol", "").strip()
    if not re.fullmatch(r"[A-Za-z0-9]{1,30}", symbol, re.ASCII):
        wrong["symbol"] = "choose a symbol"
    side = fields.get("side", "").strip().upper()
    side = {"LONG": "BUY", "SHORT": "SELL"}.get(side, side)
    if side not in ("BUY", "SELL"):
        wrong["side"] = "buy or sell"
    if wrong:
        return Typed(None, wrong)
    ticket = Ticket(
        symbol=symbol_of(symbol),
        side="BUY" if side == "BUY" else "SELL",
        order_type=fields.get("type", "market").strip().lower(),
        time_in_force=fields.get("tif", "").strip().upper(),
        reduce_only=fields.get("reduce_only", "").strip().lower() in ("yes", "true", "1", "on"),
        **numbers,
    )
    return Typed(ticket)

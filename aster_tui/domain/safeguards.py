"""The safeguards: what must hold before an order leaves. Pure; all are evaluated and all are reported.

Each has its own setting and its own words. An order that only reduces passes those that bound risk; what it
must still pass is said by :data:`ALWAYS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from aster_tui.domain.trading import ZERO

#: Safeguards that closing orders must pass as well.
ALWAYS = frozenset({"permission", "halted"})
DAY_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of the safeguards. Percentages are of the balance, times in seconds; 0 switches one off
    where zero makes no sense as a limit."""

    order_percent: Decimal = Decimal(20)
    max_positions: int = 5
    exposure_percent: Decimal = Decimal(70)
    max_leverage: int = 10
    collar_percent: Decimal = Decimal(2)
    stale_price_s: int = 5
    stale_balance_s: int = 120
    daily_loss_percent: Decimal = Decimal(10)
    orders_per_minute: int = 20
    duplicate_s: int = 30
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order to be judged. Notional in USDT at the mark; ``price`` is what it expects to pay, if it said
    so; ``by_person``: an operator asks for it, not an agent."""

    symbol: str
    side: str
    notional: Decimal
    leverage: int = 1
    price: Decimal | None = None
    reduces: bool = False
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when an order is judged. Money in USDT, times in Unix ms.

    ``held`` maps the agent's symbols to the value of its position; ``on_account`` is the value of all that
    its account holds, of other agents too (0 where it is known to be the same); ``lost_today`` is what the
    balance is below its value of the day's beginning; ``recent`` are the orders of the last minutes as (time,
    symbol, side); ``halted`` says why nothing that adds risk may be sent, and ``reducing`` that a halt lets
    automatic orders reduce; ``forbidden`` says why the exchange takes nothing from this signer,
    ``only_reduces`` why it takes nothing that adds risk.
    """

    now: int
    balance: Decimal | None = None
    balance_at: int = 0
    available: Decimal | None = None
    mark: Decimal | None = None
    mark_at: int = 0
    held: dict[str, Decimal] = field(default_factory=dict)
    on_account: Decimal = ZERO
    lost_today: Decimal = ZERO
    recent: tuple[tuple[int, str, str], ...] = ()
    halted: str = ""
    reducing: bool = True
    forbidden: str = ""
    only_reduces: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one safeguard says."""

    name: str
    ok: bool
    message: str


Rule = Callable[[Proposal, Situation, Limits], str | None]


def evaluate(order: Proposal, now: Situation, limits: Limits) -> tuple[Verdict, ...]:
    """Every safeguard's verdict, in a fixed order."""
    return tuple(_verdict(name, rule, order, now, limits) for name, rule in RULES.items())


def refusals(verdicts: tuple[Verdict, ...]) -> tuple[str, ...]:
    """Why an order may not leave; empty when it may."""
    return tuple(f"{v.name}: {v.message}" for v in verdicts if not v.ok)


def _verdict(name: str, rule: Rule, order: Proposal, now: Situation, limits: Limits) -> Verdict:
    if order.reduces and name not in ALWAYS:
        return Verdict(name, True, "closing is not limited")
    problem = rule(order, now, limits)
    return Verdict(name, problem is None, problem or "ok")


def _halted(order: Proposal, now: Situation, limits: Limits) -> str | None:
    # A halt stops new risk, and where it is complete all that agents want; a person may always reduce.
    may_reduce = order.reduces and (order.by_person or now.reducing)
    return now.halted if now.halted and not may_reduce else None


def _permission(order: Proposal, now: Situation, limits: Limits) -> str | None:
    return now.forbidden or (now.only_reduces if not order.reduces else "") or None


def _symbols(order: Proposal, now: Situation, limits: Limits) -> str | None:
    if order.symbol in limits.deny:
        return f"{order.symbol} is on the list of symbols not to trade"
    if limits.allow and order.symbol not in limits.allow:
        return f"{order.symbol} is not on the list of symbols to trade"
    return None


def _fresh_price(order: Proposal, now: Situation, limits: Limits) -> str | None:
    if now.mark is None or not now.mark_at:
        return f"{order.symbol} has no mark price"
    age = (now.now - now.mark_at) / 1000
    if age > limits.stale_price_s:
        return f"the mark price is {age:.0f} s old, more than {limits.stale_price_s} s"
    return None


def _fresh_balance(order: Proposal, now: Situation, limits: Limits) -> str | None:
    if now.balance is None or not now.balance_at:
        return "the balance is not known"
    age = (now.now - now.balance_at) / 1000
    if age > limits.stale_balance_s:
        return f"the balance is {age:.0f} s old, more than {limits.stale_balance_s} s"
    return None


def _order_size(order: Proposal, now: Situation, limits: Limits) -> str | None:
    balance = now.balance or ZERO
    most = balance * limits.order_percent / 100
    if now.balance is not None and now.balance <= 0:
        return "the account is empty: deposit USDT, or check that it is the right account"
    if order.notional > most:
        return (
            f"{order.notional:.2f} USD is more than {limits.order_percent} % of the balance"
            f" ({most:.2f} of {balance:.2f})"
        )
    return None


def _margin(order: Proposal, now: Situation, limits: Limits) -> str | None:
    needed = order.notional / max(1, order.leverage)
    if now.available is not None and needed > now.available:
        return f"it needs {needed:.2f} USD of margin, {max(now.available, ZERO):.2f} are available"
    return None


def _positions(order: Proposal, now: Situation, limits: Limits) -> str | None:
    if order.symbol not in now.held and len(now.held) >= limits.max_positions:
        return f"{len(now.held)} positions are open, {limits.max_positions} are allowed"
    return None


def _exposure(order: Proposal, now: Situation, limits: Limits) -> str | None:
    most = (now.balance or ZERO) * limits.exposure_percent / 100 * limits.max_leverage
    total = max(sum(now.held.values(), ZERO), now.on_account) + order.notional
    if total > most:
        return f"the exposure would be {total:.2f} USD, {most:.2f} are allowed"
    return None


def _leverage(order: Proposal, now: Situation, limits: Limits) -> str | None:
    if order.leverage > limits.max_leverage:
        return f"leverage {order.leverage} is above the cap of {limits.max_leverage}"
    return None


def _collar(order: Proposal, now: Situation, limits: Limits) -> str | None:
    if order.price is None or not now.mark or not limits.collar_percent:
        return None
    if not order.price.is_finite():
        return "the price is no number"
    away = abs(order.price - now.mark) / now.mark * 100
    if away > limits.collar_percent:
        return f"the price is {away:.2f} % away from the mark, {limits.collar_percent} % are allowed"
    return None


def _daily_loss(order: Proposal, now: Situation, limits: Limits) -> str | None:
    most = ((now.balance or ZERO) + now.lost_today) * limits.daily_loss_percent / 100
    if limits.daily_loss_percent and now.lost_today > 0 and now.lost_today >= most:
        return f"{now.lost_today:.2f} USD were lost today, the limit is {most:.2f}"
    return None


def _pace(order: Proposal, now: Situation, limits: Limits) -> str | None:
    count = sum(at > now.now - 60_000 for at, _, _ in now.recent)
    if limits.orders_per_minute and count >= limits.orders_per_minute:
        return f"{count} orders in the last minute, {limits.orders_per_minute} are allowed"
    return None


def _duplicate(order: Proposal, now: Situation, limits: Limits) -> str | None:
    for at, symbol, side in reversed(now.recent):
        if (symbol, side) == (order.symbol, order.side) and now.now - at < limits.duplicate_s * 1000:
            return f"the same was ordered {(now.now - at) / 1000:.0f} s ago, wait {limits.duplicate_s} s"
    return None


RULES: dict[str, Rule] = {
    "halted": _halted,
    "permission": _permission,
    "symbols": _symbols,
    "price age": _fresh_price,
    "balance age": _fresh_balance,
    "order size": _order_size,
    "margin": _margin,
    "positions": _positions,
    "exposure": _exposure,
    "leverage": _leverage,
    "price collar": _collar,
    "daily loss": _daily_loss,
    "orders per minute": _pace,
    "duplicate": _duplicate,
}

"""How an agent stands to its safeguards: each limit beside its present value. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aster_tui.domain.safeguards import Limits
from aster_tui.domain.ticket_facts import facts_of
from aster_tui.domain.trading import ZERO
from aster_tui.domain.views import AgentView, FleetSnapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """One safeguard: what it allows, what is now, and whether that leaves room."""

    name: str
    allows: str
    now: str
    ok: bool = True


def standings(snapshot: FleetSnapshot, agent: AgentView, now: int) -> tuple[Standing, ...]:
    """Every safeguard of an agent at ``now`` (Unix ms). The day's loss is the engine's to know."""
    limits: Limits = snapshot.limits
    there = facts_of(snapshot, agent.key, "", now).situation
    balance, held = there.balance or ZERO, sum(there.held.values(), ZERO)
    most_exposure = balance * limits.exposure_percent / 100 * limits.max_leverage
    minute = sum(at > there.now - 60_000 for at, _, _ in there.recent)
    balance_age = (there.now - there.balance_at) / 1000 if there.balance_at else None
    highest = max(
        (p.leverage for p in snapshot.positions if _on(p.agent_id, agent) and p.mode == "real"), default=0
    )
    names = ", ".join(sorted(limits.allow)) or "all symbols"
    if limits.deny:
        names += f" but {', '.join(sorted(limits.deny))}"
    return (
        Standing("trading", "ACTIVE", agent.trading, not agent.halted),
        Standing("symbols", names, ""),
        Standing(
            "order size",
            f"{limits.order_percent} % of balance",
            f"at most {_money(balance * limits.order_percent / 100)}",
        ),
        Standing(
            "positions",
            str(limits.max_positions),
            str(len(there.held)),
            len(there.held) < limits.max_positions,
        ),
        Standing("exposure", _money(most_exposure), _money(held), held < most_exposure),
        Standing(
            "leverage",
            f"{limits.max_leverage}×",
            f"{highest}×" if highest else "none",
            highest <= limits.max_leverage,
        ),
        Standing(
            "margin",
            "what is available",
            _money(there.available) if there.available is not None else "not known",
        ),
        Standing("price collar", _or_off(limits.collar_percent, "% of the mark"), ""),
        Standing("price age", f"{limits.stale_price_s} s", ""),
        Standing(
            "balance age",
            f"{limits.stale_balance_s} s",
            f"{balance_age:.0f} s" if balance_age is not None else "not known",
            balance_age is not None and balance_age <= limits.stale_balance_s,
        ),
        Standing("daily loss", _or_off(limits.daily_loss_percent, "% of balance"), ""),
        Standing(
            "pace",
            _or_off(limits.orders_per_minute, "orders a minute"),
            f"{minute} in the last minute",
            not limits.orders_per_minute or minute < limits.orders_per_minute,
        ),
        Standing("duplicate", _or_off(limits.duplicate_s, "s between the same"), ""),
    )


def _on(ids: str, agent: AgentView) -> bool:
    return agent.key in ids.split("+")


def _money(value: object) -> str:
    return f"{value:.2f} USDT"


def _or_off(value: object, words: str) -> str:
    return f"{value} {words}" if value else "OFF"

"""What a close-all tells: while it runs, at its end, and as the document of the command line. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aster_tui.domain.flatten.steps import AccountFlat, Remaining
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import Order

#: How a close-all ended: ``flat``; ``left``: something is open, and it is named; ``doubtful``: an order may
#: be live; ``refused``: no account could be used; ``unreachable``: the exchange never answered.
Ending = Literal["flat", "left", "doubtful", "refused", "unreachable"]

#: The steps of the whole, in their order.
STEP_NAMES = ("keys", "read", "close", "cancel", "verify", "prove")


@dataclass(frozen=True, slots=True)
class AccountReport:
    """One account. ``client_ids`` are those of its closing orders by their number; ``problem`` is why the
    account cannot be used at all; ``reached`` is whether the exchange ever answered for it; ``marks`` are the
    ms since the begin at which it came through each step; ``verified_at`` is when the exchange said the
    second time that it is flat (Unix ms)."""

    account: str
    agents: tuple[str, ...]
    state: AccountFlat
    client_ids: Mapping[int, str] = field(default_factory=dict)
    problem: str = ""
    reached: bool = False
    marks: Mapping[str, int] = field(default_factory=dict)
    verified_at: int | None = None

    @property
    def flat(self) -> bool:
        """Whether the exchange said twice that nothing is open."""
        return self.state.flat

    @property
    def error(self) -> str:
        """Why it is not flat, in words; empty when it is, or while nothing went wrong."""
        return "" if self.flat else "; ".join(word for word in (self.problem, *self.state.errors) if word)

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Client order ids of closing orders that may still be live."""
        return tuple(self.client_ids.get(made.close.number, "?") for made in self.state.doubtful)


@dataclass(frozen=True, slots=True)
class FlattenReport:
    """The whole. Times are Unix ms. ``halt`` says what became of the halt, ``journal`` why nothing is written
    down (empty: it is), ``incident`` where the incident report is."""

    accounts: tuple[AccountReport, ...]
    began_at: int
    elapsed_ms: int
    ended: bool = False
    verified_at: int | None = None
    symbols: tuple[str, ...] = ()
    halt: str = ""
    journal: str = ""
    notes: tuple[str, ...] = ()
    incident: str = ""

    @property
    def flat(self) -> bool:
        """Whether every account is flat, by the exchange's own word; of no account nothing is known."""
        return bool(self.accounts) and all(account.flat for account in self.accounts)

    @property
    def ending(self) -> Ending:
        """How it ended, or would if it ended now."""
        if self.flat:
            return "flat"
        if any(account.state.doubtful for account in self.accounts):
            return "doubtful"
        if all(account.problem and not account.reached for account in self.accounts):
            return "refused"
        tried = [account for account in self.accounts if not account.problem]
        return "left" if any(account.reached for account in tried) else "unreachable"

    @property
    def message(self) -> str:
        """One line for people."""
        closed = sum(account.state.positions_before for account in self.accounts)
        if self.flat:
            accounts = counted(len(self.accounts), "account")
            return f"flat: the exchange said so twice of {accounts}, {counted(closed, 'position')} closed"
        if not self.accounts:
            return "no account is known: nothing was closed"
        left = [f"{row.symbol} {plain(row.quantity)}" for a in self.accounts for row in a.state.remaining]
        unread = [a.account for a in self.accounts if not a.state.positions_known]
        words = [f"NOT FLAT: {', '.join(left)} left" if left else "NOT FLAT"]
        words += [f"not known: {', '.join(unread)}"] if unread else []
        orders = [f"{o.symbol} {o.order_id}" for a in self.accounts for o in a.state.orders_left]
        words += [f"{counted(len(orders), 'order')} still open: {', '.join(orders)}"] if orders else []
        doubtful = [name for account in self.accounts for name in account.doubtful]
        words += [f"may be live: {', '.join(doubtful)}"] if doubtful else []
        return "; ".join(words)


def counted(number: int, what: str) -> str:
    """``1 account``, ``2 accounts``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def step_times(accounts: Sequence[AccountReport]) -> list[dict[str, Any]]:
    """How long each step of the whole took, ms: from the end of the one before it to when the last account
    was through; they add up to the time of the whole."""
    rows: list[dict[str, Any]] = []
    before = 0
    for name in STEP_NAMES:
        reached = [account.marks[name] for account in accounts if name in account.marks]
        if reached:
            at = max(before, *reached)
            rows.append({"name": name, "ms": at - before})
            before = at
    return rows


def document(report: FlattenReport) -> dict[str, Any]:
    """The ``close-all`` document. Decimals are text, times Unix ms."""
    return {
        "flat": report.flat,
        "verified_at": report.verified_at if report.flat else None,
        "elapsed_ms": report.elapsed_ms,
        "accounts": [_account(account) for account in report.accounts],
        "steps": step_times(report.accounts),
        "message": report.message,
        "halt": report.halt,
        "journal": report.journal,
        "notes": list(report.notes),
        "incident": report.incident,
    }


def _account(account: AccountReport) -> dict[str, Any]:
    state = account.state
    return {
        "account": account.account,
        "agents": list(account.agents),
        "verified_at": account.verified_at if account.flat else None,
        "positions_before": state.positions_before,
        "close_orders": [
            {
                "symbol": made.close.symbol,
                "side": made.close.side,
                "quantity": plain(made.close.quantity),
                "client_order_id": account.client_ids.get(made.close.number, ""),
                "status": made.status,
                "avg_price": plain(made.average_price),
                "executed": plain(made.executed),
                "mark_price": plain(made.close.mark),
                "position_side": made.close.position_side,
                "error": made.words,
            }
            for made in state.closes
        ],
        "orders_cancelled": state.orders_cancelled,
        "rounds": state.rounds,
        "remaining": [_remaining(row) for row in state.remaining],
        "open_orders_left": state.open_orders,
        "orders_left": [_order_left(order) for order in state.orders_left],
        "error": account.error,
    }


def _order_left(order: Order) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "type": order.order_type,
        "quantity": plain(order.quantity),
        "position_side": order.position_side,
        "reduces": order.reduces,
    }


def _remaining(row: Remaining) -> dict[str, Any]:
    return {
        "symbol": row.symbol,
        "position_amt": plain(row.quantity),
        "position_side": row.position_side,
        "why": row.why,
    }

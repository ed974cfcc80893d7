"""What confirm texts have in common: network, account, mode, count, symbols, notional, and what is hidden."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.status_line import Styles
from aster_tui.domain.views import AgentView, FleetSnapshot, PositionView

#: Symbols that are named before the rest is only counted.
MOST_NAMED = 6


def short_account(account: str | None) -> str:
    """``0x63dd…7c4e``."""
    if not account:
        return "no account"
    return f"{account[:6]}…{account[-4:]}" if len(account) > 12 else account


def where(snapshot: FleetSnapshot, agents: Iterable[AgentView], styles: Styles) -> Text:
    """On which network, for whom, in which mode, on which account: one line per agent."""
    text = Text()
    text.append(f" {snapshot.network} ", style=styles[snapshot.network])
    text.append("\n")
    for agent in agents:
        text.append(f"{fmt.one_line(agent.name)}  ", style=styles["strong"])
        if agent.mode == "real":
            text.append("● REAL", style=styles["strong"])
        else:
            text.append("○ paper", style=styles["dim"])
        if agent.account:
            text.append(f"  account {short_account(agent.account)}", style=styles["dim"])
        if agent.watched:
            text.append("  real positions are watched", style=styles["warn"])
        if agent.shared_with:
            others = ", ".join(fmt.one_line(name) for name in agent.shared_with)
            text.append(f"  shared with {others}", style=styles["warn"])
        text.append("\n")
    return text


def named(items: Iterable[str], most: int = MOST_NAMED) -> str:
    """The first few, and how many more."""
    found = list(dict.fromkeys(items))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def hidden_words(hidden: int, styles: Styles) -> Text:
    """What a filter hides of what would be done."""
    if not hidden:
        return Text()
    return Text(f"{hidden} of them are hidden by the filter and are done too\n", style=styles["alarm"])


def position_line(position: PositionView) -> str:
    """One position on a line."""
    size = fmt.number(position.quantity, position.quantity_places)
    return (
        f"{position.symbol} {position.side} {size}  {fmt.number(position.notional, 2)} USDT  "
        f"{fmt.signed(position.unrealized_pnl)}"
    )


def worth(positions: Sequence[PositionView]) -> Decimal:
    """The notional of positions, USDT; at entry where no mark is known."""
    return sum(
        (p.notional if p.notional is not None else p.quantity * p.entry_price for p in positions), Decimal(0)
    )


def answer_words(state: str, message: str) -> tuple[str, str]:
    """What came of a request, with its style."""
    sign, style = {
        "running": ("…", "dim"),
        "done": ("✓", "ok"),
        "refused": ("✗ refused:", "warn"),
        "failed": ("✗ failed:", "alarm"),
        "unreachable": ("✗ not reached:", "alarm"),
        "unknown": ("‼ OUTCOME UNKNOWN, something may be live:", "alarm"),
    }[state]
    return f"{sign} {message or state}", style

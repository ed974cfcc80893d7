"""What an order ticket comes to, in words: cost, share, and everything that speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.screens.words import where
from aster_tui.console.status_line import Styles
from aster_tui.domain.symbols import plain, round_up
from aster_tui.domain.ticket import Examined, Facts
from aster_tui.domain.ticket_facts import leverage_of
from aster_tui.domain.views import AgentView, FleetSnapshot

CENT = Decimal("0.01")
#: The safeguards that judge by the symbol's leverage.
BY_LEVERAGE = frozenset({"margin", "leverage"})
#: The fields of the form by the names that the examination has for them.
FORM = {
    "quantity": "quantity",
    "price": "price",
    "stop price": "stop_price",
    "callback rate": "callback_rate",
}


def nearest_of(examined: Examined) -> tuple[str, Decimal] | None:
    """The first field that is wrong and would do with another value: its name in the form, and that value."""
    for problem in examined.problems:
        if problem.nearest is None or problem.field not in FORM:
            continue
        by_size = examined.ticket.size_usd is not None and not examined.quantity
        if problem.field == "quantity" and by_size:
            return "size_usd", round_up(problem.nearest, CENT)
        return FORM[problem.field], problem.nearest
    return None


def examined_text(
    snapshot: FleetSnapshot, agent: AgentView | None, examined: Examined, facts: Facts, styles: Styles
) -> Text:
    """The whole examination."""
    text = where(snapshot, [agent] if agent else [], styles)
    text.append_text(_numbers(snapshot, agent, examined, facts, styles))
    text.append_text(_verdicts(examined, styles, _later(snapshot, agent, examined)))
    return text


def _later(snapshot: FleetSnapshot, agent: AgentView | None, examined: Examined) -> frozenset[str]:
    """The safeguards that cannot be asked yet, because only the exchange knows the symbol's leverage."""
    if examined.ticket.reduce_only:
        return frozenset()
    known = agent is not None and leverage_of(snapshot, agent.key, examined.ticket.symbol) is not None
    return frozenset() if known else BY_LEVERAGE


def _numbers(
    snapshot: FleetSnapshot, agent: AgentView | None, examined: Examined, facts: Facts, styles: Styles
) -> Text:
    symbol, now = examined.ticket.symbol, facts.situation
    places = facts.rules.price_places if facts.rules is not None else 2
    rows = [("mark", _mark(facts, places))]
    if examined.quantity:
        known = agent is not None and leverage_of(snapshot, agent.key, symbol) is not None
        leverage = f"{facts.leverage}×" if known else "1× assumed: the exchange says when it is sent"
        share = f"{fmt.number(examined.share, 1)} % of" if examined.share is not None else "of"
        rows += [
            ("quantity", f"{plain(examined.quantity)} at {fmt.number(examined.at_price, places)}"),
            ("notional", f"{fmt.number(examined.notional, 2)} USDT"),
            ("margin", f"{fmt.number(examined.margin, 2)} USDT, leverage {leverage}"),
            ("balance", f"{share} {fmt.number(now.balance, 2)} USDT"),
            ("fee", f"about {fmt.number(examined.fee, 4)} USDT"),
            ("slippage", f"about {fmt.number(examined.slippage, 4)} USDT"),
        ]
    if agent is not None:
        for position in snapshot.positions:
            mine = position.mode == "real" and agent.key in position.agent_id.split("+")
            if mine and position.symbol == symbol:
                size = fmt.number(position.quantity, position.quantity_places)
                rows.append(("position", f"{position.side} {size} now"))
    text = Text()
    for name, value in rows:
        text.append(f"{name:<9} ", style=styles["dim"])
        text.append(f"{value}\n")
    return text


def _mark(facts: Facts, places: int) -> str:
    now = facts.situation
    if now.mark is None:
        return "not known"
    return f"{fmt.number(now.mark, places)}, {fmt.age(now.now - now.mark_at)} old"


def _verdicts(examined: Examined, styles: Styles, later: frozenset[str]) -> Text:
    text = Text()
    nearest = nearest_of(examined)
    for problem in examined.problems:
        text.append("✗ ", style=styles["alarm"])
        text.append(f"{problem}\n")
        if nearest is not None and FORM.get(problem.field) in (nearest[0], "quantity"):
            text.append(f"  ctrl+n takes {plain(nearest[1])}\n", style=styles["key"])
            nearest = None
    refusing = [v for v in examined.verdicts if not v.ok]
    for verdict in refusing:
        text.append("✗ ", style=styles["alarm"])
        text.append(f"{verdict.name}: ", style=styles["strong"])
        text.append(f"{verdict.message}\n")
    passing = [v.name for v in examined.verdicts if v.ok and v.name not in later]
    if passing and examined.quantity:
        count = f"{len(passing)} of {len(examined.verdicts)}"
        text.append(f"✓ {count} safeguards let it pass\n", style=styles["ok"])
        asked = [v.name for v in examined.verdicts if v.ok and v.name in later]
        if asked:
            text.append(f"· asked when it is sent: {', '.join(asked)}\n", style=styles["dim"])
    return text


def called(name: str) -> str:
    """A field as the form calls it."""
    return {"size_usd": "USD", "callback_rate": "callback %"}.get(name, name.replace("_", " "))


def wrong_text(wrong: Mapping[str, str], styles: Styles) -> Text:
    """What cannot be read, field by field."""
    text = Text()
    for name, why in wrong.items():
        text.append("✗ ", style=styles["alarm"])
        text.append(f"{called(name)}: ", style=styles["strong"])
        text.append(f"{why}\n")
    return text


def matches_text(matches: list[str], picked: int, snapshot: FleetSnapshot, styles: Styles) -> Text:
    """The symbols that fit what was typed."""
    text = Text()
    shown = 9
    first = max(0, min(picked - shown // 2, len(matches) - shown))
    for index, symbol in enumerate(matches[first : first + shown], start=first):
        rules, mark = snapshot.rules.get(symbol), snapshot.marks.get(symbol)
        places = rules.price_places if rules is not None else 2
        halted = "" if rules is None or rules.trading else f"  {rules.status}"
        line = f"{'▸' if index == picked else ' '} {symbol:<14} {fmt.number(mark, places):>14}{halted}\n"
        text.append(line, style=styles["tab"] if index == picked else "")
    more = len(matches) - shown
    text.append(f"  {more} more: type on\n" if more > 0 else "", style=styles["dim"])
    if not matches:
        text.append("no such symbol is traded here\n", style=styles["warn"])
    else:
        text.append("↑ ↓ and enter take one\n", style=styles["dim"])
    return text

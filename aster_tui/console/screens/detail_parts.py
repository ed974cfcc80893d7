"""What a detail screen shows beyond a row's own fields: charts, ladders, timelines, safeguards."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.details import beside
from aster_tui.console.screens.orders import order_line
from aster_tui.console.status_line import Styles
from aster_tui.console.widgets.ladder import Level, ladder
from aster_tui.domain.fleet_views import user_feed
from aster_tui.domain.standing import standings
from aster_tui.domain.trading import account_key
from aster_tui.domain.views import AgentView, FleetSnapshot, OrderStep, OrderView, PositionView

LAST_ORDERS = 6


def heading(text: Text, words: str, styles: Styles) -> None:
    """The title of a part."""
    text.append(f"\n{words}\n", style=styles["strong"])


# Agents


def agent_parts(snapshot: FleetSnapshot, agent: AgentView, now: int, styles: Styles, width: int) -> Text:
    """Reasoning, safeguards, key, orders."""
    text = Text()
    if agent.thought:
        heading(text, "last reasoning", styles)
        beside(text, "  ", "", Text(fmt.one_line(agent.thought)), width)
    if agent.mode == "real" or agent.watched:
        heading(text, "key and permissions", styles)
        _keys(text, snapshot, agent, styles, width)
        heading(text, "safeguards", styles)
        _safeguards(text, snapshot, agent, now, styles)
    mine = [o for o in snapshot.orders if agent.name in o.agent.split("+")]
    still_open = [o for o in mine if o.open]
    for title, orders in (
        ("open orders", still_open),
        ("last orders", [o for o in mine if not o.open][:LAST_ORDERS]),
    ):
        if orders:
            heading(text, title, styles)
            for order in orders:
                _order_row(text, order, styles)
    return text


def _keys(text: Text, snapshot: FleetSnapshot, agent: AgentView, styles: Styles, width: int) -> None:
    feed = next((f for f in snapshot.feeds if agent.account and f.name == user_feed(agent.account)), None)
    if feed is not None:
        said = f"{feed.state}{f': {fmt.one_line(feed.detail)}' if feed.detail else ''}"
        style = styles["ok" if feed.state == "live" else "alarm" if feed.state in ("off", "down") else "warn"]
        beside(text, "  account stream  ", styles["dim"], Text(said, style=style), width)
    checked = next(
        (
            (request, checks)
            for request in snapshot.requests
            if (checks := [c for c in request.document.get("checks") or () if c.get("agent") == agent.name])
        ),
        None,
    )
    if checked is None:
        text.append("  not checked in this session: P checks it\n", style=styles["dim"])
        return
    request, checks = checked
    text.append(f"  checked at {fmt.moment(request.ended_at)}\n", style=styles["dim"])
    for check in checks:
        ok = bool(check.get("ok"))
        head = f"  {'✓' if ok else '✗'} {check.get('name'):<14}"
        said = fmt.one_line(str(check.get("message")))
        beside(text, head, styles["ok" if ok else "alarm"], Text(said), width)


def _safeguards(text: Text, snapshot: FleetSnapshot, agent: AgentView, now: int, styles: Styles) -> None:
    for standing in standings(snapshot, agent, now):
        text.append("  ✓ " if standing.ok else "  ✗ ", style=styles["ok" if standing.ok else "alarm"])
        text.append(f"{standing.name:<13}", style=styles["dim"])
        text.append(f"{fmt.one_line(standing.allows)}")
        text.append(f"   now {fmt.one_line(standing.now)}\n" if standing.now else "\n", style=styles["dim"])


def _order_row(text: Text, order: OrderView, styles: Styles) -> None:
    text.append(f"  {fmt.clock(order.at)} ", style=styles["dim"])
    text.append(order_line(order))
    text.append(f"  {order.forced or order.status}\n", style=styles["dim"])


# Positions


def position_parts(snapshot: FleetSnapshot, position: PositionView, styles: Styles, width: int) -> Text:
    """The price ladder with its protective orders, and the orders that wait in the symbol."""
    text, places = Text(), position.price_places
    orders = _orders_at(snapshot, position)
    heading(text, "price ladder", styles)
    levels = [Level("entry", position.entry_price, note=fmt.signed(position.unrealized_pnl) + " USDT now")]
    if position.mark_price is not None:
        levels.append(Level("mark", position.mark_price, "strong"))
    if position.liquidation_price:
        levels.append(Level("liquidation", position.liquidation_price, "alarm", _liquidation(position)))
    levels += _protection(position, orders)
    text.append_text(ladder(levels, position.mark_price, places, styles))
    if position.mode == "real" and not position.stop_loss:
        text.append("no stop protects it\n", style=styles["alarm"])
    if orders:
        heading(text, "open orders in the symbol", styles)
        for order in orders:
            _order_row(text, order, styles)
    return text


def _orders_at(snapshot: FleetSnapshot, position: PositionView) -> list[OrderView]:
    account = position.key.partition(":")[0]
    return [
        o
        for o in snapshot.orders
        if o.open and o.symbol == position.symbol and o.account and account_key(o.account) == account
    ]


def _protection(position: PositionView, orders: Sequence[OrderView]) -> list[Level]:
    """The stops and targets at the exchange; for paper, those of the decision."""
    found = []
    for order in orders:
        price = order.stop_price or order.limit_price
        if price:
            takes = order.order_type.startswith("TAKE_PROFIT")
            name = (
                "target" if takes else "stop" if order.order_type.startswith("STOP") else order.side.lower()
            )
            size = fmt.number(order.quantity, order.quantity_places)
            style = "ok" if takes else "warn"
            found.append(
                Level(name, price, style, f"{order.side} {size}{'' if order.reduce_only else ' adds risk'}")
            )
    if not found:
        for name, price, style in (
            ("stop", position.stop_loss, "warn"),
            ("target", position.take_profit, "ok"),
        ):
            if price:
                found.append(Level(name, price, style))
    return found


def _liquidation(position: PositionView) -> str:
    mark, price = position.mark_price, position.liquidation_price
    if not mark or not price:
        return ""
    return f"{abs(mark - price) / mark * 100:.2f} % away"


# Orders


def order_parts(order: OrderView, styles: Styles, width: int) -> Text:
    """The order's whole life: when, how long after the moment before, what was said."""
    text = Text()
    heading(text, "its life", styles)
    if not order.history:
        words = "computed on paper: nothing was sent" if order.mode == "paper" else "nothing was kept of it"
        text.append(f"  {words}\n", style=styles["dim"])
        return text
    begin = before = order.history[0].at
    for step in order.history:
        head = f"  {_clock_ms(step.at)}  {_gap(step.at - before):>9}  {step.kind:<9} "
        beside(text, head, styles["dim"], Text(fmt.one_line(step.words), style=_tone(step, styles)), width)
        if step.raw:
            beside(text, " " * 4, "", Text(fmt.one_line(step.raw), style=styles["dim"]), width)
        before = step.at
    text.append(f"  {_gap(before - begin)} from the first to the last\n", style=styles["dim"])
    return text


def _tone(step: OrderStep, styles: Styles) -> str:
    return styles["alarm"] if step.kind in ("unknown", "refused", "unsent") else ""


def _clock_ms(at: int) -> str:
    return f"{fmt.clock(at)}.{at % 1000:03d}"


def _gap(milliseconds: int) -> str:
    if milliseconds < 10_000:
        return f"+{milliseconds} ms"
    return f"+{fmt.age(milliseconds)}"

"""The overlay, and all there is to know of a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import ClassVar

from rich.console import Console
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from aster_tui.console import format as fmt
from aster_tui.console.layer import Layer
from aster_tui.console.status_line import Styles
from aster_tui.console.widgets.grid import UNDER
from aster_tui.domain.command_log import CommandView, command_log
from aster_tui.domain.metrics import WINDOWS
from aster_tui.domain.views import AgentView, ConsoleView, ErrorView, FleetSnapshot, OrderView, PositionView

Pairs = list[tuple[str, str]]


class Overlay(Layer):
    """A scrolling text above the panes. Escape, enter, q and ? close it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark", "dismiss", "close", show=False, id="overlay.close"),
        Binding("up,k", "scroll(-1)", show=False, id="overlay.up"),
        Binding("down,j", "scroll(1)", show=False, id="overlay.down"),
        Binding("pageup", "scroll(-10)", show=False, id="overlay.pageup"),
        Binding("pagedown", "scroll(10)", show=False, id="overlay.pagedown"),
    ]

    def __init__(self, title: str, content: Callable[[int], Text]) -> None:
        """``content`` gives the text for a width in cells."""
        super().__init__()
        self._heading = title
        self._content = content
        self._last = Text()

    def compose(self) -> ComposeResult:
        """A frame around a text."""
        with VerticalScroll(id="frame") as frame:
            frame.border_title = self._heading
            frame.border_subtitle = "esc closes"
            self._last = self._said()
            yield Static(self._last, id="text")

    @property
    def text(self) -> str:
        """What it says."""
        return self._last.plain

    def follow(self) -> None:
        """Say it anew, if it changed."""
        text = self._said()
        if text != self._last:
            self._last = text
            self.query_one("#text", Static).update(text)

    def on_resize(self) -> None:
        """Break the lines anew."""
        self.follow()

    def _said(self) -> Text:
        # As the style sheet has it: nine tenths of the screen, at most 100; less frame, padding and bar.
        text = self._content(min(100, self.app.size.width * 9 // 10) - 7)
        text.rstrip()
        return text

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one("#frame").scroll_relative(y=by, animate=False)


def beside(text: Text, head: str, style: str, body: Text, width: int) -> None:
    """Add ``body`` beside ``head``; its further lines begin where its first does."""
    for number, line in enumerate(body.wrap(_console(), max(10, width - len(head)), overflow="fold")):
        line.rstrip()
        text.append(" " * len(head) if number else head, style=style)
        text.append_text(line)
        text.append("\n")


@cache
def _console() -> Console:
    # Rich asks for one to break lines and takes nothing from it.
    return Console()


def row_details(
    snapshot: FleetSnapshot, pane: str, key: str, now: int, styles: Styles, width: int = 93
) -> Text | None:
    """All that is known of a row; None when it is gone."""
    if pane == "agents":
        agent = next((a for a in snapshot.agents if a.key == key), None)
        return _pairs(_agent(agent, snapshot, now), styles, width) if agent else None
    if pane == "positions":
        position = next((p for p in snapshot.positions if p.key == key), None)
        return _pairs(_position(position, now), styles, width) if position else None
    if pane == "orders":
        order = next((o for o in snapshot.orders if o.key == key), None)
        return _pairs(_order(order), styles, width) if order else None
    if pane == "commands":
        views = command_log(snapshot.requests, snapshot.audit)
        command = next((c for c in views if c.key == key), None)
        return _pairs(_command(command), styles, width) if command else None
    if pane == "operators":
        console = next((c for c in snapshot.consoles if c.console_id == key), None)
        return _pairs(_console_pairs(console, now), styles, width) if console else None
    error = next((e for e in snapshot.errors if e.key == key.partition(UNDER)[0]), None)
    return _pairs(_error(error), styles, width) if error else None


def _pairs(pairs: Pairs, styles: Styles, width: int) -> Text:
    longest = max((len(name) for name, _ in pairs), default=0)
    text = Text()
    for name, value in pairs:
        beside(text, f"{name:<{longest}}  ", styles["dim"], Text(fmt.one_line(value)), width)
    return text


def _balance(a: AgentView) -> str:
    if not a.told:
        return "not known: the exchange has not said it"
    return f"{fmt.number(a.balance, 2)} USDT{' (not live)' if a.stale else ''}"


def _agent(a: AgentView, snapshot: FleetSnapshot, now: int) -> Pairs:
    pairs: Pairs = [
        ("agent", a.name),
        ("strategy", a.strategy or fmt.UNKNOWN),
        ("mode", "REAL: trades on the exchange" if a.mode == "real" else "paper: computed, no account"),
        ("status", a.status),
        ("balance", _balance(a)),
        (
            "pnl",
            f"{fmt.signed(a.pnl_absolute)} USDT  {fmt.percent(a.pnl_percent)}" if a.told else fmt.UNKNOWN,
        ),
        ("trades", f"{a.total_trades}, {a.win_rate:.0f} % won" if a.total_trades else "none yet"),
    ]
    if a.mode == "real":
        pairs.append(("account", a.account or "none: set asterUserAddress"))
        if a.shared_with:
            pairs.append(("shared with", ", ".join(a.shared_with)))
        pairs.append(("open orders", str(a.open_orders)))
        when = f" ({fmt.moment(a.sync.at)}, {fmt.age(now - a.sync.at)} ago)" if a.sync.at else ""
        pairs.append(("sync", f"{a.sync.state}{when}"))
        since = f" (for {fmt.age(now - a.sync.drifted_at)})" if a.sync.drifted_at else ""
        pairs += [(f"drift{since}", line) for line in a.sync.drift]
        if a.sync.error:
            pairs.append(("sync failed", a.sync.error))
        pairs += _reality(a)
        pairs += _figures(snapshot, a.name)
    for position in snapshot.positions:
        if a.key in position.agent_id.split("+"):
            size = fmt.number(position.quantity, position.quantity_places)
            pairs.append(
                (
                    "position",
                    f"{position.symbol} {position.side} {size} at "
                    f"{fmt.number(position.entry_price, position.price_places)}  "
                    f"{fmt.signed(position.unrealized_pnl)} USDT",
                )
            )
    if a.last_error:
        pairs.append(("last error", a.last_error))
    pairs += [("warning", line) for line in a.warnings]
    return pairs


def _reality(a: AgentView) -> Pairs:
    """The real account beside the paper one that decides the same."""
    if a.paper_balance is None:
        return []
    pairs: Pairs = [("on paper", f"{fmt.number(a.paper_balance, 2)} USDT by the same decisions")]
    found = a.reality
    if found is None:
        return pairs
    both = f"{fmt.signed(found.real_pnl)} USDT real, {fmt.signed(found.paper_pnl)} USDT on paper"
    slippage = (
        "" if found.slippage_bp is None else f", {fmt.signed(found.slippage_bp)} bp slippage on average"
    )
    orders = f"{fmt.signed(found.orders_cost, 4)} USDT by its orders' slippage and fees"
    return [
        *pairs,
        ("pnl of its orders", both),
        ("cost of reality", f"{fmt.signed(found.cost)} USDT in all: {orders}"),
        ("fees, funding", f"{fmt.number(found.fees, 4)} paid, {fmt.signed(found.funding, 4)}{slippage}"),
    ]


def _figures(snapshot: FleetSnapshot, agent: str) -> Pairs:
    """How well an agent's orders went through, by window."""
    pairs: Pairs = []
    for window in WINDOWS:
        found = snapshot.metrics.get((agent, window))
        if found is None or not found.orders:
            continue
        success = "" if found.success is None else f", {found.success * 100:.1f} % placed"
        pairs.append((f"orders {window}", f"{found.orders}{success}, {found.doubted} doubted"))
        if found.slippage_average is not None and found.slippage_p95 is not None:
            words = (
                f"{fmt.signed(found.slippage_average)} bp on average, {fmt.signed(found.slippage_p95)} bp p95"
            )
            pairs.append((f"slippage {window}", words))
        if found.latency_p50 is not None:
            delays = f"{found.latency_p50} / {found.latency_p95} / {found.latency_p99} ms p50 / p95 / p99"
            pairs.append((f"latency {window}", delays))
        pairs.append((f"fees {window}", f"{fmt.number(found.commission, 4)} USDT"))
        if found.errors:
            kinds = ", ".join(f"{kind} ×{count}" for kind, count in sorted(found.errors.items()))
            pairs.append((f"errors {window}", kinds))
    return pairs


def _position(p: PositionView, now: int) -> Pairs:
    price = p.price_places
    held = fmt.age(now - p.opened_at) if p.opened_at else fmt.UNKNOWN
    return [
        ("agent", p.agent),
        ("symbol", p.symbol),
        ("side", p.side),
        ("mode", p.mode),
        ("size", fmt.number(p.quantity, p.quantity_places)),
        ("notional", f"{fmt.number(p.notional, 2)} USDT"),
        ("leverage", f"{p.leverage}×" if p.leverage else fmt.UNKNOWN),
        ("entry", fmt.number(p.entry_price, price)),
        ("mark", f"{fmt.number(p.mark_price, price)}{' (not live)' if p.stale else ''}"),
        ("pnl", f"{fmt.signed(p.unrealized_pnl)} USDT"),
        ("stop", fmt.number(p.stop_loss, price) if p.stop_loss else "none"),
        ("target", fmt.number(p.take_profit, price) if p.take_profit else "none"),
        ("liquidation", fmt.number(p.liquidation_price, price) if p.liquidation_price else "none"),
        ("opened", f"{fmt.moment(p.opened_at)}, {held} ago"),
    ]


def _order(o: OrderView) -> Pairs:
    pairs: Pairs = [
        ("agent", o.agent),
        ("mode", o.mode),
        ("order", f"{o.side} {fmt.number(o.quantity, o.quantity_places)} {o.symbol} {o.order_type}"),
        ("status", f"{o.status}{f' ({o.forced})' if o.forced else ''}"),
        ("executed", fmt.number(o.executed, o.quantity_places)),
        ("price", fmt.number(o.price, o.price_places) if o.price else fmt.UNKNOWN),
        ("reduce-only", "yes" if o.reduce_only else "no"),
        ("time", fmt.moment(o.at)),
        ("client id", o.key),
    ]
    if o.slippage_bp is not None:
        pairs.append(("slippage", f"{fmt.signed(o.slippage_bp, 2)} bp against the mark at decision time"))
    if o.latency_ms is not None:
        pairs.append(("latency", f"{o.latency_ms} ms"))
    if o.cost is not None:
        pairs.append(("cost of reality", f"{fmt.signed(o.cost, 4)} USDT more than on paper"))
    return pairs


def _command(c: CommandView) -> Pairs:
    took = f", answered after {c.ended_at - c.at} ms" if c.ended_at else ""
    return [
        ("what", c.title),
        ("who", f"{c.operator}@{c.host}" if c.operator else "this console"),
        ("when", f"{fmt.moment(c.at)}{took}"),
        ("from", c.source),
        ("state", c.state),
        ("answer", c.answer or fmt.UNKNOWN),
        ("command", c.words or "there is none that does the same"),
        ("id", c.key),
    ]


def _console_pairs(c: ConsoleView, now: int) -> Pairs:
    return [
        ("operator", c.operator),
        ("host", c.host),
        ("this one", "yes" if c.mine else "no"),
        ("armed", "ARMED" if c.armed else "no"),
        ("since", fmt.moment(c.since)),
        ("last seen", f"{fmt.age(now - c.seen_at)} ago"),
        ("watching", c.watching or fmt.UNKNOWN),
    ]


def _error(e: ErrorView) -> Pairs:
    pairs: Pairs = [
        ("what", e.message),
        ("what to do", e.remedy or fmt.UNKNOWN),
        ("agent", e.agent or fmt.UNKNOWN),
        ("where", e.source),
        ("code", e.code or fmt.UNKNOWN),
        ("last time", fmt.moment(e.at)),
        ("how often", str(e.count)),
    ]
    if e.raw:
        pairs.append(("as it came", e.raw))
    return pairs

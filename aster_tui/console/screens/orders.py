"""Cancelling and changing open orders, and setting leverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from aster_tui.console import format as fmt
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.form import Form, row, why_not
from aster_tui.console.screens.ticket_text import examined_text, nearest_of
from aster_tui.console.screens.words import hidden_words, named, where
from aster_tui.console.widgets.field import Field
from aster_tui.console.widgets.symbol_field import SymbolField
from aster_tui.domain.commands import Asked, CancelOrders, ModifyOrder, SetLeverage
from aster_tui.domain.symbols import plain, symbol_of
from aster_tui.domain.ticket import Examined, Facts, Ticket, examine, read_number
from aster_tui.domain.ticket_facts import facts_of, leverage_of
from aster_tui.domain.views import AgentView, FleetSnapshot, OrderView

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

LONGEST_NUMBER = 40


def owner_of(snapshot: FleetSnapshot, order: OrderView) -> AgentView | None:
    """The agent whose account an order is on: its own, or one of those that share it."""
    names = order.agent.split("+")
    return next((a for a in snapshot.agents if a.name in names and a.account), None)


def order_line(order: OrderView) -> str:
    """One order on a line."""
    price = order.limit_price or order.stop_price
    at = f" at {fmt.number(price, order.price_places)}" if price else ""
    only = " reduce-only" if order.reduce_only else ""
    size = fmt.number(order.quantity - order.executed, order.quantity_places)
    return f"{order.side} {size} {order.symbol} {order.order_type}{at}{only}"


def cancel_selected(app: ConsoleApp) -> None:
    """Ask whether to cancel the selected orders."""
    snapshot, keys = app.newest(), app.selected_rows()
    by_key = {order.key: order for order in snapshot.orders}
    rows = [by_key[key] for key in keys if key in by_key]
    found = [(order, agent) for order in rows if order.open and (agent := owner_of(snapshot, order))]
    if not found:
        status = f" ({rows[0].status})" if len(rows) == 1 else ""
        app.say(f"nothing there is open{status}")
        return
    asked = [CancelOrders(agent.key, order.symbol, order.key) for order, agent in found]
    several, hidden = len(found) > 1, app.hidden_marks()

    def draw(width: int) -> Text:
        return _cancel_text(app, found, hidden, len(rows) - len(found))

    def do() -> None:
        for each in asked:
            app.acting.ask(each)
        app.say(f"cancel: {len(asked)} asked for")

    app.push_screen(
        Confirm(
            f"cancel {f'{len(found)} orders' if several else 'this order'}?",
            draw,
            do,
            does=f"cancels {f'these {len(found)}' if several else 'it'}",
            word="cancel" if several else "",
            refusal=lambda: why_not(app.context(), asked[0]),
        )
    )


def _cancel_text(
    app: ConsoleApp, found: Sequence[tuple[OrderView, AgentView]], hidden: int, over: int
) -> Text:
    styles, snapshot = app.looks, app.newest()
    text = where(snapshot, {agent.key: agent for _, agent in found}.values(), styles)
    # What they come to stands above the list: that may be longer than the screen.
    protecting = [order for order, _ in found if order.reduce_only]
    if protecting:
        count = "it protects" if len(found) == 1 else f"{len(protecting)} of them protect"
        words = f"{count} a position in {named(order.symbol for order in protecting)}\n"
        text.append(words, style=styles["alarm"])
    text.append_text(hidden_words(hidden, styles))
    if over:
        text.append(f"{over} are not open any more and are left out\n", style=styles["dim"])
    text.append("\n")
    for order, agent in found:
        text.append(f"{fmt.one_line(agent.name)}  ", style=styles["dim"])
        text.append(f"{order_line(order)}\n")
    return text


def modify_selected(app: ConsoleApp) -> None:
    """Change the order under the cursor."""
    order, snapshot = app.pane.cursor_view, app.newest()
    if not isinstance(order, OrderView) or not order.open:
        app.say("that order is not open")
        return
    agent = owner_of(snapshot, order)
    if order.order_type != "LIMIT" or agent is None:
        app.say("only a resting limit order can be changed: cancel this one and place another")
        return
    app.push_screen(ModifyForm(order, agent))


class ModifyForm(Form):
    """Price and quantity of a resting limit order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "nearest", show=False, id="modify.nearest"),
    ]
    HEADING = "change an order"
    DOES = "change it…"

    def __init__(self, order: OrderView, agent: AgentView) -> None:
        super().__init__()
        self._order, self._agent = order, agent

    def fields(self) -> ComposeResult:
        """Quantity and price."""
        order = self._order
        yield row("quantity", Field(plain(order.quantity), longest=LONGEST_NUMBER, id="quantity"))
        price = plain(order.limit_price) if order.limit_price else ""
        yield row("price", Field(price, longest=LONGEST_NUMBER, id="price"))

    def keys(self) -> tuple[tuple[str, str], ...]:
        """With the one that takes the nearest value."""
        first, *others = super().keys()
        return (first, ("ctrl+n", "nearest"), *others)

    def _typed(self) -> Ticket | str:
        found: dict[str, Decimal] = {}
        for name in ("quantity", "price"):
            try:
                value = read_number(self.query_one(f"#{name}", Field).value)
            except ValueError as error:
                return f"{name}: {error}"
            if value is None:
                return f"{name}: say one"
            found[name] = value
        order = self._order
        return Ticket(
            order.symbol,
            order.side,
            "limit",
            quantity=found["quantity"],
            price=found["price"],
            reduce_only=order.reduce_only,
        )

    def _examined(self, ticket: Ticket) -> tuple[Examined, Facts]:
        app = self.operator
        facts = facts_of(app.newest(), self._agent.key, ticket.symbol, app.now())
        # The order itself is no duplicate of itself.
        facts = replace(facts, situation=replace(facts.situation, recent=()))
        return examine(ticket, facts), facts

    def drawn(self, width: int) -> Text:
        """What it is, and what it would be."""
        styles = self.styles_of
        text = Text.assemble((f"{order_line(self._order)}\n", styles["strong"]))
        if not self.is_mounted or not self.query("#price"):
            return text
        typed = self._typed()
        if isinstance(typed, str):
            return text.append(f"✗ {typed}", style=styles["alarm"])
        examined, facts = self._examined(typed)
        return text.append_text(examined_text(self.operator.newest(), self._agent, examined, facts, styles))

    def action_nearest(self) -> None:
        """Take the nearest value that would do."""
        typed = self._typed()
        nearest = None if isinstance(typed, str) else nearest_of(self._examined(typed)[0])
        if nearest is None:
            self.tell("there is no nearer value to take", "dim")
            return
        self.query_one(f"#{nearest[0]}", Field).value = plain(nearest[1])

    def asked(self) -> Asked | str:
        """The change, where it may be."""
        typed = self._typed()
        if isinstance(typed, str):
            return typed
        examined, _ = self._examined(typed)
        if not examined.ok:
            return examined.reasons[0]
        assert typed.quantity is not None and typed.price is not None  # noqa: PT018 - read above
        return ModifyOrder(self._agent.key, typed.symbol, self._order.key, typed.quantity, typed.price)

    def question(self, asked: Asked) -> Confirm:
        """Whether to."""
        text = where(self.operator.newest(), [self._agent], self.styles_of)
        text.append(f"\n{order_line(self._order)}\n")
        if isinstance(asked, ModifyOrder):
            words = f"becomes {plain(asked.quantity)} at {plain(asked.price)}\n"
            text.append(words, style=self.styles_of["strong"])
        return self.confirm("change this order?", text, asked, does="changes it")


class LeverageForm(Form):
    """The leverage of a symbol on an agent's account."""

    AUTO_FOCUS = None
    HEADING = "set leverage"
    DOES = "set it…"

    def __init__(self, agent: AgentView, symbol: str) -> None:
        super().__init__()
        self._agent, self._symbol = agent, symbol

    def fields(self) -> ComposeResult:
        """Symbol and leverage."""
        known = leverage_of(self.operator.newest(), self._agent.key, self._symbol)
        yield row("symbol", SymbolField(self._symbol, id="symbol"))
        yield row("leverage", Field(str(known or ""), longest=4, id="leverage"))

    def on_mount(self) -> None:
        """The number is what is typed, once the symbol is known."""
        self.query_one(SymbolField).symbols = tuple(self.operator.newest().rules)
        self.query_one("#leverage" if self._symbol else "#symbol").focus()

    def drawn(self, width: int) -> Text:
        """Where, and what it means for a position that is open."""
        snapshot, styles = self.operator.newest(), self.styles_of
        text = where(snapshot, [self._agent], styles)
        text.append(f"the cap is {snapshot.limits.max_leverage}×\n", style=styles["dim"])
        if self._agent.shared_with:
            text.append("it changes for all agents of the shared account\n", style=styles["warn"])
        for position in snapshot.positions:
            mine = position.mode == "real" and self._agent.key in position.agent_id.split("+")
            if mine and self.is_mounted and position.symbol == self._chosen():
                text.append(f"{position_line_of(position.leverage)}\n", style=styles["warn"])
        return text

    def _chosen(self) -> str:
        typed = self.query_one(SymbolField).value.strip()
        return symbol_of(typed) if typed.isascii() and typed.isalnum() else ""

    def asked(self) -> Asked | str:
        """The leverage, where it may be."""
        snapshot, symbol = self.operator.newest(), self._chosen()
        if symbol not in snapshot.rules:
            return "choose a symbol that is traded here"
        typed = self.query_one("#leverage", Field).value.strip()
        if not typed.isascii() or not typed.isdigit():
            return "the leverage is a whole number"
        if not 1 <= int(typed) <= snapshot.limits.max_leverage:
            return f"the leverage is from 1 to {snapshot.limits.max_leverage}"
        return SetLeverage(self._agent.key, symbol, int(typed))

    def question(self, asked: Asked) -> Confirm:
        """Whether to."""
        text = where(self.operator.newest(), [self._agent], self.styles_of)
        if isinstance(asked, SetLeverage):
            text.append(f"\n{asked.symbol}: leverage {asked.leverage}×\n", style=self.styles_of["strong"])
        return self.confirm("set this leverage?", text, asked, does="sets it")


def position_line_of(leverage: int) -> str:
    """What a change means where a position is open."""
    return f"a position is open at {leverage}×: its margin and its liquidation price change at once"

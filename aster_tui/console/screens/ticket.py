"""The order ticket: a form that is examined at every letter, sent as a test, or placed after a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from aster_tui.console import format as fmt
from aster_tui.console.acting import request_of
from aster_tui.console.actions import NOT_ARMED, cannot_act
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.dialog import Dialog
from aster_tui.console.screens.ticket_text import (
    called,
    examined_text,
    matches_text,
    nearest_of,
    wrong_text,
)
from aster_tui.console.screens.words import answer_words, where
from aster_tui.console.widgets.choice import Choice
from aster_tui.console.widgets.field import Field
from aster_tui.console.widgets.line import Line
from aster_tui.console.widgets.symbol_field import SymbolField
from aster_tui.domain.commands import PlaceOrder, adds_risk
from aster_tui.domain.symbols import plain
from aster_tui.domain.ticket import FORCES, TYPES, Examined, Facts, Ticket, Typed, examine, read_ticket
from aster_tui.domain.ticket_facts import facts_of
from aster_tui.domain.views import AgentView, RequestView

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

#: Longer texts are no number anybody meant.
LONGEST_NUMBER = 40
NUMBERS = {
    "quantity": "quantity",
    "size_usd": "or USD",
    "price": "price",
    "stop_price": "stop price",
    "callback_rate": "callback %",
}
#: What only some types have.
ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "price": ("limit",),
    "stop_price": ("stop-market", "take-profit-market"),
    "callback_rate": ("trailing-stop-market",),
    "tif": ("limit",),
}
_KEYS = (("ctrl+t", "test order"), ("ctrl+s", "place…"), ("ctrl+n", "nearest"), ("esc", "leave"))


class TicketScreen(Dialog):
    """The form on the left, what it comes to on the right, the answer below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "test", show=False, id="ticket.test"),
        Binding("ctrl+s", "place", show=False, id="ticket.place"),
        Binding("ctrl+n", "nearest", show=False, id="ticket.nearest"),
        Binding("down,enter", "app.focus_next", show=False, id="ticket.down"),
        Binding("up", "app.focus_previous", show=False, id="ticket.up"),
    ]
    AUTO_FOCUS = None
    HEADING = "order ticket"
    HINT = "tab ↑ ↓ fields · ← → choices"

    def __init__(self, app: ConsoleApp, agent: str, symbol: str) -> None:
        super().__init__()
        draft = app.acting.draft
        kept = draft if (draft.get("agent"), draft.get("context")) == (agent, symbol) else {}
        self._opened_on = symbol
        self._start = {"agent": agent, "symbol": symbol, **kept}
        self._agents = [a for a in app.newest().agents if a.mode == "real"]
        self._request = ""
        self._asked_test = False
        self._told: RequestView | None = None

    # The form

    def compose(self) -> ComposeResult:
        """Form, examination, answer, keys."""
        with Vertical(id="frame") as frame:
            frame.border_title, frame.border_subtitle = self.HEADING, self.HINT
            with Horizontal(id="ticket"):
                with Vertical(id="form"):
                    yield from self._rows()
                with VerticalScroll(id="body", can_focus=False):
                    yield Static(id="text")
            yield Static(id="said")
            yield Line(self._keys(), id="keys")

    def _rows(self) -> ComposeResult:
        start = self._start
        agents = [(a.key, fmt.one_line(a.name)) for a in self._agents]
        yield _row("agent", Choice(agents, start["agent"], id="agent"))
        yield _row("symbol", SymbolField(start["symbol"], id="symbol"))
        sides = [("buy", "buy / long"), ("sell", "sell / short")]
        yield _row("side", Choice(sides, start.get("side", ""), id="side"))
        yield _row("type", Choice([(name, name) for name in TYPES], start.get("type", ""), id="type"))
        for name, label in NUMBERS.items():
            yield _row(label, Field(start.get(name, ""), longest=LONGEST_NUMBER, id=name))
        yield _row("in force", Choice([(name, name) for name in FORCES], start.get("tif", ""), id="tif"))
        only = [("no", "no"), ("yes", "yes")]
        yield _row("reduce-only", Choice(only, start.get("reduce_only", ""), id="reduce_only"))

    def _keys(self) -> Text:
        line = Text()
        for key, words in _KEYS:
            line.append(key, style=self.styles_of["strong"])
            line.append(f" {words}   ", style=self.styles_of["dim"])
        return line

    def on_mount(self) -> None:
        """The symbol is asked for first where none was selected, else the quantity."""
        self._fit_type()
        symbol = self.query_one(SymbolField)
        symbol.symbols = tuple(self.operator.newest().rules)
        (self.query_one("#quantity") if symbol.decided else symbol).focus()
        self.follow()

    def _fit(self) -> None:
        """Everything has its own room here."""

    def _fit_type(self) -> None:
        kind = self._choice("type")
        for name, kinds in ONLY_FOR.items():
            row = self.query_one(f"#{name}")
            row.disabled = kind not in kinds
            row.parent.set_class(row.disabled, "unused")  # type: ignore[union-attr]

    def _choice(self, name: str) -> str:
        return self.query_one(f"#{name}", Choice).value

    def fields(self) -> dict[str, str]:
        """What is typed, by the names of :func:`read_ticket`; what the type has no use for is left out."""
        kind = self._choice("type")
        found = {"symbol": self.query_one(SymbolField).value}
        found |= {name: self._choice(name) for name in ("side", "type", "tif", "reduce_only")}
        found |= {name: self.query_one(f"#{name}", Field).value for name in NUMBERS}
        return {name: text for name, text in found.items() if kind in ONLY_FOR.get(name, (kind,))}

    # What it comes to

    def read(self) -> Typed:
        """The ticket as it is typed."""
        return read_ticket(self.fields())

    def agent(self) -> AgentView | None:
        """The agent chosen, as it is now."""
        key = self._choice("agent")
        return next((a for a in self.operator.newest().agents if a.key == key), None)

    def examined(self, ticket: Ticket) -> tuple[Examined, Facts]:
        """What a ticket comes to now."""
        app = self.operator
        facts = facts_of(app.newest(), self._choice("agent"), ticket.symbol, app.now())
        return examine(ticket, facts), facts

    def drawn(self, width: int) -> Text:
        """The examination, or the symbols that fit, or what cannot be read."""
        snapshot, symbol = self.operator.newest(), self.query_one(SymbolField)
        symbol.symbols = tuple(snapshot.rules)
        if self.focused is symbol and (symbol.picked or not symbol.decided):
            return matches_text(symbol.matches, symbol.picked, snapshot, self.styles_of)
        typed = self.read()
        if typed.ticket is None:
            agent = self.agent()
            head = where(snapshot, [agent] if agent else [], self.styles_of)
            return head.append_text(wrong_text(typed.wrong, self.styles_of))
        examined, facts = self.examined(typed.ticket)
        return examined_text(snapshot, self.agent(), examined, facts, self.styles_of)

    def follow(self) -> None:
        """Examine anew, and say how the request stands."""
        if not self.query("#reduce_only"):  # it is still being put together
            return
        super().follow()
        view = self.answer
        if view is not None and view != self._told:  # once: what was said since is newer
            self._told = view
            self._answer(view)

    @property
    def answer(self) -> RequestView | None:
        """How what was asked for last stands."""
        return request_of(self.operator.newest(), self._request) if self._request else None

    def _answer(self, view: RequestView) -> None:
        words, style = answer_words(view.state, view.message)
        received = view.document.get("received")
        if isinstance(received, Mapping) and received.get("client_order_id"):
            words += f"  ({received['client_order_id']})"
        if remedy := view.document.get("remedy"):
            words += f"  → {remedy}"
        self.tell(f"{'TEST ' if self._asked_test else ''}{words}", style)

    # What the operator does

    def on_input_changed(self) -> None:
        """Each letter."""
        self.follow()

    def on_choice_changed(self, message: Choice.Changed) -> None:
        """Each choice."""
        if message.choice.id == "type":
            self._fit_type()
        self.follow()

    def on_input_submitted(self, event: Field.Submitted) -> None:
        """Enter goes on to the next field, and takes the symbol that is picked. It never sends."""
        event.stop()
        if isinstance(event.input, SymbolField):
            event.input.take()
        self.focus_next()

    def on_descendant_focus(self) -> None:
        """What is shown depends on where one types."""
        self.call_after_refresh(self.follow)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Whoever leaves the symbol takes the one that is picked."""
        if isinstance(event.widget, SymbolField):
            event.widget.take()
            self.call_after_refresh(self.follow)

    def action_nearest(self) -> None:
        """Take the nearest value that would do."""
        typed = self.read()
        nearest = nearest_of(self.examined(typed.ticket)[0]) if typed.ticket is not None else None
        if nearest is None:
            self.tell("there is no nearer value to take", "dim")
            return
        name, value = nearest
        if name == "quantity":
            self.query_one("#size_usd", Field).value = ""
        self.query_one(f"#{name}", Field).value = plain(value)

    def action_test(self) -> None:
        """Have the exchange validate it, and place nothing."""
        asked = self._to_ask(test=True)
        if asked is not None:
            self._ask(asked)

    def action_place(self) -> None:
        """Ask whether to place it."""
        asked = self._to_ask(test=False)
        if asked is None:
            return
        examined, _ = self.examined(asked.ticket)
        if not examined.ok:
            self.tell(f"not sent: {examined.reasons[0]}")
            return

        def draw(width: int) -> Text:
            return self._question(asked)

        self.app.push_screen(
            Confirm(
                "place this order?",
                draw,
                lambda: self._placed(asked),
                does="places it",
                refusal=lambda: self._why_not(asked),
            )
        )

    def _to_ask(self, *, test: bool) -> PlaceOrder | None:
        if self.held:
            return None
        typed, agent = self.read(), self.agent()
        if typed.ticket is None:
            name, why = next(iter(typed.wrong.items()))
            self.tell(f"not sent: {called(name)}: {why}")
        elif agent is None:
            self.tell("not sent: no agent is chosen")
        else:
            asked = PlaceOrder(agent.key, typed.ticket, test=test)
            why = self._why_not(asked, examined=False)
            if not why:
                return asked
            self.tell(f"not sent: {why}")
        return None

    def _why_not(self, asked: PlaceOrder, *, examined: bool = True) -> str:
        """Why it cannot be asked for now."""
        context, view = self.operator.context(), self.answer
        if why := cannot_act(context):
            return why
        if self._request and (view is None or view.state == "running"):
            return "the one before is still under way"
        if adds_risk(asked) and not context.armed:
            return f"{NOT_ARMED}; leave with esc, what is typed is kept"
        if examined and not asked.test:
            reasons = self.examined(asked.ticket)[0].reasons
            return reasons[0] if reasons else ""
        return ""

    def _question(self, asked: PlaceOrder) -> Text:
        styles, snapshot, ticket = self.styles_of, self.operator.newest(), asked.ticket
        agents = [a for a in snapshot.agents if a.key == asked.agent_id]
        examined, facts = self.examined(ticket)
        text = where(snapshot, agents, styles)
        text.append(
            f"\n1 order: {ticket.side} {plain(examined.quantity)} {ticket.symbol}", style=styles["strong"]
        )
        text.append(f"  {ticket.order_type}", style=styles["strong"])
        for words, value in (
            ("at", ticket.price),
            ("stop", ticket.stop_price),
            ("callback %", ticket.callback_rate),
        ):
            if value is not None:
                text.append(f" {words} {plain(value)}", style=styles["strong"])
        text.append(f" {ticket.time_in_force}{' reduce-only' if ticket.reduce_only else ''}\n")
        text.append(f"notional {fmt.number(examined.notional, 2)} USDT")
        text.append(f", margin {fmt.number(examined.margin, 2)} USDT at {facts.leverage}×\n")
        for reason in examined.reasons:
            text.append(f"✗ {reason}\n", style=styles["alarm"])
        return text

    def _placed(self, asked: PlaceOrder) -> None:
        self._ask(asked)

    def _ask(self, asked: PlaceOrder) -> None:
        self._asked_test = asked.test
        self._request = self.operator.acting.ask(asked)
        self.tell("… sent to the engine", "dim")

    def action_leave(self) -> None:
        """Leave; what was typed and not placed is there again when it opens."""
        placed = self._request and not self._asked_test
        kept = {**self.fields(), "agent": self._choice("agent"), "context": self._opened_on}
        self.operator.acting.draft = {} if placed else kept
        self.dismiss()


def _row(label: str, widget: Widget) -> Horizontal:
    return Horizontal(Static(label, classes="label", markup=False), widget, classes="row")

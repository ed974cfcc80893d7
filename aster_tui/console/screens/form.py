"""A dialog with a few fields: ctrl+s asks the engine, after a question where it must be asked."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from aster_tui.console.actions import NOT_ARMED, Context, cannot_act
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.dialog import Dialog
from aster_tui.console.widgets.line import Line
from aster_tui.domain.commands import Asked, adds_risk


def row(label: str, widget: Widget) -> Horizontal:
    """A label and what it is the label of."""
    return Horizontal(Static(label, classes="label", markup=False), widget, classes="row")


def why_not(context: Context, asked: Asked) -> str:
    """Why something cannot be asked for now."""
    if why := cannot_act(context):
        return why
    return NOT_ARMED if adds_risk(asked) and not context.armed else ""


class Form(Dialog):
    """Fields under a text. A subclass says the fields (:meth:`fields`), what they come to (:meth:`asked`),
    and how it is asked whether to do it (:meth:`question`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "send", show=False, id="form.send"),
        Binding("down,enter", "app.focus_next", show=False, id="form.down"),
        Binding("up", "app.focus_previous", show=False, id="form.up"),
    ]
    DOES: ClassVar[str] = "do it…"
    #: How many fields there are.
    ROWS: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.BELOW = self.ROWS + 6  # type: ignore[misc]

    def fields(self) -> ComposeResult:
        """The rows."""
        raise NotImplementedError

    def asked(self) -> Asked | str:
        """What would be asked for; a text says why nothing can be."""
        raise NotImplementedError

    def question(self, asked: Asked) -> Confirm | None:
        """The question before it; None asks at once."""
        raise NotImplementedError

    def keys(self) -> tuple[tuple[str, str], ...]:
        """The keys of the last line."""
        return (("ctrl+s", self.DOES), ("tab ↑ ↓", "fields"), ("← →", "choices"), ("esc", "leave"))

    def parts(self) -> ComposeResult:
        """The rows and the keys."""
        with Vertical(id="form"):
            yield from self.fields()
        line = Text()
        for key, words in self.keys():
            line.append(key, style=self.styles_of["strong"])
            line.append(f" {words}   ", style=self.styles_of["dim"])
        yield Line(line, id="keys")

    def on_input_changed(self) -> None:
        """Each letter."""
        self.follow()

    def on_choice_changed(self) -> None:
        """Each choice."""
        self.follow()

    def on_input_submitted(self) -> None:
        """Enter goes on. It never sends."""
        self.focus_next()

    def action_send(self) -> None:
        """Ask for it, after the question."""
        if self.held:
            return
        asked = self.asked()
        operator = self.operator
        why = asked if isinstance(asked, str) else operator.too_small or why_not(operator.context(), asked)
        if why or isinstance(asked, str):
            self.tell(why)
            return
        question = self.question(asked)
        if question is None:
            self.send(asked)
        else:
            self.app.push_screen(question)

    def send(self, asked: Asked) -> None:
        """Hand it to the engine and leave: the footer and the command log tell what came of it."""
        operator = self.operator
        self.dismiss()
        operator.acting.ask(asked)
        operator.say(f"{self.HEADING}: asked for")

    def confirm(self, heading: str, text: Text, asked: Asked, *, does: str, word: str = "") -> Confirm:
        """A question whose yes sends it."""
        return Confirm(
            heading,
            lambda width: text,
            lambda: self.send(asked),
            does=does,
            word=word,
            refusal=lambda: why_not(self.operator.context(), asked),
        )

"""Confirming: the focus is on Cancel, Enter alone never confirms, and what is dangerous wants a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from aster_tui.console.screens.dialog import Dialog
from aster_tui.console.widgets.field import Field
from aster_tui.console.widgets.line import Line
from aster_tui.domain.commands import SetLock

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

Draw = Callable[[int], Text]


class Confirm(Dialog):
    """Asks whether to do something.

    One key confirms it, another than the one that opened it; with a ``word`` that word must be typed instead.
    ``refusal`` is asked again when it is confirmed: what became impossible meanwhile is not done.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "leave", show=False, id="confirm.no"),
        Binding("enter", "enter", show=False, id="confirm.enter"),
    ]
    BELOW = 6

    def __init__(
        self,
        heading: str,
        draw: Draw,
        do: Callable[[], None],
        *,
        does: str,
        key: str = "y",
        word: str = "",
        refusal: Callable[[], str] = str,
    ) -> None:
        super().__init__()
        self._heading, self._draw, self._do, self._does = heading, draw, do, does
        self._key, self._word, self._refusal = key, word, refusal

    def drawn(self, width: int) -> Text:
        """What would be done."""
        return self._draw(width)

    def parts(self) -> ComposeResult:
        """The word, or the two choices."""
        styles = self.styles_of
        line = Text()
        if self._word:
            line.append("type ", style=styles["dim"])
            line.append(self._word, style=styles["strong"])
            line.append(f" and enter: {self._does}", style=styles["dim"])
            yield Line(line, id="keys")
            yield Field(longest=max(40, len(self._word) + 1), id="word")
            return
        line.append(" ▸ Cancel ◂ ", style=styles["tab"])
        line.append("  esc     ", style=styles["dim"])
        line.append(self._key, style=styles["strong"])
        line.append(f" {self._does}", style=styles["dim"])
        yield Line(line, id="keys")

    def on_mount(self) -> None:
        """The focus: the word, or Cancel."""
        # The base class's own handler is called by Textual.
        frame = self.query_one("#frame")
        frame.border_title = self._heading
        if self._word:
            self.query_one(Field).focus()

    def on_key(self, event: events.Key) -> None:
        """The key that confirms."""
        if self._word or event.key != self._key:
            return
        event.stop()
        if self.held:
            return
        if not self.was_seen:
            self.tell(f"read it first, then press {self._key} again")
            return
        self._confirmed()

    def action_enter(self) -> None:
        """Enter is Cancel's."""
        if not self.held:
            self.dismiss()

    def on_input_submitted(self, event: Field.Submitted) -> None:
        """Enter after the word."""
        event.stop()
        if self.held:
            return
        if event.value.strip() != self._word:
            typed = "nothing was typed" if not event.value.strip() else "that is another word"
            self.tell(f"{typed}: {self._word} does it, esc leaves everything as it is")
            return
        self._confirmed()

    def _confirmed(self) -> None:
        why = self.operator.too_small or self._refusal()
        if why:
            self.tell(why)
            return
        self.dismiss()
        self._do()


def unlock(app: ConsoleApp) -> Confirm:
    """The question before a locked console may change things again."""

    def draw(width: int) -> Text:
        network = app.newest().network
        text = Text("This console was locked to read-only. Unlocked it may change things again on ")
        text.append(f" {network} ", style=app.looks[network])
        text.append(".\nIt stays disarmed: what adds risk needs arming as well.")
        return text

    def do() -> None:
        app.acting.ask(SetLock(False))

    return Confirm("unlock this console", draw, do, does="unlocks it", word="unlock")

"""A short list in a frame to choose from, by keys."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from aster_tui.console.layer import Layer


class Picker(Layer):
    """Lines with a cursor. A subclass says the lines and what happens to the one that is chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "close", show=False, id="picker.close"),
        Binding("up,k", "move(-1)", show=False, id="picker.up"),
        Binding("down,j", "move(1)", show=False, id="picker.down"),
        Binding("pageup", "move(-10)", show=False, id="picker.pageup"),
        Binding("pagedown", "move(10)", show=False, id="picker.pagedown"),
        Binding("home,g", "move(-10000)", show=False, id="picker.home"),
        Binding("end,G", "move(10000)", show=False, id="picker.end"),
        Binding("enter", "choose", show=False, id="picker.choose"),
    ]
    HEADING: ClassVar[str] = ""
    HINT: ClassVar[str] = "enter chooses · esc closes"

    def __init__(self) -> None:
        super().__init__()
        self.cursor = 0

    def lines(self) -> list[Text]:
        """The lines to choose from."""
        raise NotImplementedError

    def choose(self, index: int) -> None:
        """One was chosen."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """A frame around the lines."""
        with VerticalScroll(id="frame", can_focus=False) as frame:
            frame.border_title = self.HEADING
            frame.border_subtitle = self.HINT
            yield Static(self._drawn(), id="text")

    @property
    def text(self) -> str:
        """What it says."""
        return self._drawn().plain

    def _drawn(self) -> Text:
        lines = self.lines()
        self.cursor = max(0, min(self.cursor, len(lines) - 1))
        drawn = Text(no_wrap=True, overflow="ellipsis")
        for index, line in enumerate(lines):
            here = index == self.cursor
            start = len(drawn)
            drawn.append("▸ " if here else "  ")
            drawn.append_text(line)
            if here:
                drawn.stylize("reverse", start)
            drawn.append("\n" if index < len(lines) - 1 else "")
        return drawn

    def draw(self) -> None:
        """Say the lines anew."""
        self.query_one("#text", Static).update(self._drawn())
        frame = self.query_one("#frame", VerticalScroll)
        top, height = int(frame.scroll_offset.y), max(1, frame.size.height)
        if not top <= self.cursor < top + height:
            frame.scroll_to(y=max(0, self.cursor - height // 2), animate=False)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.cursor += by
        self.draw()

    def action_choose(self) -> None:
        """Take the line under the cursor."""
        self.choose(self.cursor)

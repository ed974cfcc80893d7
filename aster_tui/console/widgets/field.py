"""A line to type into: what is pasted is cut to what fits, and that is said."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import Input

from aster_tui.console.format import one_line

#: More than anybody types into one line.
LONGEST = 200


class Field(Input):
    """An input of one line that does not blink and takes no novel.

    Args:
        longest: how many characters it takes.
    """

    def __init__(self, value: str = "", *, longest: int = LONGEST, **more: Any) -> None:
        super().__init__(value, max_length=longest, compact=True, select_on_focus=False, **more)
        self.cursor_blink = False
        self._longest = longest
        self.cursor_position = len(value)

    def _on_paste(self, event: events.Paste) -> None:
        # Textual would take the first line and drop what is too long without a word.
        event.stop()
        event.prevent_default()
        text = one_line(event.text.strip())
        room = self._longest - len(self.value) + len(self.selected_text)
        if len(text) > room:
            say = getattr(self.screen, "tell", None) or getattr(self.app, "say", None)
            if say is not None:
                say(f"{len(text)} characters were pasted: cut to {max(0, room)}")
        if room > 0 and text:
            start, end = self.selection
            self.replace(text[:room], start, end)

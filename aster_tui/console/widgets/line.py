"""One line of text that is painted only when it changed."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget


class Line(Widget):
    """A line; :meth:`say` changes it without a new layout."""

    def __init__(self, text: Text | None = None, *, id: str) -> None:
        super().__init__(id=id)
        self.set_reactive(Widget.auto_links, False)  # what can be clicked is not underlined for that
        self._text = Text() if text is None else text

    @property
    def text(self) -> str:
        """What it says."""
        return self._text.plain

    def say(self, text: Text) -> None:
        """Say something else."""
        if text != self._text or text.spans != self._text.spans:
            self._text = text
            self.refresh()

    def render(self) -> Text:
        """The text, cut at the edge."""
        return self._text

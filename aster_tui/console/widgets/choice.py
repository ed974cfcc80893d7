"""One of a few: left and right change it, a letter goes to the next that begins with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget


class Choice(Widget, can_focus=True):
    """A line that shows the option chosen.

    Args:
        options: each value with its words.
        value: the one chosen at first; the first where it is none of them.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", show=False, id="choice.previous"),
        Binding("right,space", "step(1)", show=False, id="choice.next"),
    ]

    class Changed(Message):
        """Another option was chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, options: Sequence[tuple[str, str]], value: str = "", *, id: str) -> None:
        super().__init__(id=id)
        self._options = tuple(options)
        values = [value for value, _ in self._options]
        self._index = values.index(value) if value in values else 0

    @property
    def value(self) -> str:
        """The value chosen; empty where there is nothing to choose."""
        return self._options[self._index][0] if self._options else ""

    @property
    def words(self) -> str:
        """Its words."""
        return self._options[self._index][1] if self._options else ""

    def render(self) -> Text:
        """The words between two marks."""
        return Text(f"‹ {self.words} ›", no_wrap=True, overflow="ellipsis")

    def action_step(self, by: int) -> None:
        """The next option, or the one before."""
        if len(self._options) > 1:
            self._choose((self._index + by) % len(self._options))

    def on_key(self, event: events.Key) -> None:
        """A letter."""
        letter = event.character
        if letter is None or not letter.isalnum():
            return
        event.stop()
        count = len(self._options)
        for step in range(1, count + 1):
            index = (self._index + step) % count
            if self._options[index][1].lower().startswith(letter.lower()):
                self._choose(index)
                return

    def _choose(self, index: int) -> None:
        if index != self._index:
            self._index = index
            self.refresh()
            self.post_message(self.Changed(self))

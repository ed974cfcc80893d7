"""A line to type a symbol into, with those that fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType

from aster_tui.console.widgets.field import Field
from aster_tui.domain.symbols import symbol_of

#: No symbol is longer.
LONGEST_SYMBOL = 30


def matching(typed: str, symbols: Iterable[str]) -> list[str]:
    """The symbols that a text may mean, the likeliest first: the same, those that begin so, those that
    contain it."""
    text = typed.strip().upper()
    if not text:
        return sorted(symbols)
    found = [symbol for symbol in symbols if text in symbol]
    exact = symbol_of(text) if text.isascii() else text
    return sorted(found, key=lambda s: (s != text, s != exact, not s.startswith(text), s))


class SymbolField(Field):
    """Up and down go through what fits, enter takes it. ``symbols`` are those there are."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "pick(-1)", show=False, id="symbol.up"),
        Binding("down", "pick(1)", show=False, id="symbol.down"),
    ]

    def __init__(self, value: str = "", **more: Any) -> None:
        super().__init__(value, longest=LONGEST_SYMBOL, placeholder="type to search", **more)
        self.symbols: tuple[str, ...] = ()
        self.picked = 0

    @property
    def matches(self) -> list[str]:
        """What fits the text."""
        return matching(self.value, self.symbols)

    @property
    def decided(self) -> bool:
        """Whether the text is a symbol."""
        return self.value.strip().upper() in self.symbols

    def _on_focus(self, event: events.Focus) -> None:
        super()._on_focus(event)
        if self.decided:  # who types here wants another one
            self.action_select_all()

    def watch_value(self, value: str) -> None:
        """Other letters: the likeliest is picked."""
        self.picked = 0

    def action_pick(self, by: int) -> None:
        """Go through what fits."""
        count = len(self.matches)
        self.picked = (self.picked + by) % count if count else 0
        follow = getattr(self.screen, "follow", None)
        if follow is not None:
            follow()

    def take(self) -> None:
        """Take the one that is picked, where the text is none yet or another was picked. Where nothing was
        typed or picked there is nothing to take: nobody trades in a symbol he did not name."""
        found = self.matches
        if found and (self.picked or (self.value.strip() and not self.decided)):
            self.value = found[min(self.picked, len(found) - 1)]

"""The line a filter is typed into. The pane follows at each letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from aster_tui.console.listing import Filter, parse_filter
from aster_tui.console.pane import Pane
from aster_tui.console.widgets.field import Field

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


class FilterBar(Horizontal):
    """Takes the footer's place while a filter is typed."""

    def compose(self) -> ComposeResult:
        """What is asked, and the line."""
        yield Static("filter /", id="filter-word", markup=False)
        yield FilterLine()


class FilterLine(Field):
    """Enter keeps the filter, escape clears it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False, id="filter.cancel"),
        Binding("enter,up,down,tab", "keep", show=False, id="filter.keep"),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="text  agent:X  symbol:Y  status:Z   ! first: all others", id="filter")
        self._pane: Pane | None = None

    @property
    def _operator(self) -> ConsoleApp:
        return cast("ConsoleApp", self.app)

    def open_for(self, pane: Pane) -> None:
        """Type a filter for a pane."""
        self._pane = None
        self.value = pane.state.filter.text
        self._pane = pane
        self.screen.add_class("filtering")
        self.cursor_position = len(self.value)
        # At once: the next key may be in the terminal's buffer already, and is meant for this line.
        self.screen.set_focus(self)

    def watch_value(self, value: str) -> None:
        """Filter at each letter."""
        if self._pane is not None and self._pane.state.filter.text != value.strip():
            self._pane.state.filter = parse_filter(value)
            self._operator.chose()

    def action_keep(self) -> None:
        """Back to the list, which stays filtered."""
        self._close()

    def action_cancel(self) -> None:
        """Back to the list, without a filter."""
        if self._pane is not None:
            self.clear_filter(self._pane)
        self._close()

    def clear_filter(self, pane: Pane) -> None:
        """Take away a pane's filter; where there is none, its marks."""
        if pane.state.filter:
            pane.state.filter = Filter()
        elif pane.marks:
            pane.marks = {}
        else:
            return
        self._operator.chose()

    def on_blur(self, event: events.Blur) -> None:
        """What took the focus has the floor."""
        self.app.screen_stack[0].remove_class("filtering")
        self._pane = None

    def _close(self) -> None:
        pane, self._pane = self._pane, None
        if pane is not None:
            self.screen.set_focus(pane)

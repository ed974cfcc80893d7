"""The dialog that chooses and orders the columns of a pane."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from aster_tui.console.pane import Pane
from aster_tui.console.widgets.picker import Picker


class ColumnsDialog(Picker):
    """Space shows or hides a column, shift with an arrow moves it; the pane follows at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "choose", show=False, id="columns.toggle"),
        Binding("shift+up,K", "shift(-1)", show=False, id="columns.up"),
        Binding("shift+down,J", "shift(1)", show=False, id="columns.down"),
        Binding("d", "default", show=False, id="columns.default"),
    ]
    HEADING = "columns"
    HINT = "space shows or hides · K J move · d default · esc closes"

    def __init__(self, pane: Pane, chose: Callable[[], None]) -> None:
        super().__init__()
        self._pane, self._chose = pane, chose
        shown = [column.title for column in pane.columns]
        self._shown = set(shown)
        self._titles = shown + [c.title for c in pane.COLUMNS if c.title not in self._shown]

    def lines(self) -> list[Text]:
        """Each column, ticked when it is shown."""
        return [Text(f"[{'x' if title in self._shown else ' '}] {title}") for title in self._titles]

    def choose(self, index: int) -> None:
        """Show or hide it; one always stays."""
        self._shown ^= {self._titles[index]}
        if not self._shown:
            self._shown = {self._titles[index]}
        self._apply()

    def action_shift(self, by: int) -> None:
        """Move the column under the cursor."""
        to = self.cursor + by
        if 0 <= to < len(self._titles):
            self._titles.insert(to, self._titles.pop(self.cursor))
            self.cursor = to
            self._apply()

    def action_default(self) -> None:
        """As it was before anybody chose."""
        self._titles = [column.title for column in self._pane.COLUMNS]
        self._shown = set(self._titles)
        self._apply()

    def _apply(self) -> None:
        chosen = tuple(title for title in self._titles if title in self._shown)
        self._pane.state.columns = () if chosen == tuple(c.title for c in self._pane.COLUMNS) else chosen
        self._chose()
        self.draw()

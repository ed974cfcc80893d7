"""The base screen: lines above and below, and the panes: two rows of two, the second of which gives way to
the operators' panes, or one pane at a time where there is no room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.screen import Screen

from aster_tui.console.pane import Pane
from aster_tui.console.panes import AgentsPane, ErrorsPane, OrdersPane, PositionsPane
from aster_tui.console.widgets.line import Line

if TYPE_CHECKING:
    from aster_tui.console.filtering import FilterLine

NARROW_WIDTH, LOW_HEIGHT = 100, 30
LEAST_WIDTH, LEAST_HEIGHT = 60, 16
PANES = ("agents", "positions", "orders", "errors", "commands", "operators")
#: The rows of a wide screen; the third takes the second one's place while it is active.
ROWS = (PANES[:2], PANES[2:4], PANES[4:])
LINES = ("header", "tabs", "requests", "footer", "small")


def compose_frame() -> ComposeResult:
    """Header, tabs (narrow screens), the panes, footer, and the word for a screen too small.

    What the first frame does not show comes after it: :meth:`Frame.complete`.
    """
    yield Line(id="header")
    yield Line(id="tabs")
    with Vertical(id="panes"):
        with Horizontal(id="top", classes="active"):
            first = AgentsPane()
            first.add_class("active")
            yield first
            yield PositionsPane()
        with Horizontal(id="bottom"):
            yield OrdersPane()
            yield ErrorsPane()
    yield Line(id="requests")
    yield Line(id="footer")
    yield Line(id="small")


class Frame:
    """The parts of a composed base screen. It holds on to them: they are asked for at every tick."""

    def __init__(self, screen: Screen[None]) -> None:
        self._screen = screen
        self.panes = {name: screen.query_one(f"#{name}", Pane) for row in ROWS[:2] for name in row}
        #: Where a filter is typed.
        self.filter_line: FilterLine | None = None
        self._lines = {name: screen.query_one(f"#{name}", Line) for name in LINES}
        self._rows = [screen.query_one(f"#{name}") for name in ("top", "bottom")]

    async def complete(self) -> bool:
        """Add what the first frame need not wait for: the operators' panes, and the line of the filter.
        Returns whether that was still possible: a console that is told to leave takes its screen away."""
        from textual.widget import MountError

        from aster_tui.console.desk_panes import CommandsPane, OperatorsPane
        from aster_tui.console.filtering import FilterBar, FilterLine

        desk: tuple[Pane, ...] = (CommandsPane(), OperatorsPane())
        row = Horizontal(*desk, id="desk")
        try:
            await self._screen.query_one("#panes").mount(row)
            await self._screen.mount(FilterBar(), after="#footer")
        except MountError:
            if self._screen.is_attached:
                raise
            return False
        lines = [*self._screen.query(FilterLine)]
        if not (lines and row.is_attached):  # what is closing takes nothing, and says nothing
            return False
        self.panes |= {str(pane.id): pane for pane in desk}
        self.filter_line = lines[0]
        self._rows.append(row)
        return True

    def say(self, line: str, text: Text) -> None:
        """Have one of the lines say something."""
        self._lines[line].say(text)

    def look(self, *, busy: bool, danger: bool) -> None:
        """``busy``: there is a line of requests. ``danger``: real money, and the session is armed."""
        self._screen.set_class(busy, "busy")
        self._screen.set_class(danger, "danger")

    def activate(self, name: str) -> None:
        """Give a pane the keys, at once: the next key is meant for it."""
        self._screen.set_focus(self.panes[name])

    def mark_active(self, active: str) -> None:
        """Show which pane is the active one; on a narrow screen it is the only one."""
        for name, pane in self.panes.items():
            pane.set_class(name == active, "active")
        for row, names in zip(self._rows, ROWS, strict=False):
            row.set_class(active in names, "active")
        self._rows[1].set_class(active in ROWS[2], "away")


def fit(screen: Screen[None], size: Size) -> str:
    """Choose the layout for a size. Returns why nothing can be shown; empty when it can."""
    small = size.width < LEAST_WIDTH or size.height < LEAST_HEIGHT
    screen.set_class(small, "small")
    screen.set_class(size.width < NARROW_WIDTH or size.height < LOW_HEIGHT, "narrow")
    needed = f"{LEAST_WIDTH}×{LEAST_HEIGHT}"
    return f"{size.width}×{size.height} is too small: {needed} is needed" if small else ""

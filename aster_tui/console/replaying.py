"""The dialog that asks for a moment of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from aster_tui.console import format as fmt
from aster_tui.console.doing_replay import Replayed
from aster_tui.console.layer import Layer
from aster_tui.console.moments import HOW, MomentError, parse_moment
from aster_tui.console.widgets.field import Field

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


class TimeDialog(Layer):
    """Asks for the moment to go to."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", show=False, id="time.close")]
    AUTO_FOCUS: ClassVar[str | None] = "#moment"

    def __init__(self, replay: Replayed) -> None:
        super().__init__()
        self._replay = replay

    def compose(self) -> ComposeResult:
        """From when to when it goes, and the line to type into."""
        replay = self._replay
        with Vertical(id="frame") as frame:
            frame.border_title = "go to a time"
            frame.border_subtitle = "enter goes there · esc closes"
            text = f"from {fmt.moment(replay.start_at)} to {fmt.moment(replay.end_at)}\n{HOW}"
            yield Static(text, id="text", markup=False)
            yield Field(fmt.clock(replay.at), longest=40, id="moment")

    def on_input_submitted(self) -> None:
        """Go there."""
        try:
            at = parse_moment(
                self.query_one("#moment", Field).value, self._replay.start_at, self._replay.end_at
            )
        except MomentError as error:
            self.query_one("#text", Static).update(Text(str(error)))
            return
        self._replay.seek(at)
        self.dismiss()
        cast("ConsoleApp", self.app).refresh_lines()

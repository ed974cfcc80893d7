"""What all dialogs share: a frame, a text that follows the fleet, and a line for what must be said."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from aster_tui.console import terminal
from aster_tui.console.keyboard import ActingScreen
from aster_tui.console.status_line import Styles

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

#: As the style sheet has it: frame, padding and scroll bar.
AROUND = 7
#: So long a text must have been on the screen before one key can confirm it.
READ_SECONDS = 0.2


class Dialog(ActingScreen):
    """A frame above the panes. A subclass says its text (:meth:`drawn`) and its widgets (:meth:`parts`)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", show=False, id="dialog.close"),
        Binding("pageup", "page(-1)", show=False, id="dialog.pageup"),
        Binding("pagedown", "page(1)", show=False, id="dialog.pagedown"),
    ]
    AUTO_FOCUS: ClassVar[str | None] = "*"
    HEADING: ClassVar[str] = ""
    HINT: ClassVar[str] = "esc closes"
    #: Lines that the widgets below the text need.
    BELOW: ClassVar[int] = 3

    def __init__(self) -> None:
        super().__init__()
        self._drawn = Text()
        self._said = Text()
        self._seen_at = 0.0

    # What a subclass says

    def drawn(self, width: int) -> Text:
        """The text for a width in cells."""
        raise NotImplementedError

    def parts(self) -> ComposeResult:
        """What stands below the text."""
        yield from ()

    # The frame

    def compose(self) -> ComposeResult:
        """The text, the widgets, and the line for what is said."""
        with Vertical(id="frame") as frame:
            frame.border_title = self.HEADING
            frame.border_subtitle = self.HINT
            with VerticalScroll(id="body", can_focus=False):
                self._drawn = self._fresh()
                yield Static(self._drawn, id="text")
            yield from self.parts()
            yield Static(self._said, id="said")

    def on_mount(self) -> None:
        """Begin to look whether the terminal has taken what is shown."""
        self._fit()
        self.call_after_refresh(self._begin)
        self._look = self.set_interval(0.05, self._look_whether_seen)

    def _begin(self) -> None:
        self.standing.set()

    def _look_whether_seen(self) -> None:
        if terminal.has_taken_all(self.app._driver):
            self._seen_at = time.monotonic()
            self._look.stop()

    @property
    def was_seen(self) -> bool:
        """Whether a person can have read it: keys typed ahead into a terminal that hung confirm nothing."""
        return bool(self._seen_at) and time.monotonic() - self._seen_at >= READ_SECONDS

    @property
    def held(self) -> bool:
        """Whether the key that is being handled is one that stays down."""
        return self.operator.keyboard.held

    @property
    def operator(self) -> ConsoleApp:
        """The console."""
        return cast("ConsoleApp", self.app)

    @property
    def styles_of(self) -> Styles:
        """The styles of texts."""
        return self.operator.looks

    @property
    def text(self) -> str:
        """What it says, all of it."""
        return f"{self._drawn.plain}\n{self._said.plain}"

    def _fresh(self) -> Text:
        drawn = self.drawn(min(100, self.app.size.width * 9 // 10) - AROUND)
        drawn.rstrip()
        return drawn

    def follow(self) -> None:
        """Say it anew, if it changed."""
        fresh = self._fresh()
        if fresh != self._drawn or fresh.spans != self._drawn.spans:
            self._drawn = fresh
            for text in self.query("#text").results(Static):
                text.update(fresh)

    def tell(self, words: str, style: str = "warn") -> None:
        """Say something in the dialog's own line."""
        self._said = Text(words, style=self.styles_of[style])
        self.query_one("#said", Static).update(self._said)

    def on_resize(self) -> None:
        """Break the lines anew."""
        if self.is_mounted:
            self._fit()
            self.follow()

    def _fit(self) -> None:
        # What is below the text must never be pushed off the screen: the text scrolls instead.
        room = self.app.size.height * 9 // 10 - 2 - self.BELOW
        for body in self.query("#body"):  # none yet in one that is closed as it opens
            body.styles.max_height = max(1, room)

    def action_leave(self) -> None:
        """Close it, and do nothing."""
        self.dismiss()

    def action_page(self, by: int) -> None:
        """Scroll the text by what is seen of it."""
        body = self.query_one("#body")
        body.scroll_relative(y=by * max(1, body.size.height - 1), animate=False)

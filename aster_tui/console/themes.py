"""The dialog that chooses the theme. The console behind it changes with the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text

from aster_tui.console.theme import PALETTES, TITLES, styles_of
from aster_tui.console.widgets.picker import Picker

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


class ThemeDialog(Picker):
    """Each theme in its own colours."""

    HEADING: ClassVar[str] = "theme"

    def __init__(self, console: ConsoleApp) -> None:
        super().__init__()
        self._console_app = console
        self._names = list(PALETTES)
        self.cursor = self._names.index(console.comfort.theme)

    def lines(self) -> list[Text]:
        """The themes, with their colours for profit, loss and alarm."""
        found = []
        for name in self._names:
            styles, colours = styles_of(name), PALETTES[name]
            line = Text(f"{name:<14}")
            for words, style in (("+1.00", styles["ok"]), ("−1.00", colours["loss"]), ("!", styles["alarm"])):
                line.append(" ")
                line.append(words, style=f"{style} on {colours['ground']}")
            line.append(f"  {TITLES[name]}")
            found.append(line)
        return found

    def choose(self, index: int) -> None:
        """Take it."""
        self._console_app.comfort.choose_theme(self._names[index])
        self.dismiss()

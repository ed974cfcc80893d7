"""Which incident a close-all is rehearsed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text

from aster_tui.console.widgets.picker import Picker
from aster_tui.domain.commands import HoldDrill
from aster_tui.domain.drill import INCIDENTS, WORDS

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


class DrillPicker(Picker):
    """The incidents there are; nothing real is touched by any of them."""

    HEADING: ClassVar[str] = "drill: rehearse a close-all"

    def lines(self) -> list[Text]:
        """Each incident, with what it is."""
        return [Text(f"{incident:<17} {WORDS[incident]}") for incident in INCIDENTS]

    def choose(self, index: int) -> None:
        """Hold it; its end is said, and stands in the command log."""
        app = cast("ConsoleApp", self.app)
        self.dismiss()
        app.acting.ask(HoldDrill(INCIDENTS[index]))
        app.say(f"drill: {WORDS[INCIDENTS[index]]}; it takes a few seconds")

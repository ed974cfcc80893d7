"""Screens above the frame, which close themselves alone, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen

if TYPE_CHECKING:
    _Base = Screen[None]
else:  # styles of a widget come by its first widget base: beside another screen this must not be one
    _Base = object


class Closing(_Base):
    """Textual's dismiss takes away whatever is on top: from a dialog that waited for a file meanwhile, the
    close-all panel that was opened above it; from one that is closed already, the next one below, or the
    console itself."""

    _leaves = False

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close it. What lies above it stays, and it is gone as soon as that closes."""
        if self not in self.app.screen_stack:
            return AwaitComplete()
        if self.app.screen is not self:
            self._leaves = True
            return AwaitComplete()
        closed: AwaitComplete = super().dismiss(result)
        return closed

    def on_screen_resume(self) -> None:
        """What lay above it is closed."""
        if self._leaves:
            self.dismiss()


class Layer(Closing, ModalScreen[None]):
    """Something above the panes: a dialog, a list, a text."""

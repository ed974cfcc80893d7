"""The preflight for itself: each check as it is made, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from aster_tui.console.acting import request_of
from aster_tui.console.screens.dialog import Dialog
from aster_tui.console.screens.modes import checks_text
from aster_tui.console.screens.words import where
from aster_tui.domain.commands import CancelRequest
from aster_tui.domain.views import AgentView


class PreflightDialog(Dialog):
    """Shows the checks. Leaving stops them."""

    HEADING = "preflight"
    HINT = "esc closes and stops it"

    def __init__(self, agents: Sequence[AgentView], request_id: str) -> None:
        super().__init__()
        self._agents, self._request = tuple(agents), request_id

    def drawn(self, width: int) -> Text:
        """Where, and the checks."""
        snapshot = self.operator.newest()
        text = where(snapshot, self._agents, self.styles_of)
        text.append("\n")
        return text.append_text(checks_text(request_of(snapshot, self._request), self.styles_of))

    def action_leave(self) -> None:
        """Leave, and check no further."""
        view = request_of(self.operator.newest(), self._request)
        if view is None or view.state == "running":
            self.operator.submit(CancelRequest(self._request))
        self.dismiss()

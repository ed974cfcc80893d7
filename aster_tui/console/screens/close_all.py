"""The emergency: opens at once above everything, waits for no network, needs no arming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from aster_tui.console import format as fmt
from aster_tui.console.acting import newest_close_all
from aster_tui.console.actions import cannot_act
from aster_tui.console.screens.close_all_text import plan_text, progress_text
from aster_tui.console.screens.dialog import Dialog
from aster_tui.console.screens.words import hidden_words, named
from aster_tui.console.widgets.field import Field
from aster_tui.console.widgets.line import Line
from aster_tui.domain.closing import plan_close
from aster_tui.domain.commands import CloseAll
from aster_tui.domain.views import RequestView

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

WORD = "flat"
CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be closed, and how it is called."""

    words: str
    agent_ids: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    hidden: int = 0

    @property
    def asked(self) -> CloseAll:
        """What the engine is asked for."""
        return CloseAll(self.agent_ids, self.symbols)


def scopes_of(app: ConsoleApp) -> list[Scope]:
    """Everything first, then what the cursor and the marks say."""
    scopes = [Scope("EVERYTHING, every account")]
    agents = [a for a in app.selected_agents() if a.account and (a.mode == "real" or a.watched)]
    symbol = getattr(app.pane.cursor_view, "symbol", "")
    ids, names = tuple(a.key for a in agents), named(fmt.one_line(a.name) for a in agents)
    if agents:
        scopes.append(Scope(f"all of {names}", ids, hidden=app.hidden_marks()))
    if symbol:
        scopes.append(Scope(f"{symbol} on every account", symbols=(symbol,)))
    if agents and symbol:
        scopes.append(Scope(f"{symbol} of {names}", ids, (symbol,), app.hidden_marks()))
    return scopes


class CloseAllPanel(Dialog):
    """What would be closed, the word that does it, and then each account live. Leaving stops nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,down", "scope(1)", show=False, id="close_all.next"),
        Binding("shift+tab,up", "scope(-1)", show=False, id="close_all.previous"),
    ]
    HEADING = "CLOSE ALL"
    HINT = "esc leaves; what runs goes on"
    BELOW = 6

    def __init__(self, app: ConsoleApp) -> None:
        super().__init__()
        self._scopes = scopes_of(app)
        self._chosen = 0
        running = newest_close_all(app.newest())
        #: The close-all that is shown instead of what would be closed.
        self._shown = running.request_id if running is not None and running.state == "running" else ""

    @property
    def scope(self) -> Scope:
        """What would be closed."""
        return self._scopes[self._chosen]

    @property
    def progress(self) -> RequestView | None:
        """The close-all that is shown."""
        requests = self.operator.newest().requests
        return next((r for r in requests if r.request_id == self._shown), None)

    def drawn(self, width: int) -> Text:
        """What would be closed, or how far it is."""
        app, styles = self.operator, self.styles_of
        snapshot = app.newest()
        text = Text.assemble((f" {snapshot.network} ", styles[snapshot.network]))
        text.append("\n")
        why = self._why_not()
        if app.failure:
            return text.append(f"{why}: run aster-tui close-all in another terminal\n", style=styles["alarm"])
        if why:
            text.append(f"nothing can be closed from here: {why}\n", style=styles["alarm"])
            text.append("aster-tui close-all in another terminal does it\n", style=styles["warn"])
        if self._shown:
            view = self.progress
            if view is None:
                return text.append("… handed to the engine\n", style=styles["dim"])
            return text.append_text(progress_text(view, app.now(), styles, snapshot.untold))
        if snapshot.starting:
            words = "not everything is known yet: the close-all itself asks the exchange\n"
            text.append(words, style=styles["warn"])
        text.append_text(hidden_words(self.scope.hidden, styles))
        return text.append_text(
            plan_text(plan_close(snapshot, self.scope.agent_ids, self.scope.symbols), styles)
        )

    def parts(self) -> ComposeResult:
        """The scope and the word."""
        yield Line(self._keys_line(), id="keys")
        yield Field(longest=20, id="word")

    def follow(self) -> None:
        """Say it anew, and whether it can be done."""
        super().follow()
        view = self.progress
        if view is not None and view.state != "running" and self._said.plain.startswith(CLOSING):
            self.tell("")  # it is over, and the text says how
        for keys in self.query("#keys").results(Line):
            keys.say(self._keys_line())

    def _why_not(self) -> str:
        """Why nothing can be closed from here; empty when it can."""
        return fmt.one_line(self.operator.failure) or cannot_act(self.operator.context())

    def _keys_line(self) -> Text:
        styles = self.styles_of
        line = Text.assemble(("‹ ", styles["dim"]))
        line.append(self.scope.words, style=styles["alarm"])
        line.append(f" ›  {self._chosen + 1}/{len(self._scopes)}", style=styles["dim"])
        if len(self._scopes) > 1:
            line.append("  tab", style=styles["strong"])
            line.append(" another", style=styles["dim"])
        if self._why_not():
            return line.append("\nno word does anything here: see above", style=styles["dim"])
        line.append("\ntype ", style=styles["dim"])
        line.append(WORD, style=styles["strong"])
        line.append(" and enter: cancels its orders, closes it at market, proves it", style=styles["dim"])
        return line

    def action_scope(self, by: int) -> None:
        """Another scope: what it would close is shown."""
        self._chosen = (self._chosen + by) % len(self._scopes)
        view = self.progress
        if view is not None and view.state != "running":
            self._shown = ""
        self.follow()

    def on_input_submitted(self, event: Field.Submitted) -> None:
        """The word was typed."""
        event.stop()
        if self.held:
            return
        if event.value.strip().lower() != WORD:
            self.tell(f"type {WORD}, then enter")
            return
        if why := self._why_not():
            self.tell(why)
            return
        event.input.value = ""
        self._shown = self.operator.acting.ask(self.scope.asked)
        self.tell(f"{CLOSING} {self.scope.words}", "dim")
        self.follow()

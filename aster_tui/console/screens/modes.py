"""Flipping agents: to real after the preflight and the name, to paper with what becomes of positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult

from aster_tui.console import format as fmt
from aster_tui.console.acting import request_of
from aster_tui.console.actions import cannot_write
from aster_tui.console.screens.dialog import Dialog
from aster_tui.console.screens.form import why_not
from aster_tui.console.screens.words import answer_words, hidden_words, position_line, where
from aster_tui.console.widgets.field import Field
from aster_tui.console.widgets.line import Line
from aster_tui.console.widgets.picker import Picker
from aster_tui.domain.commands import CancelRequest, Preflight, SetMode
from aster_tui.domain.views import AgentView, PositionView, RequestView

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

LONGEST_NAME = 100


def flip_selected(app: ConsoleApp) -> None:
    """Flip the selected agents; where some are real and some are not, ask which way."""
    agents, hidden = app.selected_agents(), app.hidden_marks()
    paper = [a for a in agents if a.mode == "paper"]
    real = [a for a in agents if a.mode == "real"]
    if paper and real:
        app.push_screen(WayPicker(app, paper, real, hidden))
    elif paper:
        to_real(app, paper, hidden)
    elif real:
        app.push_screen(PaperDialog(real, hidden))
    else:
        app.say("select an agent first")


#: After a preflight that failed.
FAILED = "the preflight failed: nothing is flipped; esc, mend it, and begin again"


def to_real(app: ConsoleApp, agents: list[AgentView], hidden: int) -> None:
    """Begin with the preflight; only an armed session may."""
    why = why_not(app.context(), SetMode(tuple(a.key for a in agents), paper=False))
    if why:
        app.say(why)
        return
    app.push_screen(RealDialog(app, agents, hidden))


class WayPicker(Picker):
    """Which of the selected agents are flipped."""

    HEADING: ClassVar[str] = "flip which way?"

    def __init__(self, app: ConsoleApp, paper: list[AgentView], real: list[AgentView], hidden: int) -> None:
        super().__init__()
        self._operator, self._paper, self._real, self._hidden = app, paper, real, hidden

    def lines(self) -> list[Text]:
        """The harmless way first."""
        return [
            Text(f"{len(self._real)} real to paper: {_names(self._real)}"),
            Text(f"{len(self._paper)} on paper to REAL: {_names(self._paper)}"),
        ]

    def choose(self, index: int) -> None:
        """Go on."""
        self.dismiss()
        if index:
            to_real(self._operator, self._paper, self._hidden)
        else:
            self._operator.push_screen(PaperDialog(self._real, self._hidden))


def _names(agents: list[AgentView]) -> str:
    return ", ".join(fmt.one_line(a.name) for a in agents)


class RealDialog(Dialog):
    """Shows each check of the preflight as it is made, then wants the agent's name, or a count and a word."""

    HEADING = "to REAL trading"
    HINT = "esc leaves everything as it is"
    BELOW = 6

    def __init__(self, app: ConsoleApp, agents: list[AgentView], hidden: int) -> None:
        super().__init__()
        self._keys, self._hidden = tuple(a.key for a in agents), hidden
        self._word = agents[0].name if len(agents) == 1 else f"{len(agents)} real"
        self._preflight = app.acting.ask(Preflight(self._keys), quiet=True)
        self._flip = ""
        self._told: RequestView | None = None

    @property
    def _agents(self) -> list[AgentView]:
        by_key = {a.key: a for a in self.operator.newest().agents}
        return [by_key[key] for key in self._keys if key in by_key]

    @property
    def checked(self) -> RequestView | None:
        """How the preflight stands."""
        return request_of(self.operator.newest(), self._preflight)

    def drawn(self, width: int) -> Text:
        """Where, the checks, and what follows."""
        styles, snapshot = self.styles_of, self.operator.newest()
        text = where(snapshot, self._agents, styles)
        text.append_text(hidden_words(self._hidden, styles))
        text.append("\n")
        text.append_text(checks_text(self.checked, styles))
        view = request_of(snapshot, self._flip) if self._flip else None
        if view is not None:
            text.append_text(_flip_text(view, styles))
        return text

    def follow(self) -> None:
        """The newest check is in sight, and what came of it stands where it is always seen."""
        before = self.text
        super().follow()
        view = request_of(self.operator.newest(), self._flip) if self._flip else self.checked
        if view is not None and view.state != "running" and view != self._told:
            self._told = view  # once: what was said since is newer
            words, style = answer_words(view.state, view.message)
            self.tell(words, style)
            if not self._flip and view.state != "done":  # no word does anything any more
                self.query_one("#keys", Line).say(Text(FAILED, style=self.styles_of["dim"]))
        if self.text != before:
            self.query_one("#body").scroll_end(animate=False)

    def parts(self) -> ComposeResult:
        """The word."""
        styles = self.styles_of
        line = Text.assemble(("type ", styles["dim"]))
        line.append(self._word, style=styles["strong"])
        line.append(" and enter: real money from then on", style=styles["dim"])
        yield Line(line, id="keys")
        yield Field(longest=LONGEST_NAME, id="word")

    def on_input_submitted(self, event: Field.Submitted) -> None:
        """The name was typed."""
        event.stop()
        if self.held or self._flip:
            return
        asked = SetMode(self._keys, paper=False)
        view = self.checked
        if event.value.strip() != self._word:
            self.tell(f"that is not {self._word}: nothing is flipped")
        elif view is None or view.state == "running":
            self.tell("the preflight is not through yet")
        elif view.state != "done":
            self.tell(FAILED)
        elif why := _why_not(self.operator, asked):
            self.tell(why)
        else:
            self._flip = self.operator.acting.ask(asked)
            event.input.disabled = True
            self.tell("flipping; esc closes this and stops nothing", "dim")

    def action_leave(self) -> None:
        """Leave; a preflight that is still under way is stopped."""
        view = self.checked
        if not self._flip and (view is None or view.state == "running"):
            self.operator.submit(CancelRequest(self._preflight))
        self.dismiss()


def _why_not(app: ConsoleApp, asked: SetMode) -> str:
    """Why agents cannot be flipped now."""
    context = app.context()
    return app.too_small or why_not(context, asked) or cannot_write(context)


def checks_text(view: RequestView | None, styles: Mapping[str, str]) -> Text:
    """The checks of a preflight as far as they are made."""
    text = Text()
    if view is None or view.state == "running":
        for line in view.said if view is not None else ():
            bad = line.startswith("✗")
            text.append(f"{fmt.one_line(line)}\n", style=styles["alarm"] if bad else "")
        text.append("… checking, nothing is placed\n", style=styles["dim"])
        return text
    checks = view.document.get("checks") or ()
    for check in checks:
        ok = bool(check.get("ok"))
        text.append("✓ " if ok else "✗ ", style=styles["ok" if ok else "alarm"])
        agent = f"{fmt.one_line(str(check['agent']))} " if check.get("agent") else ""
        text.append(f"{agent}{check.get('name')}: ", style=styles["strong"])
        text.append(f"{fmt.one_line(str(check.get('message')))}\n", style="" if ok else styles["alarm"])
        if not ok and check.get("remedy"):
            text.append(f"  → {fmt.one_line(str(check['remedy']))}\n", style=styles["warn"])
    if not checks or view.state != "done":
        style = styles["ok" if view.state == "done" else "alarm"]
        text.append(f"{view.state}: {fmt.one_line(view.message)}\n", style=style)
    return text


def _flip_text(view: RequestView, styles: Mapping[str, str]) -> Text:
    text = Text("\n")
    if view.state == "running":
        return text.append(f"… checking once more, then flipping: {fmt.one_line(view.message)}\n")
    for row in view.document.get("agents") or ():
        real = row.get("mode") == "real"
        words = "trades for REAL" if real else f"stays on paper: {row.get('why')}"
        style = styles["strong" if real else "alarm"]
        text.append(f"{fmt.one_line(str(row.get('name')))} {fmt.one_line(words)}\n", style=style)
    return text.append(
        f"{fmt.one_line(view.message)}\n", style=styles["ok" if view.state == "done" else "alarm"]
    )


class PaperDialog(Dialog):
    """Asks what becomes of the real positions: kept and watched, or closed at market. One agent after one
    key, several after the word."""

    HEADING = "to paper trading"
    HINT = "esc leaves everything as it is"
    BELOW = 6

    def __init__(self, agents: list[AgentView], hidden: int) -> None:
        super().__init__()
        self._keys, self._hidden = tuple(a.key for a in agents), hidden

    @property
    def _agents(self) -> list[AgentView]:
        by_key = {a.key: a for a in self.operator.newest().agents}
        return [by_key[key] for key in self._keys if key in by_key]

    @property
    def _several(self) -> bool:
        return len(self._keys) > 1

    def _held(self) -> list[PositionView]:
        return [
            p
            for p in self.operator.newest().positions
            if p.mode == "real" and set(self._keys) & set(p.agent_id.split("+"))
        ]

    def drawn(self, width: int) -> Text:
        """Where, and what is open."""
        styles = self.styles_of
        text = where(self.operator.newest(), self._agents, styles)
        text.append_text(hidden_words(self._hidden, styles))
        held = self._held()
        text.append("\nopen positions\n" if held else "\nno position is open\n", style=styles["strong"])
        for position in held:
            text.append(f"{fmt.one_line(position.agent)}  ", style=styles["dim"])
            text.append(f"{position_line(position)}\n")
        if held:
            text.append(
                "kept ones stay at the exchange with their stops, and are watched here\n", style=styles["dim"]
            )
        return text

    def parts(self) -> ComposeResult:
        """The two ways."""
        styles = self.styles_of
        line = Text.assemble(("type " if self._several else "", styles["dim"]))
        for word, does in (("keep", "keeps and watches them"), ("close", "closes them at market")):
            line.append(word if self._several else word[0], style=styles["strong"])
            line.append(f" {does}    ", style=styles["dim"])
        if self._several:
            line.append("and enter", style=styles["dim"])
        yield Line(line, id="keys")
        if self._several:
            yield Field(longest=20, id="word")

    def on_key(self, event: events.Key) -> None:
        """One agent: the key is the choice."""
        if self._several or event.key not in ("k", "c"):
            return
        event.stop()
        if self.held:
            return
        if not self.was_seen:
            self.tell(f"read it first, then press {event.key} again")
            return
        self._go(close=event.key == "c")

    def on_input_submitted(self, event: Field.Submitted) -> None:
        """Several: the word is the choice."""
        event.stop()
        word = event.value.strip()
        if self.held:
            return
        if word not in ("keep", "close"):
            self.tell("type keep or close; esc leaves everything as it is")
            return
        self._go(close=word == "close")

    def _go(self, *, close: bool) -> None:
        asked = SetMode(self._keys, paper=True, close_positions=close)
        if why := _why_not(self.operator, asked):
            self.tell(why)
            return
        operator = self.operator
        self.dismiss()
        operator.acting.ask(asked)
        operator.say(f"{len(self._keys)} to paper: asked for")

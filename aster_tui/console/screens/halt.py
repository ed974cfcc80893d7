"""Halting and resuming, per agent or for the fleet, with a reason."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult

from aster_tui.console import format as fmt
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.form import Form, row
from aster_tui.console.screens.words import hidden_words, named, where
from aster_tui.console.widgets.choice import Choice
from aster_tui.console.widgets.field import Field
from aster_tui.domain.commands import Asked, SetTrading
from aster_tui.domain.views import AgentView, TradingState

STATES: dict[str, tuple[TradingState, str]] = {
    "halt": ("HALTED", "halt: agents send nothing at all"),
    "reduce": ("REDUCING", "only reduce: agents may only make positions smaller"),
    "resume": ("ACTIVE", "resume: agents may trade again"),
}
FLEET, SELECTED = "fleet", "selected"


class HaltForm(Form):
    """What, for whom, and why. Halting is asked at once, resuming after a question and only armed."""

    HEADING = "halt or resume"
    DOES = "do it"
    ROWS = 3

    def __init__(self, agents: Sequence[AgentView], hidden: int) -> None:
        super().__init__()
        self._agents, self._hidden = tuple(agents), hidden

    def fields(self) -> ComposeResult:
        """What, for whom, why."""
        snapshot = self.operator.newest()
        stopped = snapshot.halted or any(a.halted for a in self._agents)
        whats = [(key, words) for key, (_, words) in STATES.items()]
        yield row("what", Choice(whats, "resume" if stopped else "halt", id="what"))
        everyone = (FLEET, f"the whole fleet, {len(snapshot.agents)} agents")
        scopes = [(SELECTED, named(fmt.one_line(a.name) for a in self._agents)), everyone]
        one_scope = not self._agents or snapshot.halted
        yield row(
            "for",
            Choice([everyone] if not self._agents else scopes, FLEET if one_scope else SELECTED, id="for"),
        )
        yield row("reason", Field(longest=200, placeholder="for whoever reads it later", id="reason"))

    def drawn(self, width: int) -> Text:
        """How it stands, and what a halt leaves alone."""
        styles, snapshot = self.styles_of, self.operator.newest()
        now = {a.key: a for a in snapshot.agents}
        text = where(snapshot, (), styles)
        fleet = snapshot.trading + (f": {snapshot.halt_reason}" if snapshot.halt_reason else "")
        text.append(
            f"the fleet is {fmt.one_line(fleet)}\n", style=styles["alarm" if snapshot.halted else "strong"]
        )
        for agent in (now[a.key] for a in self._agents if a.key in now):
            words = agent.trading + (f": {agent.halt_reason}" if agent.halt_reason else "")
            style = styles["alarm" if agent.halted else "dim"]
            text.append(f"{fmt.one_line(agent.name)} is {fmt.one_line(words)}\n", style=style)
        text.append_text(hidden_words(self._hidden, styles))
        text.append("A halt closes nothing and cancels nothing: ", style=styles["dim"])
        text.append("ctrl+x does. A person may always reduce.\n", style=styles["dim"])
        return text

    def asked(self) -> Asked | str:
        """What is chosen."""
        state, _ = STATES[self.query_one("#what", Choice).value]
        reason = " ".join(self.query_one("#reason", Field).value.split())
        if state == "ACTIVE" and not reason:
            return "resuming wants a reason, for whoever reads it later"
        all_of = self.query_one("#for", Choice).value == FLEET
        return SetTrading(state, reason, () if all_of else tuple(a.key for a in self._agents))

    def question(self, asked: Asked) -> Confirm | None:
        """Halting waits for nothing; resuming is asked."""
        if not isinstance(asked, SetTrading) or asked.state != "ACTIVE":
            return None
        chosen = self._agents if asked.agent_ids else self.operator.newest().agents
        text = where(self.operator.newest(), chosen if asked.agent_ids else (), self.styles_of)
        whom = "these agents" if asked.agent_ids else f"the whole fleet, {len(chosen)} agents,"
        text.append(f"\n{whom} may add risk again\n", style=self.styles_of["strong"])
        text.append(f"reason: {fmt.one_line(asked.reason)}\n")
        return self.confirm("resume trading?", text, asked, does="resumes it")

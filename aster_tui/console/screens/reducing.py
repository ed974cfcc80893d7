"""Closing, halving and reversing positions: one after a key, several after a word, each item named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.form import why_not
from aster_tui.console.screens.words import hidden_words, named, position_line, where, worth
from aster_tui.console.widgets.picker import Picker
from aster_tui.domain.commands import ReducePosition
from aster_tui.domain.symbols import round_down
from aster_tui.domain.views import AgentView, FleetSnapshot, PositionView

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

Way = Literal["close", "halve", "reverse"]
HALF = Decimal("0.5")
DOES: dict[Way, str] = {
    "close": "closes it at market, reduce-only",
    "halve": "closes half of it at market, reduce-only",
    "reverse": "closes it at market and opens the other side, without a stop",
}


@dataclass(frozen=True, slots=True)
class Item:
    """A position with the agent whose share of it is meant."""

    agent: AgentView
    position: PositionView

    def asked(self, way: Way) -> ReducePosition:
        """What the engine is asked for."""
        part = HALF if way == "halve" else Decimal(1)
        return ReducePosition(self.agent.key, self.position.symbol, part, reverse=way == "reverse")


def items_of(snapshot: FleetSnapshot, keys: Sequence[str]) -> tuple[list[Item], int]:
    """The real positions of these rows, one item per agent that has a share, and how many rows are of
    paper."""
    by_key = {position.key: position for position in snapshot.positions}
    agents = {agent.key: agent for agent in snapshot.agents}
    rows = [by_key[key] for key in keys if key in by_key]
    items = [
        Item(agents[owner], position)
        for position in rows
        if position.mode == "real"
        for owner in position.agent_id.split("+")
        if owner in agents
    ]
    return items, sum(position.mode == "paper" for position in rows)


def reduce_selected(app: ConsoleApp, way: Way) -> None:
    """Ask whether to reduce the selected positions."""
    items, paper = items_of(app.newest(), app.selected_rows())
    if not items:
        app.say(
            "that is a paper position: its agent's decisions close it" if paper else "no position is selected"
        )
        return
    positions = {item.position.key for item in items}
    if len(positions) == 1 and len(items) > 1:
        app.push_screen(SharePicker(app, items, way))
        return
    ask_for(app, items, way, hidden=app.hidden_marks(), paper=paper)


def ask_for(app: ConsoleApp, items: list[Item], way: Way, *, hidden: int = 0, paper: int = 0) -> None:
    """The question."""
    asked = [item.asked(way) for item in items]
    several = len(items) > 1
    does = DOES[way] if not several else DOES[way].replace("it", f"these {len(items)}", 1)

    def do() -> None:
        for each in asked:
            app.acting.ask(each)
        app.say(f"{way}: {len(asked)} asked for")

    app.push_screen(
        Confirm(
            f"{way} {'this position' if not several else f'{len(items)} positions'}?",
            lambda width: _question(app, items, way, hidden, paper),
            do,
            does=does,
            word=way if several else "",
            refusal=lambda: why_not(app.context(), asked[0]),
        )
    )


def _question(app: ConsoleApp, items: list[Item], way: Way, hidden: int, paper: int) -> Text:
    styles, snapshot = app.looks, app.newest()
    agents = list({item.agent.key: item.agent for item in items}.values())
    now = {position.key: position for position in snapshot.positions}
    text = where(snapshot, agents, styles)
    positions = list({item.position.key: item.position for item in items}.values())
    # What they come to stands above the list: that may be longer than the screen.
    if len(items) > 1:
        symbols = named(position.symbol for position in positions)
        text.append(f"\n{len(positions)} positions in {symbols}: ", style=styles["strong"])
        text.append(f"{fmt.number(worth(positions), 2)} USDT\n", style=styles["strong"])
    if any(item.agent.shared_with for item in items):
        text.append("only the named agent's share of a shared account is closed\n", style=styles["warn"])
    text.append_text(hidden_words(hidden, styles))
    if paper:
        text.append(f"{paper} paper positions are left out\n", style=styles["dim"])
    text.append("\n")
    for item in items:
        position = now.get(item.position.key)
        text.append(f"{fmt.one_line(item.agent.name)}  ", style=styles["dim"])
        if position is None:
            text.append(f"{item.position.symbol} is gone\n", style=styles["warn"])
        else:
            text.append(f"{position_line(position)}\n")
            if way == "halve" and not _half(snapshot, position):
                text.append("  too small to be halved: c closes it\n", style=styles["warn"])
    return text


def _half(snapshot: FleetSnapshot, position: PositionView) -> Decimal:
    """Half of a position in whole steps; half of a share of it is never more."""
    rules = snapshot.rules.get(position.symbol)
    half = position.quantity * HALF
    return round_down(half, rules.market_step_size or rules.step_size) if rules else half


class SharePicker(Picker):
    """Whose share of a position on a shared account."""

    HEADING: ClassVar[str] = "whose share?"

    def __init__(self, app: ConsoleApp, items: list[Item], way: Way) -> None:
        super().__init__()
        self._operator, self._items, self._way = app, items, way

    def lines(self) -> list[Text]:
        """Each agent on the account, then all of them."""
        names = [Text(fmt.one_line(item.agent.name)) for item in self._items]
        return [*names, Text(f"all {len(names)} of them")]

    def choose(self, index: int) -> None:
        """Go on to the question."""
        chosen = self._items if index == len(self._items) else [self._items[index]]
        self.dismiss()
        ask_for(self._operator, chosen, self._way)

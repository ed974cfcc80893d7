"""The one registry of what an operator can do. It feeds bindings, footer, help and the read-only check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding, BindingType

from aster_tui.domain.views import AgentView, FleetSnapshot

#: ``none`` looks, ``write`` changes the database, ``risk`` can change an account.
Danger = Literal["none", "write", "risk"]


@dataclass(frozen=True, slots=True)
class Context:
    """What an action is judged by: the snapshot, the focused pane, and the agent under its cursor."""

    snapshot: FleetSnapshot
    pane: str
    agent: AgentView | None = None


def _always(context: Context) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Action:
    """One action.

    ``keys`` is Textual's key list, ``shown`` how the footer writes it; ``unavailable`` says why it cannot
    be done now ("" when it can); ``panes`` are those it belongs to, all when empty.
    """

    id: str
    title: str
    keys: str
    shown: str
    danger: Danger = "none"
    panes: tuple[str, ...] = ()
    hint: bool = False
    needs: str = ""
    unavailable: Callable[[Context], str] = _always


def _cannot_write(context: Context) -> str:
    if context.snapshot.read_only:
        return "read-only: this process can change nothing"
    mongo = next((f for f in context.snapshot.feeds if f.name == "mongo"), None)
    if mongo is None or mongo.state in ("down", "off"):
        return f"MongoDB is not there{f': {mongo.detail}' if mongo and mongo.detail else ''}"
    return ""


def _cannot_sync_one(context: Context) -> str:
    if context.agent is None:
        return "select an agent first"
    if context.agent.mode == "paper":
        return f"{context.agent.name} trades on paper: it has no account to sync"
    return _cannot_write(context)


def _cannot_sync_all(context: Context) -> str:
    if not any(a.mode == "real" for a in context.snapshot.agents):
        return "no real agent is known"
    return _cannot_write(context)


ACTIONS: tuple[Action, ...] = (
    Action(
        *("sync.one", "sync the selected agent: exchange → MongoDB", "s", "s"),
        danger="write",
        panes=("agents", "positions"),
        hint=True,
        needs="a real agent, its key, MongoDB",
        unavailable=_cannot_sync_one,
    ),
    Action(
        *("sync.all", "sync all real agents", "S", "S"),
        danger="write",
        hint=True,
        needs="MongoDB",
        unavailable=_cannot_sync_all,
    ),
    Action("details", "details of the selected row", "enter", "enter", hint=True),
    Action("pane.next", "next pane", "tab,right", "tab →", hint=True),
    Action("pane.previous", "previous pane", "shift+tab,left", "shift+tab ←"),
    Action("pane.agents", "agents", "1", "1"),
    Action("pane.positions", "positions", "2", "2"),
    Action("pane.orders", "orders", "3", "3"),
    Action("pane.errors", "errors", "4", "4"),
    Action("help", "help", "question_mark", "?", hint=True),
    Action("quit", "quit the console; agents and orders are not touched", "q", "q", hint=True),
)

BY_ID = {action.id: action for action in ACTIONS}

#: What the footer calls an action, where its title is a sentence.
SHORT = {
    "sync.one": "sync",
    "sync.all": "sync all",
    "details": "details",
    "pane.next": "pane",
    "help": "help",
    "quit": "quit",
}

#: Keys of the grids themselves, for the help.
GRID_KEYS: tuple[tuple[str, str], ...] = (
    ("↑ ↓  k j", "move the cursor"),
    ("pgup pgdn", "a page"),
    ("home end  g G", "first and last row"),
)


def bindings() -> list[BindingType]:
    """The registry as Textual's bindings, with stable ids."""
    return [
        Binding(action.keys, f"act('{action.id}')", action.title, show=False, id=action.id, priority=True)
        for action in ACTIONS
    ]


def hints(context: Context) -> list[tuple[Action, str]]:
    """The actions the footer shows for a pane, each with why it is unavailable now."""
    return [
        (action, action.unavailable(context))
        for action in ACTIONS
        if action.hint and (not action.panes or context.pane in action.panes)
    ]

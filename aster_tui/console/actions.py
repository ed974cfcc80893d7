"""What an action is, and what it is judged by. The actions themselves stand in modules of their own, each
beside what it does (:mod:`aster_tui.console.registry` gathers them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aster_tui.domain.views import AgentView, FleetSnapshot

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

#: ``none`` looks, ``write`` changes the database, ``risk`` can change an account.
Danger = Literal["none", "write", "risk"]


@dataclass(frozen=True, slots=True)
class Context:
    """What an action is judged by.

    Args:
        pane: the focused one.
        agent: whose row the cursor is on.
        row: the key of that row.
        selected: the keys of the marked rows of the pane, also of those a filter hides; without marks the
            cursor's.
        state_folder: where files may be written.
        armed: whether the session may add risk.
    """

    snapshot: FleetSnapshot
    pane: str
    agent: AgentView | None = None
    row: str | None = None
    selected: tuple[str, ...] = ()
    state_folder: Path | None = None
    armed: bool = False


def _always(context: Context) -> str:
    return ""


#: What carries an action out.
Handler = Callable[["ConsoleApp"], None]


@dataclass(frozen=True, slots=True)
class Action:
    """One action.

    Args:
        id: stable: settings, bindings and the audit call it by this.
        title: what it does, for help and palette.
        keys: Textual's key list; ``shown`` is how the footer writes it.
        danger: what it can change.
        panes: those it belongs to, all when empty. Two actions may share a key if they share no pane.
        hint: its place in the footer, which shows it as ``short``; 0 is not shown. What may be done
            ``everywhere`` stands at the right end.
        needs: what must be there, in words.
        unavailable: says why it cannot be done now ("" when it can).
        command: the equivalent command line, arguments in capitals; where there is none, ``alone`` says why.
        everywhere: above every dialog and every input too. Only for what cannot wait.
    """

    id: str
    title: str
    keys: str
    shown: str
    danger: Danger = "none"
    panes: tuple[str, ...] = ()
    hint: int = 0
    short: str = ""
    needs: str = ""
    unavailable: Callable[[Context], str] = _always
    command: str = ""
    alone: str = ""
    everywhere: bool = False


NOT_ARMED = "not armed: press a to arm"
#: Why what only concerns the screen has no command.
SCREEN_ONLY = "it only concerns this screen"


def cannot_act(context: Context) -> str:
    """Why nothing can be changed anywhere now."""
    if context.snapshot.read_only:
        return "read-only: this process can change nothing"
    if context.snapshot.locked:
        return "this console is locked to read-only: L unlocks it"
    return ""


def cannot_add_risk(context: Context) -> str:
    """Why nothing can be done now that makes a risk larger."""
    return cannot_act(context) or ("" if context.armed else NOT_ARMED)


def cannot_write(context: Context) -> str:
    """Why nothing can be written into the database now."""
    if why := cannot_act(context):
        return why
    mongo = next((f for f in context.snapshot.feeds if f.name == "mongo"), None)
    if mongo is None or mongo.state in ("down", "off"):
        return f"MongoDB is not there{f': {mongo.detail}' if mongo and mongo.detail else ''}"
    return ""

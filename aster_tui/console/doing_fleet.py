"""The actions on agents and the fleet: modes, preflight, halts, the emergency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aster_tui.console.actions import Action, Context, Handler, cannot_act, cannot_add_risk, cannot_write

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


def _cannot_flip(context: Context) -> str:
    if why := cannot_write(context):
        return why
    if context.agent is None:
        return "select an agent first"
    paper_only = context.agent.mode == "paper" and len(context.selected) < 2
    return cannot_add_risk(context) if paper_only else ""


def _cannot_hold(context: Context) -> str:
    if why := cannot_act(context):
        return why
    if context.agent is None:
        return "select an agent first"
    if context.agent.mode == "paper" and len(context.selected) < 2:
        return f"{context.agent.name} trades on paper: it has no orders at the exchange"
    return ""


def _cannot_check(context: Context) -> str:
    if context.snapshot.read_only:
        return "read-only: this process checks with aster-tui doctor"
    return "" if context.agent is not None else "select an agent first"


ACTIONS: tuple[Action, ...] = (
    Action(
        *("close_all", "CLOSE ALL: cancel and close everything, and prove it", "ctrl+x", "ctrl+x"),
        danger="risk",
        hint=1,
        short="CLOSE ALL",
        needs="the accounts' keys, the exchange; no arming, no MongoDB",
        unavailable=cannot_act,
        command="aster-tui close-all",
        everywhere=True,
    ),
    Action(
        *("mode", "flip the selected agents: paper ↔ REAL", "m", "m"),
        danger="risk",
        panes=("agents",),
        hint=1,
        short="mode",
        needs="MongoDB; to real also the agent's key, a passed preflight, an armed session",
        unavailable=_cannot_flip,
        command="aster-tui mode NAME real",
    ),
    Action(
        *("preflight", "check all that trading for real needs", "P", "P"),
        panes=("agents",),
        needs="the agent's key, the exchange",
        unavailable=_cannot_check,
        command="aster-tui doctor --agent NAME",
    ),
    Action(
        *("halt", "halt or resume agents, or the fleet", "H", "H"),
        danger="write",
        hint=5,
        short="halt",
        needs="this machine's state folder; resuming needs an armed session",
        unavailable=cannot_act,
        command="aster-tui halt --agent NAME --reason TEXT",
    ),
    Action(
        *("dead_man", "dead-man timer: the venue cancels orders should this process die", "D", "D"),
        danger="risk",
        panes=("agents",),
        needs="a real agent, its key, the exchange",
        unavailable=_cannot_hold,
        alone="a command that ends could not renew it",
    ),
)


def _mode(app: ConsoleApp) -> None:
    from aster_tui.console.screens.modes import flip_selected

    flip_selected(app)


def _preflight(app: ConsoleApp) -> None:
    from aster_tui.console.screens.preflight import PreflightDialog
    from aster_tui.domain.commands import Preflight

    agents = app.selected_agents()
    request_id = app.acting.ask(Preflight(tuple(a.key for a in agents)), quiet=True)
    app.push_screen(PreflightDialog(agents, request_id))


def _close_all(app: ConsoleApp) -> None:
    from aster_tui.console.screens.close_all import CloseAllPanel

    if not isinstance(app.screen, CloseAllPanel):
        app.push_screen(CloseAllPanel(app))


def _dead_man(app: ConsoleApp) -> None:
    from aster_tui.console.screens.deadman import DeadManForm

    real = [a for a in app.selected_agents() if a.mode == "real" and a.account]
    if real:
        app.push_screen(DeadManForm(real, app.hidden_marks()))
    else:
        app.say("none of the marked rows is of a real agent")


def _halt(app: ConsoleApp) -> None:
    from aster_tui.console.screens.halt import HaltForm

    app.push_screen(HaltForm(app.selected_agents(), app.hidden_marks()))


HANDLERS: Mapping[str, Handler] = {
    "mode": _mode,
    "preflight": _preflight,
    "halt": _halt,
    "close_all": _close_all,
    "dead_man": _dead_man,
}

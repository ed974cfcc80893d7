"""The actions of the console's frame: panes, details, help, palette, sync; and what carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aster_tui.console.actions import SCREEN_ONLY, Action, Context, Handler, cannot_act, cannot_write
from aster_tui.domain.views import FleetSnapshot, RequestView

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


def _cannot_sync_one(context: Context) -> str:
    if why := cannot_write(context):
        return why
    if context.agent is None:
        return "select an agent first"
    if context.agent.mode == "paper" and len(context.selected) < 2:
        return f"{context.agent.name} trades on paper: it has no account to sync"
    return ""


def _cannot_sync_all(context: Context) -> str:
    if why := cannot_write(context):
        return why
    return "" if any(a.mode == "real" for a in context.snapshot.agents) else "no real agent is known"


def _no_row(context: Context) -> str:
    return "" if context.row is not None else "nothing is selected"


def stoppable(snapshot: FleetSnapshot) -> RequestView | None:
    """The oldest request that runs. A close-all is not stopped from here: its own panel asks for that."""
    running = [r for r in snapshot.requests if r.state == "running"]
    return next((r for r in reversed(running) if not r.words.startswith("aster-tui close-all")), None)


def _nothing_to_stop(context: Context) -> str:
    return cannot_act(context) or ("" if stoppable(context.snapshot) else "no request is running")


ACTIONS: tuple[Action, ...] = (
    Action(
        *("sync.one", "sync the selected agents: exchange → MongoDB", "s", "s"),
        danger="write",
        panes=("agents", "positions"),
        hint=2,
        short="sync",
        needs="a real agent, its key, MongoDB",
        unavailable=_cannot_sync_one,
        command="aster-tui sync --agent NAME",
    ),
    Action(
        *("sync.all", "sync all real agents", "S", "S"),
        danger="write",
        hint=5,
        short="sync all",
        needs="MongoDB",
        unavailable=_cannot_sync_all,
        command="aster-tui sync",
    ),
    Action(
        *("details", "details of the selected row", "enter", "enter"),
        hint=4,
        short="details",
        unavailable=_no_row,
        command="aster-tui status --json",
    ),
    Action("pane.next", "next pane", "tab,right", "tab →", hint=9, short="pane", alone=SCREEN_ONLY),
    Action("pane.previous", "previous pane", "shift+tab,left", "shift+tab ←", alone=SCREEN_ONLY),
    Action("pane.agents", "agents", "1", "1", alone=SCREEN_ONLY),
    Action("pane.positions", "positions", "2", "2", alone=SCREEN_ONLY),
    Action("pane.orders", "orders", "3", "3", alone=SCREEN_ONLY),
    Action("pane.errors", "errors", "4", "4", alone=SCREEN_ONLY),
    Action(
        *("pane.commands", "command log: what operators asked for, and what came of it", "5", "5"),
        command="aster-tui log audit",
    ),
    Action("pane.operators", "operators: who is attached, where, armed or not", "6", "6", alone=SCREEN_ONLY),
    Action(
        "metrics", "metrics: how orders go through, with charts", "M", "M", command="aster-tui status --json"
    ),
    Action(
        *("palette", "find an action by its name", "colon,ctrl+p", ": ctrl+p"),
        hint=6,
        short="commands",
        command="aster-tui --help",
    ),
    Action("theme", "choose a theme", "T", "T", alone=SCREEN_ONLY),
    Action("welcome", "how to connect", "", "", command="aster-tui paths"),
    Action(
        *("request.stop", "stop what the oldest running request still does", "ctrl+k", "ctrl+k"),
        danger="write",
        needs="a request that is running",
        unavailable=_nothing_to_stop,
        alone="Ctrl+C stops a command",
    ),
    Action("help", "help", "question_mark", "?", hint=7, short="help", command="aster-tui --help"),
    Action(
        *("quit", "quit the console; agents and orders are not touched", "q,ctrl+q", "q"),
        hint=8,
        short="quit",
        alone=SCREEN_ONLY,
    ),
)


def _sync_one(app: ConsoleApp) -> None:
    agents = [a for a in app.selected_agents() if a.mode == "real"]
    if not agents:
        app.say("none of the marked rows is of a real agent")
        return
    from aster_tui.domain.commands import SyncAgents

    app.acting.ask(SyncAgents(tuple(a.key for a in agents)))
    app.say(f"syncing {', '.join(a.name for a in agents)}")


def _sync_all(app: ConsoleApp) -> None:
    from aster_tui.domain.commands import SyncAgents

    app.acting.ask(SyncAgents())
    app.say("syncing all real agents")


def _details(app: ConsoleApp) -> None:
    from aster_tui.console.screens.details import DetailScreen  # 20 ms that the first frame need not wait for

    context = app.context()
    if context.row is not None:
        app.push_screen(DetailScreen(app, context.pane, context.row))


def _metrics(app: ConsoleApp) -> None:
    from aster_tui.console.screens.metrics import MetricsScreen

    app.push_screen(MetricsScreen(app))


def _help(app: ConsoleApp) -> None:
    from aster_tui.console.details import Overlay
    from aster_tui.console.help import help_text

    app.push_screen(Overlay("help", lambda width: help_text(app.context(), app.registry, app.looks, width)))


def _palette(app: ConsoleApp) -> None:
    from aster_tui.console.palette import open_palette  # 40 ms

    open_palette(app)


def _theme(app: ConsoleApp) -> None:
    from aster_tui.console.themes import ThemeDialog

    app.push_screen(ThemeDialog(app))


def _welcome(app: ConsoleApp) -> None:
    from aster_tui.console.details import Overlay
    from aster_tui.console.welcome import welcome_text

    network = app.newest().network
    app.push_screen(Overlay("welcome", lambda width: welcome_text(network, app.looks, width)))


def _stop(app: ConsoleApp) -> None:
    request = stoppable(app.newest())
    if request is not None:
        from aster_tui.domain.commands import CancelRequest

        app.submit(CancelRequest(request.request_id))
        app.say(f"stopping: {request.title}")


def _pane(name: str) -> Handler:
    return lambda app: app.activate(name)


HANDLERS: Mapping[str, Handler] = {
    "sync.one": _sync_one,
    "sync.all": _sync_all,
    "details": _details,
    "pane.next": lambda app: app.step(1),
    "pane.previous": lambda app: app.step(-1),
    **{
        f"pane.{name}": _pane(name)
        for name in ("agents", "positions", "orders", "errors", "commands", "operators")
    },
    "metrics": _metrics,
    "palette": _palette,
    "theme": _theme,
    "welcome": _welcome,
    "request.stop": _stop,
    "help": _help,
    "quit": lambda app: app.exit(),
}

"""The actions of the session itself: arming and the lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aster_tui.console.actions import Action, Context, Handler, cannot_act

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


def _cannot_lock(context: Context) -> str:
    if context.snapshot.read_only:
        return "read-only: this process was started so and cannot be unlocked"
    return ""


ACTIONS: tuple[Action, ...] = (
    Action(
        *("arm", "arm the session, or disarm it: what adds risk needs it", "a", "a"),
        danger="write",
        hint=3,
        short="arm",
        needs="a console that may write",
        unavailable=cannot_act,
        alone="a command is armed by being typed",
    ),
    Action(
        *("lock", "lock this console to read-only, or unlock it", "L", "L"),
        danger="write",
        needs="a process that was not started read-only",
        unavailable=_cannot_lock,
        command="aster-tui --read-only",
    ),
    Action(
        *("drill", "rehearse a close-all on a practice exchange of its own", "R", "R"),
        danger="write",
        needs="a console that may write",
        unavailable=cannot_act,
        command="aster-tui drill --incident NAME",
    ),
)


def _arm(app: ConsoleApp) -> None:
    if app.acting.armed(app.now()):
        app.acting.disarm()
        app.say("disarmed")
        return
    app.acting.arm(app.now())
    app.say(f"ARMED until no key comes for {app.options.disarm_minutes} m: what adds risk may be asked for")


def _lock(app: ConsoleApp) -> None:
    if not app.newest().locked:
        from aster_tui.domain.commands import SetLock

        app.acting.ask(SetLock(True))
        app.say("locking this console to read-only")
        return
    from aster_tui.console.screens.confirm import unlock  # 8 ms, and only when it is asked for

    app.push_screen(unlock(app))


def _drill(app: ConsoleApp) -> None:
    from aster_tui.console.screens.drill import DrillPicker

    app.push_screen(DrillPicker())


HANDLERS: Mapping[str, Handler] = {"arm": _arm, "lock": _lock, "drill": _drill}

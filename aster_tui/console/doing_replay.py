"""The console on a recording: what drives it, what the header says of it, and the actions with their keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from aster_tui.console import format as fmt
from aster_tui.console.actions import SCREEN_ONLY, Action, Handler

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

REFUSED = "this is a recording: nothing can be done in it"
SKIP_MS = 10_000


class Replayed(Protocol):
    """A recording that is played."""

    paused: bool
    speed: float
    progress: int | None

    @property
    def start_at(self) -> int:
        """When it begins, Unix ms."""

    @property
    def end_at(self) -> int:
        """When it ends."""

    @property
    def at(self) -> int:
        """The moment that is shown."""

    @property
    def position(self) -> tuple[int, int]:
        """How many events have come by now, and how many there are."""

    def pause(self, on: bool | None = None) -> None:
        """Pause or go on."""

    def step(self, by: int) -> None:
        """Go some events on or back, and stay there."""

    def seek(self, at: int) -> None:
        """Go to a moment."""

    def skip(self, milliseconds: int) -> None:
        """Go on or back."""

    def faster(self, by: int) -> None:
        """The next or the previous speed."""


def replay_words(replay: Replayed, shortness: int) -> str:
    """What the header says: that this is a replay, whether it plays and how fast, when it is, how far."""
    sign = "⏸" if replay.paused else "▶"
    speed = f"{replay.speed:g}×"
    done, count = replay.position
    length = max(1, replay.end_at - replay.start_at)
    share = f"{(replay.at - replay.start_at) * 100 // length} %"
    if replay.progress is not None:
        share = f"going there {replay.progress} %"
    if shortness:
        return f" REPLAY {sign} {speed} {fmt.clock(replay.at)} {share} "
    return f" REPLAY {sign} {speed}  {fmt.moment(replay.at)}  {share}  event {done}/{count} "


ACTIONS: tuple[Action, ...] = (
    Action("replay.pause", "pause, or go on", "space", "space", hint=1, short="pause", alone=SCREEN_ONLY),
    Action("replay.next", "one event on", "full_stop", ".", hint=1, short="step", alone=SCREEN_ONLY),
    Action("replay.previous", "one event back", "comma", ",", alone=SCREEN_ONLY),
    Action("replay.forward", "ten seconds on", "right", "→", hint=1, short="10 s on", alone=SCREEN_ONLY),
    Action("replay.back", "ten seconds back", "left", "←", hint=1, short="back", alone=SCREEN_ONLY),
    Action(
        *("replay.time", "go to a time", "g", "g"),
        hint=1,
        short="time",
        command="aster-tui replay FILE --at TIME --json",
    ),
    Action("replay.start", "the beginning", "home", "home", alone=SCREEN_ONLY),
    Action("replay.end", "the end", "end", "end", alone=SCREEN_ONLY),
    Action(*("replay.faster", "faster", "plus,equals_sign", "+"), hint=1, short="faster", alone=SCREEN_ONLY),
    Action("replay.slower", "slower", "minus", "-", hint=1, short="slower", alone=SCREEN_ONLY),
)


def _with(control: str, *arguments: int) -> Handler:
    def do(app: ConsoleApp) -> None:
        replay = app.options.replay
        if replay is not None:
            getattr(replay, control)(*arguments)
            app.refresh_lines()

    return do


def _edge(end: bool) -> Handler:
    def do(app: ConsoleApp) -> None:
        replay = app.options.replay
        if replay is not None:
            replay.seek(replay.end_at if end else replay.start_at)

    return do


def _time(app: ConsoleApp) -> None:
    if app.options.replay is not None:
        from aster_tui.console.replaying import TimeDialog

        app.push_screen(TimeDialog(app.options.replay))


HANDLERS: Mapping[str, Handler] = {
    "replay.pause": _with("pause"),
    "replay.next": _with("step", 1),
    "replay.previous": _with("step", -1),
    "replay.forward": _with("skip", SKIP_MS),
    "replay.back": _with("skip", -SKIP_MS),
    "replay.time": _time,
    "replay.start": _edge(end=False),
    "replay.end": _edge(end=True),
    "replay.faster": _with("faster", 1),
    "replay.slower": _with("faster", -1),
}

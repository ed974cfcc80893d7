"""A recording as an engine: it shows what was, at the time and speed that are chosen, and takes no commands.

It lives on a thread of its own, so that a long way through the tape leaves the console free; a new wish ends
one that is still under way.
"""

from __future__ import annotations

import threading
import time

import structlog

from aster_tui.domain.commands import Command
from aster_tui.domain.recording import RecordingError
from aster_tui.domain.replay import Player, Tape
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.published import Published

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.1
#: Events applied before a new wish is looked for.
AT_ONCE = 500
SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class Replay(Published):
    """Plays a tape. The controls may be used from any thread; what comes of them is in the snapshot."""

    def __init__(self, tape: Tape, *, at: int | None = None) -> None:
        super().__init__(FleetSnapshot(network=tape.header.network, read_only=True))
        self._tape = tape
        self._player = Player(tape)
        self._wake = threading.Condition()
        self._goal: tuple[str, int] | None = ("at", tape.start if at is None else at)
        #: The wish that is being fulfilled.
        self._under_way: tuple[str, int] | None = None
        self._stopped = False
        self._thread: threading.Thread | None = None
        self.failure: str | None = None
        self.paused = False
        self.speed = 1.0
        #: What part of a long way is done, in percent; None when there is none.
        self.progress: int | None = None

    # An engine's port

    def submit(self, command: Command) -> None:
        """What was can not be changed."""

    def start(self) -> None:
        """Begin to play. Safe to call twice."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(5)

    # The controls

    @property
    def start_at(self) -> int:
        """When the recording begins, Unix ms."""
        return self._tape.start

    @property
    def end_at(self) -> int:
        """When it ends."""
        return self._tape.end

    @property
    def at(self) -> int:
        """The moment that is shown, Unix ms."""
        return self._player.at

    @property
    def position(self) -> tuple[int, int]:
        """How many events have come by now, and how many there are."""
        return self._player.position, self._tape.count

    def pause(self, on: bool | None = None) -> None:
        """Pause or go on."""
        with self._wake:
            self.paused = not self.paused if on is None else on
            self._wake.notify()

    def step(self, by: int) -> None:
        """Go some events on or back, and stay there."""
        with self._wake:
            here = self._here("event", self._player.position)
            self._goal = ("event", max(0, min(here + by, self._tape.count)))
            self.paused = True
            self._wake.notify()

    def seek(self, at: int) -> None:
        """Go to a moment; before the beginning and after the end are the beginning and the end."""
        with self._wake:
            self._goal = ("at", max(self._tape.start, min(at, self._tape.end)))
            self._wake.notify()

    def skip(self, milliseconds: int) -> None:
        """Go on or back."""
        with self._wake:
            here = self._here("at", self._player.at)
        self.seek(here + milliseconds)

    def _here(self, kind: str, now: int) -> int:
        """Where the last wish of a kind leads, while it is not fulfilled: two quick steps are two."""
        wish = self._goal or self._under_way
        return wish[1] if wish is not None and wish[0] == kind else now

    def faster(self, by: int) -> None:
        """The next or the previous speed."""
        self.speed = SPEEDS[max(0, min(SPEEDS.index(self.speed) + by, len(SPEEDS) - 1))]

    # The thread

    def _run(self) -> None:
        last = time.monotonic()
        try:
            while True:
                with self._wake:
                    if self._stopped:
                        return
                    if self._goal is None:
                        self._wake.wait(TICK_SECONDS)
                    goal, self._goal = self._goal, None
                    self._under_way = goal
                    if self._stopped:
                        return
                now = time.monotonic()
                elapsed, last = now - last, now
                if goal is not None:
                    self._go(*goal)
                    with self._wake:
                        self._under_way = None
                    last = time.monotonic()
                elif not self.paused:
                    self._play(elapsed)
        except RecordingError as error:
            self.failure = f"the replay ended: {error}"
            self._notify()
        except Exception as error:  # the last line of defence: the console must say so, not stand still
            log.exception("replay ended")
            self.failure = f"the replay ended: {type(error).__name__}: {error}"
            self._notify()

    def _play(self, elapsed: float) -> None:
        player = self._player
        at = min(player.at + int(elapsed * 1000 * self.speed), self._tape.end)
        if at == player.at:
            if at == self._tape.end:
                self.paused = True
            return
        if self._advance(self._tape.first_after(at)):
            player.at = at
            self._publish(player.snapshot())

    def _go(self, kind: str, goal: int) -> None:
        player = self._player
        position = goal if kind == "event" else self._tape.first_after(goal)
        player.aim(position)
        if not self._advance(position):
            return
        if kind == "at":
            player.at = goal
        else:
            player.at = self._tape.time(position - 1) if position else self._tape.start
        self._publish(player.snapshot())

    def _advance(self, position: int) -> bool:
        """Apply up to a position. False when something else was wished for meanwhile."""
        player = self._player
        begun = player.position
        try:
            while not player.advance(position, most=AT_ONCE):
                player.at = self._tape.time(player.position - 1)
                self.progress = (player.position - begun) * 100 // max(1, position - begun)
                if self._goal is not None or self._stopped:
                    self._publish(player.snapshot())
                    return False
        finally:
            self.progress = None
        return True

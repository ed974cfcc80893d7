"""How the console acts: whether it is armed, what it asked the engine for, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aster_tui.domain.views import FleetSnapshot, RequestState, RequestView

if TYPE_CHECKING:  # asking begins with a key: the first frame need not wait for its words
    from aster_tui.domain.commands import Asked, Command

MINUTE_MS = 60_000
#: Ends that an operator must hear of.
BAD: frozenset[RequestState] = frozenset({"failed", "unknown", "unreachable"})


def request_of(snapshot: FleetSnapshot, request_id: str) -> RequestView | None:
    """How a request stands; None while the engine has not taken it."""
    return next((r for r in snapshot.requests if r.request_id == request_id), None)


class Acting:
    """The arming and the requests of one console.

    Args:
        submit: hands a command to the engine.
        disarm_minutes: how long a session stays armed without a key.
    """

    def __init__(self, submit: Callable[[Command], None], disarm_minutes: int) -> None:
        self._submit = submit
        self._idle_ms = disarm_minutes * MINUTE_MS
        #: When arming ends, Unix ms; 0 while disarmed.
        self.armed_until = 0
        self._open: dict[str, None] = {}
        #: The last close-all of this console.
        self.close_all = ""
        #: What stood in the order ticket when it was left.
        self.draft: dict[str, str] = {}

    def armed(self, now: int) -> bool:
        """Whether what adds risk may be asked for at ``now`` (Unix ms). A clock that is set back disarms."""
        return 0 < self.armed_until - now <= self._idle_ms

    def arm(self, now: int) -> None:
        """Arm, or begin to count anew."""
        from aster_tui.domain.commands import Presence

        self.armed_until = now + self._idle_ms
        self._submit(Presence(armed=True))

    def disarm(self) -> None:
        """Disarm; the engine is told and refuses from then on."""
        if self.armed_until:
            from aster_tui.domain.commands import Presence

            self.armed_until = 0
            self._submit(Presence(armed=False))

    def touch(self, now: int) -> None:
        """A key was pressed: whoever types is there."""
        if self.armed(now):
            self.armed_until = now + self._idle_ms

    def ask(self, asked: Asked, *, quiet: bool = False) -> str:
        """Ask the engine for something. Returns the request's id.

        Args:
            quiet: its end is shown where it was asked for, and said nowhere else.
        """
        import secrets

        from aster_tui.domain.commands import CloseAll, Request, SetLock

        request_id = secrets.token_hex(8)
        if isinstance(asked, SetLock) and asked.locked:
            self.disarm()
        if isinstance(asked, CloseAll):
            self.close_all = request_id
        if not quiet:
            self._open[request_id] = None
        self._submit(Request(request_id, asked))
        return request_id

    def look(self, snapshot: FleetSnapshot, now: int) -> list[tuple[str, bool]]:
        """Take note of what happened meanwhile. Returns what is to be said, each with whether it is bad."""
        said: list[tuple[str, bool]] = []
        if self.armed_until and (snapshot.locked or snapshot.read_only or not self.armed(now)):
            locked = snapshot.locked or snapshot.read_only
            said.append(("disarmed" if locked else "disarmed: nothing was typed for a while", False))
            self.disarm()
        if self._open:
            for request in snapshot.requests:
                if request.request_id in self._open and request.state != "running":
                    del self._open[request.request_id]
                    said.append((ended_words(request), request.state in BAD))
        return said


def newest_close_all(snapshot: FleetSnapshot) -> RequestView | None:
    """The close-all that was asked for last, of this console."""
    return next((r for r in snapshot.requests if r.words.startswith("aster-tui close-all")), None)


def ended_words(request: RequestView) -> str:
    """One line: what was asked for and what came of it."""
    words = {"done": "", "unknown": "OUTCOME UNKNOWN: "}.get(request.state, f"{request.state}: ")
    if request.state == "done" and request.message:
        return request.message
    return f"{request.title}: {words}{request.message or request.state}"

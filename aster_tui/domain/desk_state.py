"""What of the fleet state persons make: requests, controls, the audit, who is attached. A reducer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aster_tui.domain import events as ev
from aster_tui.domain.audit import AuditLine
from aster_tui.domain.controls import FLEET
from aster_tui.domain.safeguards import Limits
from aster_tui.domain.views import ConsoleView, RequestView, TradingState

#: How many requests, lines of the audit, and messages of one request are kept.
REQUESTS, AUDIT_LINES, SAID_LINES = 50, 300, 60
#: From the freest to the most restricted.
_ORDER: tuple[TradingState, ...] = ("ACTIVE", "REDUCING", "HALTED")


class DeskState:
    """What operators asked for, and what they set."""

    def __init__(self) -> None:
        self.requests: dict[str, RequestView] = {}
        self.controls: Mapping[str, ev.Control] = {}
        self.untold: tuple[str, ...] = ()
        self.audit: dict[str, AuditLine] = {}
        self.consoles: tuple[ConsoleView, ...] = ()
        self.locked = False
        self.known_here: tuple[tuple[str, str], ...] = ()
        self.limits = Limits()
        self.timers: Mapping[tuple[str, str], int] = {}
        self.timers_ending: tuple[tuple[str, str], ...] = ()
        self.timers_lost: tuple[tuple[str, str], ...] = ()

    def handlers(self) -> dict[type[Any], Callable[[Any], bool]]:
        """What takes each event."""
        return {
            ev.RequestStarted: self._started,
            ev.RequestMoved: self._moved,
            ev.RequestEnded: self._ended,
            ev.ControlsChanged: self._controls_changed,
            ev.AuditWritten: self._audit_written,
            ev.ConsolesSeen: self._consoles_seen,
            ev.LockChanged: self._lock_changed,
            ev.KnownHere: self._known_here,
            ev.LimitsKnown: self._limits_known,
            ev.DeadManChanged: self._dead_man_changed,
        }

    def trading(self, agent_id: str) -> ev.Control:
        """What an agent may do: the fleet's control or its own, whichever is stricter."""
        found = [self.controls.get(key, ev.Control("ACTIVE")) for key in (FLEET, agent_id)]
        return max(found, key=lambda control: _ORDER.index(control.state))

    def requests_shown(self) -> tuple[RequestView, ...]:
        """The requests, newest first."""
        return tuple(reversed(self.requests.values()))

    def audit_shown(self) -> tuple[AuditLine, ...]:
        """The audit's lines, newest first."""
        return tuple(sorted(self.audit.values(), key=lambda line: (line.at, line.seq), reverse=True))

    def _started(self, event: ev.RequestStarted) -> bool:
        key = event.request_id
        self.requests[key] = RequestView(key, event.title, event.words, "running", event.at)
        while len(self.requests) > REQUESTS:
            del self.requests[next(iter(self.requests))]
        return True

    def _moved(self, event: ev.RequestMoved) -> bool:
        known = self.requests.get(event.request_id)
        if known is None or known.state != "running":
            return False
        said = known.said if event.text in known.said[-1:] else (*known.said, event.text)[-SAID_LINES:]
        self.requests[event.request_id] = replace(
            known,
            message=event.text,
            done=event.done,
            total=event.total,
            document=event.document or known.document,
            said=said,
        )
        return True

    def _ended(self, event: ev.RequestEnded) -> bool:
        known = self.requests.get(event.request_id)
        if known is None:
            return False
        self.requests[event.request_id] = replace(
            known, state=event.state, message=event.message, ended_at=event.at, document=event.document
        )
        return True

    def _controls_changed(self, event: ev.ControlsChanged) -> bool:
        changed = (dict(self.controls), self.untold) != (dict(event.controls), event.untold)
        self.controls, self.untold = dict(event.controls), event.untold
        return changed

    def _audit_written(self, event: ev.AuditWritten) -> bool:
        if event.line.hash in self.audit:
            return False  # our own, back from the database
        self.audit[event.line.hash] = event.line
        while len(self.audit) > AUDIT_LINES:
            del self.audit[min(self.audit, key=lambda key: self.audit[key].at)]
        return True

    def _consoles_seen(self, event: ev.ConsolesSeen) -> bool:
        changed = self.consoles != event.consoles
        self.consoles = event.consoles
        return changed

    def _lock_changed(self, event: ev.LockChanged) -> bool:
        changed = self.locked != event.locked
        self.locked = event.locked
        return changed

    def _known_here(self, event: ev.KnownHere) -> bool:
        changed = self.known_here != event.accounts
        self.known_here = event.accounts
        return changed

    def _limits_known(self, event: ev.LimitsKnown) -> bool:
        changed = self.limits != event.limits
        self.limits = event.limits
        return changed

    def _dead_man_changed(self, event: ev.DeadManChanged) -> bool:
        before = self.timers, self.timers_ending, self.timers_lost
        now = dict(event.timers), event.ending, event.lost
        self.timers, self.timers_ending, self.timers_lost = now
        return before != now

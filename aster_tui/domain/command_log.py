"""The command log: every request of an operator, here and elsewhere, with what came of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aster_tui.domain.audit import AuditLine
from aster_tui.domain.views import RequestView


@dataclass(frozen=True, slots=True)
class CommandView:
    """One request. ``words`` is the command line that does the same (empty where there is none); ``state``
    is ``asked`` while only its begin is known; times in Unix ms."""

    key: str
    at: int
    operator: str
    host: str
    source: str
    title: str
    words: str
    state: str
    answer: str = ""
    ended_at: int = 0
    mine: bool = False


def command_log(requests: Sequence[RequestView], audit: Iterable[AuditLine]) -> tuple[CommandView, ...]:
    """All of them, newest first."""
    found: dict[str, CommandView] = {}
    for line in audit:
        known = found.get(line.request_id)
        found[line.request_id] = _with(known, line) if known is not None else _of(line)
    for request in requests:
        known = found.get(request.request_id)
        base = known or CommandView(
            request.request_id, request.started_at, "", "", "console", request.title, request.words, "asked"
        )
        found[request.request_id] = replace(
            base,
            state=request.state,
            answer=request.message,
            ended_at=request.ended_at or base.ended_at,
            mine=True,
        )
    return tuple(sorted(found.values(), key=lambda view: (view.at, view.key), reverse=True))


def _of(line: AuditLine) -> CommandView:
    ended = line.phase == "answered"
    return CommandView(
        line.request_id,
        line.at,
        line.operator,
        line.host,
        line.source,
        line.title,
        line.words,
        line.outcome if ended else "asked",
        line.answer,
        line.at if ended else 0,
    )


def _with(known: CommandView, line: AuditLine) -> CommandView:
    if line.phase == "asked":
        return replace(known, at=line.at)
    return replace(known, state=line.outcome, answer=line.answer, ended_at=line.at)

"""The operator's requests: each written into the audit, carried out once, and answered with what came back.

Every answer is the document that the command line prints; ``message`` is its one line for people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from aster_tui.domain.audit import AuditLine
from aster_tui.domain.commands import (
    HARMLESS,
    Asked,
    CloseAll,
    Request,
    SetLock,
    SetTrading,
    adds_risk,
    command_line,
)
from aster_tui.domain.events import AuditWritten, LockChanged, RequestEnded, RequestMoved, RequestStarted
from aster_tui.domain.requests import title_of
from aster_tui.domain.views import RequestState
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.identity import Identity
from aster_tui.engine.supervise import Tasks
from aster_tui.logs import redact
from aster_tui.store.audit import AuditFile
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal

log = structlog.get_logger(__name__)

#: Commands that nothing may hold up: neither a lock of the disk nor want of arming.
EMERGENCY = (CloseAll,)
#: How long an audit line that nothing depends on may take.
NOTE_SECONDS = 5.0
Phase = Literal["asked", "answered"]
NOT_ARMED = "this console is not armed: press a first"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    state: RequestState
    message: str
    document: Mapping[str, Any] = field(default_factory=dict)


class Refused(Exception):
    """It was not tried. ``str`` is the reason, for people; ``details`` go into the answer's document."""

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.details = details


Move = Callable[..., None]
Handler = Callable[[Any, Move], Awaitable[Answer]]


def answer(state: RequestState, message: str, **details: Any) -> Answer:
    """An answer with its document."""
    document = {"ok": state == "done", "code": state, "message": message, **details}
    return Answer(state, message, document)


class Refuser:
    """Answers every request with a refusal: what a process that may change nothing has instead of an
    operator."""

    def __init__(self, core: Core, why: str) -> None:
        self._core = core
        self._why = why

    def ask(self, request: Request) -> None:
        """Refuse a request."""
        names = {key: agent.name for key, agent in self._core.state.agents.items()}
        title, words = title_of(request.asked, names), command_line(request.asked, names)
        at = now_ms()
        refused = answer("refused", self._why)
        self._core.emit(RequestStarted(at, request.request_id, title, words))
        self._core.emit(RequestEnded(at, request.request_id, "refused", self._why, refused.document))

    def cancel(self, request_id: str) -> None:
        """There is nothing to cancel."""


class Operator:
    """Carries out what persons ask for.

    Args:
        handlers: what carries out each kind of command.
        armed: whether this console may add risk now.
        chain: the audit of this machine.
    """

    def __init__(
        self,
        core: Core,
        journal: Journal,
        chain: AuditFile,
        who: Identity,
        handlers: Mapping[type[Any], Handler],
        *,
        armed: Callable[[], bool],
    ) -> None:
        self._core = core
        self._journal = journal
        self._chain = chain
        self._who = who
        self._handlers: dict[type[Any], Handler] = {SetLock: self._lock, **handlers}
        self._armed = armed
        self._tasks = Tasks(core)
        self._seen: set[str] = set()
        #: Asked for from other threads, so it is only ever replaced.
        self._emergencies: frozenset[str] = frozenset()

    @property
    def emergency(self) -> bool:
        """Whether something runs that must not be broken off."""
        return bool(self._emergencies)

    def ask(self, request: Request) -> None:
        """Take a request; the same one twice is one."""
        if request.request_id in self._seen:
            return
        self._seen.add(request.request_id)
        if isinstance(request.asked, EMERGENCY):
            self._emergencies |= {request.request_id}
            self._tasks.start(f"emergency {request.request_id}", self._carry(request))
        else:
            self._tasks.start(f"request {request.request_id}", self._carry(request))

    def cancel(self, request_id: str) -> None:
        """Stop a request that only waits or reads; what was sent is followed to its end all the same."""
        name = f"request {request_id}"
        if name in self._tasks:
            # Not awaited: its own end tells of it.
            self._tasks.stop(name)

    async def close(self, patience_s: float) -> None:
        """Wait for emergencies to their end, for others a little; then end them."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while self._tasks.names():
            if not self.emergency and asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.05)
        await self._tasks.close()
        self._chain.close()

    async def _carry(self, request: Request) -> None:
        asked, key = request.asked, request.request_id
        names = {agent_id: agent.name for agent_id, agent in self._core.state.agents.items()}
        title, words = title_of(asked, names), command_line(asked, names)
        self._core.emit(RequestStarted(now_ms(), key, title, words))

        def move(text: str, done: int = 0, total: int = 0, document: Mapping[str, Any] | None = None) -> None:
            self._core.emit(RequestMoved(now_ms(), key, redact(text), done, total, document or {}))

        given: Answer | None = None
        try:
            given = await self._audited(request, title, words, move)
        except asyncio.CancelledError:
            given = answer("failed", "it was stopped before its end")
            raise
        except Refused as refused:
            given = answer("refused", str(refused), **refused.details)
        except Exception as error:  # the wall: a bug must leave an answer, and the console its work
            log.exception("a request broke", request=key)
            given = answer("failed", f"something unexpected: {type(error).__name__}: {error}")
        finally:
            if given is not None:
                await asyncio.shield(self._answered(request, title, words, given))
            self._emergencies -= {key}

    async def _audited(self, request: Request, title: str, words: str, move: Move) -> Answer:
        asked = request.asked
        why = self._forbidden(request)
        if isinstance(asked, EMERGENCY) and type(asked) in self._handlers:
            # Written down beside it: no disk holds up a close-all.
            self._tasks.start(f"audit {request.request_id}", self._note(request, title, words, "asked"))
            if why:
                raise Refused(why)
            return await self._handlers[type(asked)](asked, move)
        try:
            await self._write(request, title, words, "asked", "", "")
        except StoreError as error:
            # Nothing that adds risk happens unseen; what reduces it is not held up by a full disk.
            if adds_risk(asked):
                raise Refused(str(error), remedy=error.remedy) from None
            self._core.problem("audit", str(error), remedy=error.remedy)
        if why:
            raise Refused(why)
        handler = self._handlers.get(type(asked))
        if handler is None:
            raise Refused(f"{title} is not possible in this process")
        return await handler(asked, move)

    def _forbidden(self, request: Request) -> str:
        asked = request.asked
        if self._core.state.desk.locked and not isinstance(asked, (*HARMLESS, SetLock)):
            return "this console is locked to read-only: unlock it first"
        if request.source == "console" and adds_risk(asked) and not self._armed():
            return NOT_ARMED
        return ""

    async def _answered(self, request: Request, title: str, words: str, given: Answer) -> None:
        message = redact(given.message)
        ended = RequestEnded(now_ms(), request.request_id, given.state, message, given.document)
        if isinstance(request.asked, EMERGENCY):
            self._core.emit(ended)  # said first: a disk that hangs must not keep "flat" back
        await self._note(request, title, words, "answered", given)
        if not isinstance(request.asked, EMERGENCY):
            self._core.emit(ended)

    async def _note(
        self, request: Request, title: str, words: str, phase: Phase, given: Answer | None = None
    ) -> None:
        """A line of the audit that nothing waits for; where it cannot be written, that is said."""
        outcome, text = (given.state, given.message) if given is not None else ("", "")
        try:
            async with asyncio.timeout(NOTE_SECONDS):
                await self._write(request, title, words, phase, outcome, text)
        except TimeoutError:
            self._core.problem("audit", "the disk does not answer: the audit lacks a line")
        except StoreError as error:
            self._core.problem("audit", str(error), remedy=error.remedy)

    async def _write(
        self, request: Request, title: str, words: str, phase: Phase, outcome: str, text: str
    ) -> None:
        line = AuditLine(
            seq=0,
            at=now_ms(),
            operator=self._who.operator,
            host=self._who.host,
            source=request.source,
            request_id=request.request_id,
            phase=phase,
            title=title,
            words=redact(words),
            network=self._core.state.network,
            outcome=outcome,
            answer=redact(text)[:500],
        )
        placed = await asyncio.to_thread(self._chain.append, line)
        self._core.emit(AuditWritten(placed.at, placed))
        try:
            # The journal brings it into the database, whenever that can be reached.
            await self._journal.note("audit", placed.at, {n: getattr(placed, n) for n in placed.__slots__})
        except StoreError as error:
            self._core.problem("journal", str(error), remedy=error.remedy)

    async def _lock(self, asked: SetLock, move: Move) -> Answer:
        self._core.emit(LockChanged(now_ms(), asked.locked))
        words = "locked to read-only" if asked.locked else "unlocked: it may change things again"
        return answer("done", f"this console is {words}")


def is_resume(asked: Asked) -> bool:
    """Whether a person lets trading go on."""
    return isinstance(asked, SetTrading) and asked.state == "ACTIVE"

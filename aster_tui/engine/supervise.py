"""Keeps the parts of the engine running: one owner per task, and no part takes another down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from aster_tui.engine.core import Core

log = structlog.get_logger(__name__)

#: Pause before a part that broke is started again.
RESTART_SECONDS = 2.0


async def keep_running(core: Core, name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run ``part`` for ever. What it did not expect becomes one line in the errors pane and a restart."""
    while True:
        try:
            await part()
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the wall between parts: a bug in one feed must not stop the others
            log.exception("a part of the engine broke", part=name)
            cause = _innermost(error)
            core.problem(
                "console",
                f"{name} broke: {type(cause).__name__}: {cause}",
                remedy="it was started again; please report it, the log has the details",
            )
            await asyncio.sleep(RESTART_SECONDS)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Tasks:
    """A named set of tasks with one owner; :meth:`close` ends them all and waits.

    What a task did not expect becomes one line in the errors pane: nobody else awaits it.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def names(self) -> tuple[str, ...]:
        """The names of the tasks that run."""
        return tuple(name for name, task in self._tasks.items() if not task.done())

    def start(self, name: str, work: Awaitable[None]) -> None:
        """Start a task; one of the same name must have ended before."""
        if name in self:
            if isinstance(work, Coroutine):
                work.close()
            raise RuntimeError(f"{name} is running already")
        task = self._tasks[name] = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)

    def stop(self, name: str) -> None:
        """Cancel one task without waiting for it."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    async def end(self, name: str) -> None:
        """Cancel one task and wait for it."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})  # unlike awaiting the task, this lets our own cancellation through

    async def close(self) -> None:
        """Cancel every task and wait for all."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            cause = _innermost(error)
            log.error("a task broke", exc_info=error)
            self._core.problem(
                "console",
                f"something unexpected: {type(cause).__name__}: {cause}",
                remedy="please report it; the log has the details",
            )

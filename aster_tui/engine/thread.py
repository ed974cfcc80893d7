"""The engine on its own thread and event loop.

A stalled terminal blocks the console's loop for seconds; nothing of the exchange or the database may
wait for that. Commands cross by a thread-safe queue, and what comes back is one immutable snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from aster_tui.domain.commands import Command
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.published import Published

log = structlog.get_logger(__name__)

#: How long :meth:`EngineThread.stop` waits for sockets and the database to be closed.
STOP_SECONDS = 5.0


class Body(Protocol):
    """What runs on the engine's loop."""

    async def run(self, publish: Callable[[FleetSnapshot], None]) -> None:
        """Run until cancelled; hand every new snapshot to ``publish``."""

    def submit(self, command: Command) -> None:
        """Take a command; called on the engine's loop."""

    @property
    def emergency(self) -> bool:
        """Whether something runs that must not be broken off."""


class EngineThread(Published):
    """Starts, feeds and stops an engine body on a thread of its own.

    Args:
        make: builds the body. It is called on the engine's thread, inside the running loop, so that
            heavy imports and clients bound to a loop happen there and never on the console's.
        first: the snapshot to show before the engine said anything.
    """

    def __init__(self, make: Callable[[], Awaitable[Body]], first: FleetSnapshot) -> None:
        super().__init__(first)
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._body: Body | None = None
        self._early: list[Command] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.failure: str | None = None

    def submit(self, command: Command) -> None:
        """Hand a command to the engine, from any thread. Commands given before the start are kept."""
        with self._lock:
            loop, body = self._loop, self._body
            if loop is None or body is None:
                self._early.append(command)
                return
        with contextlib.suppress(RuntimeError):  # the loop closed meanwhile: there is nobody left to ask
            loop.call_soon_threadsafe(body.submit, command)

    def start(self) -> None:
        """Start the thread. Safe to call twice."""
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel what runs, wait until sockets are closed, at most :data:`STOP_SECONDS`; an emergency is
        waited for to its own end."""
        with self._lock:
            self._stopping = True
            thread, loop, main = self._thread, self._loop, self._main
        if thread is None:
            return
        if loop is not None and main is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(main.cancel)
        if thread is not threading.current_thread():
            self._join(thread)

    @property
    def emergency(self) -> bool:
        """Whether something runs that must not be broken off. Cheap, from any thread."""
        body = self._body
        return body is not None and self._thread is not None and self._thread.is_alive() and body.emergency

    def _join(self, thread: threading.Thread) -> None:
        if self.emergency:
            with contextlib.suppress(OSError):  # the terminal may be gone: it goes on all the same
                print(
                    "aster-tui: closing all goes on; this ends when it is done", file=sys.stderr, flush=True
                )
        patience = time.monotonic() + STOP_SECONDS
        while thread.is_alive() and (self.emergency or time.monotonic() < patience):
            thread.join(0.1)
            if self.emergency:
                patience = time.monotonic() + STOP_SECONDS
        if thread.is_alive():
            log.warning("engine did not stop in time", seconds=STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except asyncio.CancelledError:
            pass
        except Exception as error:  # the last line of defence: the console must say so, not vanish
            # Our own exceptions speak to people; a foreign one is named for whoever has to mend it.
            ours = type(error).__module__.startswith("aster_tui.")
            self.failure = f"the engine stopped: {'' if ours else f'{type(error).__name__}: '}{error}"
            log.exception("engine stopped")
            self._notify()

    async def _live(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        body = await self._make()
        with self._lock:
            self._body = body
            early, self._early = self._early, []
        for command in early:
            body.submit(command)
        await body.run(self._publish)

"""What a command says, hears and writes where nothing may hold it up: on threads that no one waits for."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from contextlib import suppress

import click

from aster_tui.engine.apart import on_a_thread


class Voice:
    """Says things on stderr, by a thread of its own: a terminal that does not read, or is gone, holds nothing
    up. What it cannot say in time is left out."""

    MOST = 200

    def __init__(self) -> None:
        self._lines: queue.Queue[str] = queue.Queue(self.MOST)
        threading.Thread(target=self._speak, daemon=True, name="voice").start()

    def say(self, words: str, *, end: str = "\n") -> None:
        """Say a line, soon."""
        with suppress(queue.Full):
            self._lines.put_nowait(words + end)

    def finish(self, patience_s: float = 0.5) -> None:
        """Give what was said a moment to get out."""
        joining = threading.Thread(target=self._lines.join, daemon=True)
        joining.start()
        joining.join(patience_s)

    def _speak(self) -> None:
        while True:
            line = self._lines.get()
            with suppress(OSError, ValueError):
                click.echo(line, err=True, nl=False)
            self._lines.task_done()


async def typed_line() -> str:
    """A line that the operator types; empty when there is nobody."""
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    on_a_thread(sys.stdin.readline, done)
    try:
        return await done
    except (OSError, ValueError):
        return ""

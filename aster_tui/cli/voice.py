"""What a command says, hears and writes where nothing may hold it up: on threads that no one waits for."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click


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


def on_a_thread(call: Callable[[], Any], done: asyncio.Future[Any]) -> None:
    """Run what may hang on a thread that does not hold up the end of the program; ``done`` is told, on the
    loop, what came of it."""
    loop = asyncio.get_running_loop()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = call()
        except Exception as error:  # handed to whoever waits
            failure = error
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()


async def typed_line() -> str:
    """A line that the operator types; empty when there is nobody."""
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    on_a_thread(sys.stdin.readline, done)
    try:
        return await done
    except (OSError, ValueError):
        return ""

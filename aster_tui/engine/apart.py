"""What may hang (a disk, a keystore, a key command, a keyring that asks somebody), on threads that nobody
waits for: neither whoever asked, nor the end of the program, nor others in a queue behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


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


async def apart(call: Callable[[], T], seconds: float) -> T:
    """What ``call`` gives, if it gives it in time.

    Raises:
        TimeoutError: not yet; it goes on, and nobody waits for it any more. What ``call`` raises is raised.
    """
    done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    on_a_thread(call, done)
    async with asyncio.timeout(seconds):
        return await done

"""The terminal's troubles: one that does not read, and one that is gone."""

from __future__ import annotations

import errno
import os
import queue
import signal
import sys
import termios
import threading
from typing import Any

#: Frames waiting in Textual's writer thread above which painting is held. Its queue holds 30, and a full
#: one blocks the event loop for as long as the terminal does not read (measured: 8.8 s).
HELD_ABOVE = 4


def is_stalled(driver: Any) -> bool:
    """Whether the terminal is behind with reading."""
    writer = getattr(driver, "_writer_thread", None)
    frames = getattr(writer, "_queue", None)
    return frames is not None and frames.qsize() > HELD_ABOVE


def has_taken_all(driver: Any) -> bool:
    """Whether everything that was painted is on its way to the terminal."""
    frames = getattr(getattr(driver, "_writer_thread", None), "_queue", None)
    return frames is None or frames.empty()


def turn_away(driver: Any) -> None:
    """Send all further output nowhere, also what a terminal that does not read is holding up right now.

    A blocked write holds on to its terminal; a signal to its thread interrupts it, and Python tries again,
    by then on the null device. The console's handlers of SIGTERM must be installed. A writer that the error
    of a gone terminal has ended takes nothing more, and Textual would wait for room in its full queue for
    ever: what is in it, and what still comes, is swallowed.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if os.isatty(descriptor):
            os.dup2(null, descriptor)
    os.close(null)
    writer = getattr(driver, "_writer_thread", None)
    if writer is not None and writer.is_alive():
        signal.pthread_kill(writer.ident, signal.SIGTERM)
    elif writer is not None:
        threading.Thread(target=_swallow, args=(writer._queue,), name="swallow", daemon=True).start()


def _swallow(frames: queue.Queue[str | None]) -> None:
    while frames.get() is not None:  # None is Textual's word for the end
        pass


def none_there() -> str:
    """Why there is nothing to show a console on and to type into, or nothing. Keys come from standard input,
    and the screen goes to standard error: the output may go elsewhere."""
    for stream, name in ((sys.__stdin__, "input"), (sys.__stderr__, "error")):
        try:
            if stream is not None and os.isatty(stream.fileno()):
                continue
        except (ValueError, OSError):
            pass
        return f"the console needs a terminal, and standard {name} is none: over SSH say ssh -t"
    return ""


def let_go() -> None:
    """The terminal is gone: what would be read from it or written to it goes to and comes from nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def is_gone() -> bool:
    """Whether the terminal this process was started on has hung up."""
    for stream in (sys.__stdin__, sys.__stderr__):
        try:
            descriptor = stream.fileno() if stream is not None else -1
        except (ValueError, OSError):
            continue
        if descriptor >= 0 and os.isatty(descriptor):
            return False
        if descriptor >= 0:
            try:
                termios.tcgetattr(descriptor)
            except termios.error as error:
                # ENOTTY is a pipe or a file, so never was a terminal; EIO is one that hung up.
                return bool(error.args[0] == errno.EIO)
    return False


def notify(driver: Any, text: str) -> None:
    """Have the terminal tell the desktop (OSC 9), where it can; others leave it out."""
    if driver is not None:
        driver.write(f"\x1b]9;{''.join(c for c in text if c.isprintable())[:200]}\x07")

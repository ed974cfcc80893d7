"""The terminal's troubles: one that does not read, and one that is gone."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import termios
from typing import Any

#: Frames waiting in Textual's writer thread above which painting is held. Its queue holds 30, and a full
#: one blocks the event loop for as long as the terminal does not read (measured: 8.8 s).
HELD_ABOVE = 4


def is_stalled(driver: Any) -> bool:
    """Whether the terminal is behind with reading."""
    writer = getattr(driver, "_writer_thread", None)
    frames = getattr(writer, "_queue", None)
    return frames is not None and frames.qsize() > HELD_ABOVE


def drop_output() -> None:
    """Throw away what the terminal has not read, so that a write that waits for it returns."""
    for stream in (sys.__stdin__, sys.__stderr__):
        # A stream that is no terminal, or one that is gone, holds nobody up.
        with contextlib.suppress(ValueError, OSError, termios.error):
            if stream is not None:
                termios.tcflush(stream.fileno(), termios.TCOFLUSH)


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

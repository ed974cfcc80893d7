"""A real terminal for tests: a child process on a pty, its screen kept by a terminal emulator."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pyte


class Terminal:
    """Runs a command on a pty and reads what it paints.

    ``received`` counts the bytes; :meth:`ignore` stops reading, as a hung SSH session does.
    """

    def __init__(self, command: list[str], columns: int = 120, rows: int = 40, **environment: str) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.received = 0
        #: All that came, as it came.
        self.raw = bytearray()
        self._master, child = pty.openpty()
        self.resize(columns, rows)
        kept = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):  # the pty says how large it is
            kept.pop(name, None)
        self.process = subprocess.Popen(
            command,
            stdin=child,
            stdout=child,
            stderr=child,
            env={**kept, **environment},
            preexec_fn=_own_terminal,
            close_fds=True,
        )
        self.child = child
        os.set_blocking(self._master, False)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def read(self, seconds: float = 0.05) -> bool:
        """Read what is there, waiting at most this long. Whether anything came."""
        data = self.take(seconds)
        self.feed(data)
        return bool(data)

    def take(self, seconds: float) -> bytes:
        """What came, not yet on the screen: the emulator needs longer for it than the child."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return b""
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the child closed its side
            return b""
        self.received += len(data)
        self.raw += data
        return data

    def feed(self, data: bytes) -> None:
        """Put what was taken on the screen."""
        self._stream.feed(data)

    def text(self) -> str:
        """The screen."""
        return "\n".join(self._screen.display)

    def colours(self) -> set[str]:
        """The colours of its letters, in hexadecimal figures."""
        return {cell.fg for row in self._screen.buffer.values() for cell in row.values()}

    def until(self, condition: Callable[[str], object], patience: float = 60.0) -> str:
        """Read until the screen satisfies ``condition``; gives the screen."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.read()
            if condition(self.text()):
                return self.text()
            if self.process.poll() is not None and not self.read(0):
                break
        raise AssertionError(f"did not appear (exit {self.process.poll()}):\n{self.text()}")

    def wait(self, patience: float = 30.0) -> int:
        """The exit code, reading on so that the child can write its farewell."""
        deadline = time.monotonic() + patience
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not end:\n{self.text()}")
            self.read()
        while self.read(0.05):
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the terminal, as a dropped SSH connection does."""
        os.close(self.child)
        os.close(self._master)

    def close(self) -> None:
        """End the child, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self.child, self._master):
            try:
                os.close(descriptor)
            except OSError:
                continue


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def show(*arguments: str) -> list[str]:
    """The command that shows the made-up fleet."""
    return [sys.executable, "-m", "tests.console.show", *arguments]

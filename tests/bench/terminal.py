"""What the console costs a terminal while 200 cells change ten times a second, and how soon a key shows.

A child process on a pty; its bytes are counted, and the time from writing a key to the first byte that
moves the cursor's mark is taken from the emulated screen.
"""

from __future__ import annotations

import json
import random
import statistics
import time

from tests.console.pty_terminal import Terminal, show

#: A key that does not show within this is lost.
SHOWN_SECONDS = 0.5


def measure(seconds: float = 6.0, keys: int = 60) -> dict[str, float]:
    """Bytes per second on the terminal, the child's CPU share, and key-to-paint in ms."""
    terminal = Terminal(show("--moving"), 160, 50)
    try:
        terminal.until(lambda text: "Positions 100" in text)
        terminal.press("2")
        terminal.until(lambda text: _cursor(text, 0) is not None)
        _listen(terminal, 1.0)
        before, busy, started = terminal.received, _cpu(terminal.process.pid), time.perf_counter()
        _listen(terminal, seconds)
        elapsed = time.perf_counter() - started
        rate = (terminal.received - before) / elapsed
        load = (_cpu(terminal.process.pid) - busy) / elapsed * 100
        times = sorted(_key(terminal) for _ in range(keys))
        return {
            "bytes_per_s": round(rate),
            "cpu_percent": round(load, 1),
            "key_to_paint_median_ms": round(statistics.median(times), 1),
            "key_to_paint_p95_ms": round(times[int(len(times) * 0.95)], 1),
        }
    finally:
        terminal.close()


def _listen(terminal: Terminal, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        terminal.read(0.02)


def _key(terminal: Terminal) -> float:
    """One cursor movement, at a moment that has nothing to do with the console's clock."""
    _listen(terminal, random.uniform(0.03, 0.13))
    here = _cursor(terminal.text(), 0)
    key = "j" if here is None or here < 12 else "g"
    started = time.perf_counter()
    terminal.press(key)
    came: list[tuple[float, bytes]] = []
    while time.perf_counter() - started < SHOWN_SECONDS:
        if data := terminal.take(0.002):
            came.append((time.perf_counter(), data))
    # The emulator is slower than the console: it draws when all has come.
    shown = None
    for at, data in came:
        terminal.feed(data)
        if shown is None and _cursor(terminal.text(), 0) != here:
            shown = at
    if shown is None:
        raise AssertionError("a key did not show")
    return (shown - started) * 1000


def _cursor(text: str, start: int) -> int | None:
    """The line of the positions pane that has the cursor's mark."""
    for number, line in enumerate(text.splitlines()[start:]):
        if "▸" in line[60:]:
            return number
    return None


def _cpu(pid: int) -> float:
    """Seconds of processor time a process has used; 0 where /proc is not there."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    import os

    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    print(json.dumps(measure()))

"""From process start to the first painted frame: the console against a minimal Textual app, in turns."""

from __future__ import annotations

import json
import statistics
import sys
import time

from tests.console.pty_terminal import Terminal

MINIMAL = """
from textual.app import App
from textual.widget import Widget
class Word(Widget):
    def render(self): return "FIRSTFRAME"
class Minimal(App):
    def compose(self): yield Word()
Minimal().run()
"""
CONSOLE = """
from tests.console.scripted import Scripted, fleet
from aster_tui.console.run import run_console
run_console(Scripted(fleet(positions=200, orders=200, errors=60)))
"""


def measure(rounds: int = 9) -> dict[str, float]:
    """Medians in ms, and their ratio; the two take turns so that a busy machine slows both."""
    _frame(MINIMAL, "FIRSTFRAME")
    _frame(CONSOLE, "Positions")  # both once for the disk's sake
    minimal, console = [], []
    for _ in range(rounds):
        minimal.append(_frame(MINIMAL, "FIRSTFRAME"))
        console.append(_frame(CONSOLE, "Positions"))
    base, ours = statistics.median(minimal), statistics.median(console)
    return {"minimal_ms": round(base), "console_ms": round(ours), "ratio": round(ours / base, 2)}


def _frame(code: str, word: str) -> float:
    started = time.perf_counter()
    terminal = Terminal([sys.executable, "-c", code], 160, 50)
    try:
        terminal.until(lambda text: word in text)
        return (time.perf_counter() - started) * 1000
    finally:
        terminal.close()


if __name__ == "__main__":
    print(json.dumps(measure()))

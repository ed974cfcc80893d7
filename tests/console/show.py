"""The console on a made-up fleet: ``python -m tests.console.show [--moving] [--watch] [--beats FILE]``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from aster_tui.console.app import ConsoleApp
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.run import run_console
from tests.console.scripted import NOW, Moving, Scripted, fleet


class Beating(ConsoleApp):
    """Keeps the longest gap of its own event loop, in ms."""

    gap = 0.0
    _last = 0.0

    def on_mount(self) -> None:
        # Textual calls the base class's handler itself.
        self._last = time.monotonic()
        self.set_interval(0.05, self._beat)

    def _beat(self) -> None:
        now = time.monotonic()
        self.gap, self._last = max(self.gap, (now - self._last) * 1000), now


if __name__ == "__main__":
    port = Moving() if "--moving" in sys.argv else Scripted(fleet(read_only="--watch" in sys.argv))
    ahead = time.time_ns() // 1_000_000 - NOW
    port.show(feeds=tuple(type(f)(f.name, f.state, NOW + ahead, f.detail) for f in port.snapshot().feeds))
    options = ConsoleOptions(stays="--stay" in sys.argv, mouse="--no-mouse" not in sys.argv)
    app = Beating(port, options=options)
    code = run_console(port, app=app, options=options)
    if "--beats" in sys.argv:
        engine_gap = max(getattr(port, "beats", [0.0]), default=0.0)
        Path(sys.argv[sys.argv.index("--beats") + 1]).write_text(f"{engine_gap} {app.gap}")
    sys.exit(code)

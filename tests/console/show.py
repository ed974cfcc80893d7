"""The console on a made-up fleet: ``python -m tests.console.show [--moving] [--watch]``."""

from __future__ import annotations

import sys
import time

from aster_tui.console.run import run_console
from tests.console.scripted import NOW, Moving, Scripted, fleet

if __name__ == "__main__":
    port = Moving() if "--moving" in sys.argv else Scripted(fleet(read_only="--watch" in sys.argv))
    ahead = time.time_ns() // 1_000_000 - NOW
    port.show(feeds=tuple(type(f)(f.name, f.state, NOW + ahead, f.detail) for f in port.snapshot().feeds))
    if "--beats" in sys.argv:
        import atexit

        def report() -> None:
            with open(sys.argv[sys.argv.index("--beats") + 1], "w") as file:
                print(max(getattr(port, "beats", [0.0]), default=0.0), file=file)

        atexit.register(report)
    sys.exit(run_console(port))

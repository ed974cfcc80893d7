"""Draws docs/console.svg from a running demo: ``python -m tests.console.draw docs/console.svg``."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from aster_tui.console.picture import picture
from aster_tui.demo.companion import Companion
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.engine import Engine
from aster_tui.engine.thread import EngineThread


def demo_snapshot(seconds: float) -> FleetSnapshot:
    """What a demo looks like after a while."""
    companion = Companion(seed=1, agents=8, read_only=False)

    async def make() -> Any:
        ready = await companion.ready()
        return Engine(ready.settings, ready.environment)

    companion.start()
    engine = EngineThread(make, FleetSnapshot())
    engine.start()
    try:
        time.sleep(seconds)
        return engine.snapshot()
    finally:
        engine.stop()
        companion.stop()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(asyncio.run(picture(demo_snapshot(16))) + "\n")

"""The heart of the engine: events in, state, one snapshot per tick out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import structlog

from aster_tui.domain.events import ErrorRaised, Event, FeedChanged
from aster_tui.domain.fleet import FleetState
from aster_tui.domain.fleet_views import snapshot
from aster_tui.domain.views import FeedState, FleetSnapshot
from aster_tui.engine.clock import now_ms
from aster_tui.logs import redact

__all__ = ["Core", "Watchdog", "now_ms"]

log = structlog.get_logger(__name__)

#: Snapshots are published at most this often: digits an operator can read, and a quiet terminal.
TICK_SECONDS = 0.1


def sync_stale_ms(sync_seconds: int) -> int:
    """After how many ms without a sync an agent counts as not in sync."""
    return max(60, 3 * sync_seconds) * 1000


class Core:
    """Owns the fleet state. Lives on the engine's loop; everything else only emits events to it."""

    def __init__(self, *, network: str, read_only: bool, initial_balance: Decimal, sync_seconds: int) -> None:
        self.state = FleetState(network=network, read_only=read_only, initial_balance=initial_balance)
        self._sync_stale_ms = sync_stale_ms(sync_seconds)
        self._listeners: list[Callable[[Event], None]] = []
        self._recorder: Callable[[int, Event], None] | None = None
        self._starting: dict[str, None] = {}
        self._dirty = asyncio.Event()
        self._dirty.set()

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Have ``listener`` called after each event that changed something, on the engine's loop."""
        self._listeners.append(listener)

    def record(self, recorder: Callable[[int, Event], None]) -> None:
        """Have ``recorder`` called with every event and its time, before it is applied."""
        self._recorder = recorder

    def emit(self, event: Event) -> None:
        """Apply one event and tell the listeners."""
        if self._recorder is not None:
            self._recorder(now_ms(), event)
        if not self.state.apply(event):
            return
        self._dirty.set()
        if isinstance(event, ErrorRaised):
            log.warning(
                "problem",
                source=event.source,
                agent=event.agent,
                code=event.code,
                message=event.message,
                raw=event.raw,
            )
        elif isinstance(event, FeedChanged):
            log.info("feed", name=event.name, state=event.state, detail=event.detail)
        for listener in self._listeners:
            listener(event)

    def expect(self, name: str) -> None:
        """A part has been started that has neither answered nor failed yet."""
        self._starting[name] = None
        self._dirty.set()

    def settle(self, name: str) -> None:
        """A part has answered or failed for the first time."""
        if name in self._starting:
            del self._starting[name]
            self._dirty.set()

    def feed(self, name: str, state: FeedState, detail: str = "") -> None:
        """Say that a feed changed its state (told once, not every second)."""
        known = self.state.feeds.get(name)
        if known is None or (known.state, known.detail) != (state, detail):
            self.emit(FeedChanged(name, state, now_ms(), redact(detail)))

    def problem(
        self,
        source: str,
        message: str,
        *,
        agent: str | None = None,
        code: str = "",
        remedy: str = "",
        raw: str = "",
    ) -> None:
        """Raise one line in the errors pane, without secrets."""
        self.emit(
            ErrorRaised(
                now_ms(),
                source,
                redact(message),
                agent=agent,
                code=code,
                remedy=remedy,
                raw=redact(raw)[:2000],
            )
        )

    def snapshot(self) -> FleetSnapshot:
        """The fleet now."""
        seen = snapshot(self.state, now_ms(), sync_stale_ms=self._sync_stale_ms)
        return replace(seen, starting=tuple(self._starting))

    async def publish_on_a_clock(self, publish: Callable[[FleetSnapshot], None]) -> None:
        """Hand a snapshot to ``publish`` after changes, at most every :data:`TICK_SECONDS`."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            publish(self.snapshot())
            await asyncio.sleep(TICK_SECONDS)


class Watchdog:
    """Marks feeds stale that nothing was heard from for too long, and live again when they speak."""

    def __init__(self, core: Core, stale_seconds: int) -> None:
        self._core = core
        self._stale_ms = stale_seconds * 1000
        self._limits: dict[str, int] = {}
        self._words: dict[str, str] = {}

    def watch(self, feed: str, stale_ms: int | None = None, *, words: str = "nothing heard") -> None:
        """Watch a feed that is to speak at least every ``stale_ms`` (default: the setting).

        ``words`` say what it means when it does not.
        """
        self._limits[feed] = stale_ms or self._stale_ms
        self._words[feed] = words

    def forget(self, feed: str) -> None:
        """Stop watching a feed."""
        self._limits.pop(feed, None)

    async def run(self) -> None:
        """Look once a second."""
        while True:
            await asyncio.sleep(1)
            for name, limit in self._limits.items():
                view = self._core.state.feeds.get(name)
                if view is None or view.heard_at is None:
                    continue
                silent = now_ms() - view.heard_at
                if view.state == "live" and silent > limit:
                    self._core.feed(name, "stale", self._words[name])
                elif view.state == "stale" and silent <= limit:
                    self._core.feed(name, "live")

"""The thread: commands cross, snapshots come back, stopping closes and never hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from aster_tui.domain.commands import Command, SyncAgents
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.thread import EngineThread

SECONDS = 10


class Body:
    """A small body: each command becomes a new snapshot version."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.arrived = asyncio.Event()
        self.closed = threading.Event()
        self.thread = threading.current_thread().name
        #: Seconds that an emergency goes on after it was told to end.
        self.flattens_for = 0.0

    @property
    def emergency(self) -> bool:
        return self.flattens_for > 0

    def submit(self, command: Command) -> None:
        self.commands.append(command)
        self.arrived.set()

    async def run(self, publish: Callable[[FleetSnapshot], None]) -> None:
        try:
            while True:
                await self.arrived.wait()
                self.arrived.clear()
                publish(replace(FleetSnapshot(), version=len(self.commands)))
        finally:
            if self.emergency:
                await asyncio.sleep(self.flattens_for)
                self.flattens_for = 0.0
            self.closed.set()


class Rig:
    def __init__(self) -> None:
        self.body: Body | None = None
        self.told = threading.Event()
        self.engine = EngineThread(self.make, FleetSnapshot())
        self.engine.subscribe(self.told.set)

    async def make(self) -> Body:
        self.body = Body()
        return self.body

    def wait_for_version(self, version: int) -> None:
        while self.engine.snapshot().version < version:
            assert self.told.wait(SECONDS)
            self.told.clear()


def test_commands_before_and_after_the_start_arrive_in_order() -> None:
    rig = Rig()
    rig.engine.submit(SyncAgents(("early",)))
    rig.engine.start()
    rig.engine.start()
    rig.wait_for_version(1)
    rig.engine.submit(SyncAgents(("late",)))
    rig.wait_for_version(2)
    assert rig.body is not None
    assert rig.body.commands == [SyncAgents(("early",)), SyncAgents(("late",))]
    assert rig.body.thread == "engine"
    rig.engine.stop()
    assert rig.body.closed.is_set()
    rig.engine.submit(SyncAgents(("too late",)))


def test_stopping_before_starting_and_twice_is_harmless() -> None:
    rig = Rig()
    rig.engine.stop()
    rig.engine.start()
    rig.engine.stop()
    rig.engine.stop()


def test_an_emergency_is_waited_for_longer_than_anything_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aster_tui.engine.thread.STOP_SECONDS", 0.05)
    rig = Rig()
    rig.engine.submit(SyncAgents())
    rig.engine.start()
    rig.wait_for_version(1)
    assert rig.body is not None
    rig.body.flattens_for = 0.6
    assert rig.engine.emergency
    rig.engine.stop()
    assert rig.body.closed.is_set()
    assert not rig.engine.emergency
    assert "closing all goes on" in capsys.readouterr().err


def test_a_body_that_breaks_is_said_and_a_broken_listener_silences_nobody() -> None:
    told = threading.Event()

    async def broken() -> Body:
        raise ValueError("no such venue")

    engine = EngineThread(broken, FleetSnapshot())
    engine.subscribe(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    leave = engine.subscribe(told.set)
    engine.start()
    assert told.wait(SECONDS)
    assert engine.failure is not None
    assert "no such venue" in engine.failure
    leave()
    engine.stop()

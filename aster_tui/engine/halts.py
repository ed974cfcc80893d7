"""Who may trade: halts that persons set, on this machine at once and in the database for everybody.

A halt is written into a file of the state folder first: this machine's workers and consoles obey it at once,
also while the database is away. What the database was not told yet is told by whoever can reach it; from then
on the database's word rules, so that a person at another machine can resume.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aster_tui.domain.controls import FLEET, Control, TradingState
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import ControlsChanged
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.halt_file import FILE, HaltFile, LocalControl, halt_locally
from aster_tui.store.base import StoreError
from aster_tui.store.mongo import MongoReader
from aster_tui.store.trading import TradingStore

__all__ = ["FILE", "Controls", "Halt", "HaltFile", "LocalControl", "halt_locally", "tell_database"]

LOOK_SECONDS, ASK_SECONDS = 0.25, 1.0


@dataclass(frozen=True, slots=True)
class Halt:
    """Whether and how far an agent is stopped: ``words`` say why it may add no risk, empty when it may;
    ``reducing`` whether it may still make positions smaller by itself."""

    words: str = ""
    reducing: bool = True


FREE = Halt()


async def tell_database(store: TradingStore, state_folder: Path) -> int:
    """Tell the database what it was not told yet; how much that was.

    Raises:
        StoreError: it could not be told.
    """
    file = HaltFile(state_folder)
    told = 0
    for key, local in file.read().items():
        if local.pending:
            await store.set_control(key, _document(local.control))
            with contextlib.suppress(OSError):  # told twice does no harm
                file.confirm(key, local.control.at)
            told += 1
    return told


def _document(control: Control) -> dict[str, Any]:
    return {"state": control.state, "reason": control.reason, "by": control.by, "at": control.at}


class Controls:
    """Who may trade, as persons set it here or in the database; the last known word stands while it is
    away. With a store that only reads nothing is told to it."""

    def __init__(self, core: Core, store: MongoReader | None, state_folder: Path) -> None:
        self._core = core
        self._store = store
        self._folder = state_folder
        self._file = HaltFile(state_folder)
        self._told: Mapping[str, Control] = {}
        #: When the database was asked for what it told, Unix ms.
        self._asked_at: int | None = None
        self._wake = asyncio.Event()
        #: Whether the database, where there is one, has said who is stopped.
        self.known = store is None

    @property
    def shared(self) -> bool:
        """Whether there is a database through which other machines learn of it."""
        return self._store is not None

    def halted(self, agent: AgentDocument) -> Halt:
        """How far an agent is stopped now."""
        self.look()
        control = self._core.state.desk.trading(agent.agent_id)
        if control.state == "ACTIVE":
            return FREE
        fleet = self._core.state.desk.controls.get(FLEET)
        who = "the fleet" if fleet is not None and fleet == control else agent.name
        words = f"{who} is {control.state}{': ' + control.reason if control.reason else ''}"
        return Halt(words, reducing=control.state == "REDUCING")

    def write(self, keys: Sequence[str], state: TradingState, reason: str, by: str) -> None:
        """Set it on this machine; may be called on any thread. The next :meth:`wake` lets it be told.

        Raises:
            OSError: the state folder cannot be written.
        """
        self._file.set(keys, Control(state, reason, by, now_ms()))

    def wake(self) -> None:
        """Look now, and tell the database now."""
        self.look()
        self._wake.set()

    def look(self) -> None:
        """Take what the file and the database say."""
        merged, now = dict(self._told), now_ms()
        here = self._file.read()
        for key, local in here.items():
            # Told to the database: its word rules, once it was asked after that.
            if local.rules(self._asked_at, now):
                merged[key] = local.control
        merged = {key: control for key, control in merged.items() if control.state != "ACTIVE"}
        untold = tuple(sorted(key for key, local in here.items() if local.pending)) if self.shared else ()
        desk = self._core.state.desk
        if (merged, untold) != (dict(desk.controls), desk.untold):
            self._core.emit(ControlsChanged(now_ms(), merged, untold))

    async def run(self) -> None:
        """Until cancelled."""
        asked_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            self.look()
            woken = self._wake.is_set()
            self._wake.clear()  # also without a database: it must be waited for below
            if self._store is not None and (woken or loop.time() - asked_at >= ASK_SECONDS):
                asked_at = loop.time()
                with contextlib.suppress(StoreError):  # the database's feed says that it is away
                    if isinstance(self._store, TradingStore):
                        await tell_database(self._store, self._folder)
                        self.look()
                    began = now_ms()
                    self._told = await self._store.load_controls()
                    self._asked_at, self.known = began, True
                    self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()

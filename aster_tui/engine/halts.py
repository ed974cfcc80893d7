"""Who may trade: halts that persons set, on this machine at once and in the database for everybody.

A halt is written into a file of the state folder first: this machine's workers and consoles obey it at once,
also while the database is away. What the database was not told yet is told by whoever can reach it; from then
on the database's word rules, so that a person at another machine can resume.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aster_tui.domain.desk_state import FLEET
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import Control, ControlsChanged
from aster_tui.domain.views import TradingState
from aster_tui.engine.core import Core, now_ms
from aster_tui.store.base import StoreError
from aster_tui.store.mongo import MongoReader
from aster_tui.store.trading import TradingStore

FILE = "halts.json"
LOOK_SECONDS, ASK_SECONDS, LOCK_SECONDS = 0.25, 1.0, 0.2
_STATES: tuple[TradingState, ...] = ("ACTIVE", "REDUCING", "HALTED")


@dataclass(frozen=True, slots=True)
class Halt:
    """Whether and how far an agent is stopped: ``words`` say why it may add no risk, empty when it may;
    ``reducing`` whether it may still make positions smaller by itself."""

    words: str = ""
    reducing: bool = True


FREE = Halt()


@dataclass(frozen=True, slots=True)
class LocalControl:
    """A control as this machine's file has it; ``pending`` until the database was told."""

    control: Control
    pending: bool


class HaltFile:
    """The halts of this machine, for every process of it.

    Raises from every call that writes:
        OSError: the state folder cannot be written.
    """

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder
        self._stamp: tuple[int, int] = (0, 0)
        self._known: dict[str, LocalControl] = {}

    def read(self) -> Mapping[str, LocalControl]:
        """What stands there; read again only when the file changed."""
        try:
            found = (self._folder / FILE).stat()
        except OSError:
            self._stamp, self._known = (0, 0), {}
            return self._known
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            self._known, self._stamp = self._load(), stamp
        return self._known

    def set(self, keys: Sequence[str], control: Control) -> None:
        """Set the control of agents (by id) or of the fleet; it holds when this returns."""
        with self._changing() as known:
            known |= {key: LocalControl(control, pending=True) for key in keys}

    def confirm(self, key: str, at: int) -> None:
        """The database was told of what was set at ``at``."""
        with self._changing() as known:
            local = known.get(key)
            if local is not None and local.control.at == at:
                known[key] = LocalControl(local.control, pending=False)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, LocalControl]]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._folder / f"{FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _locked(descriptor)
            known = self._load()
            yield known
            self._write(known)
        finally:
            os.close(descriptor)

    def _load(self) -> dict[str, LocalControl]:
        try:
            content = json.loads((self._folder / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            # A halt that cannot be read is a halt: nothing is risked because a file is broken.
            words = f"{self._folder / FILE} cannot be read: resume to write it anew"
            return {FLEET: LocalControl(Control("HALTED", words), pending=True)}
        found: dict[str, LocalControl] = {}
        for key, raw in content.items():
            state = raw.get("state")
            control = Control(
                state if state in _STATES else "HALTED",
                str(raw.get("reason", "")),
                str(raw.get("by", "")),
                int(raw.get("at", 0)),
            )
            found[key] = LocalControl(control, pending=bool(raw.get("pending", True)))
        return found

    def _write(self, known: Mapping[str, LocalControl]) -> None:
        rows = {
            key: {
                "state": local.control.state,
                "reason": local.control.reason,
                "by": local.control.by,
                "at": local.control.at,
                "pending": local.pending,
            }
            for key, local in known.items()
            # What is free and known to be free needs no line.
            if local.pending or local.control.state != "ACTIVE"
        }
        path = self._folder / f"{FILE}.{os.getpid()}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(rows, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            path.replace(self._folder / FILE)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _locked(descriptor: int) -> None:
    """Wait for the others, who hold it for a millisecond; one that was stopped inside holds up no halt."""
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
        else:
            return


def halt_locally(
    state_folder: Path,
    reason: str,
    by: str,
    *,
    keys: Sequence[str] = (FLEET,),
    state: TradingState = "HALTED",
) -> Control:
    """Halt on this machine, at once, and leave a note that the database must be told.

    Raises:
        OSError: the state folder cannot be written.
    """
    control = Control(state, reason, by, now_ms())
    HaltFile(state_folder).set(keys, control)
    return control


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
        self._wake = asyncio.Event()

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
        merged = dict(self._told)
        for key, local in self._file.read().items():
            # Told to the database: its word rules, unless there is none to ask.
            if local.pending or self._store is None:
                merged[key] = local.control
        merged = {key: control for key, control in merged.items() if control.state != "ACTIVE"}
        if merged != dict(self._core.state.desk.controls):
            self._core.emit(ControlsChanged(now_ms(), merged))

    async def run(self) -> None:
        """Until cancelled."""
        asked_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            self.look()
            if self._store is not None and (self._wake.is_set() or loop.time() - asked_at >= ASK_SECONDS):
                self._wake.clear()
                asked_at = loop.time()
                with contextlib.suppress(StoreError):  # the database's feed says that it is away
                    if isinstance(self._store, TradingStore):
                        await tell_database(self._store, self._folder)
                    self._told = await self._store.load_controls()
                    self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()

"""The halts of this machine, in a file of the state folder: obeyed by every process of it, at once."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aster_tui.domain.controls import FLEET, STATES, Control, TradingState
from aster_tui.engine.clock import now_ms

FILE = "halts.json"
LOCK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class LocalControl:
    """A control as this machine's file has it; ``pending`` until the database was told, which was at
    ``told_at`` (Unix ms of this machine)."""

    control: Control
    pending: bool
    told_at: int = 0

    def rules(self, asked_at: int | None, now: int) -> bool:
        """Whether it stands before the database's word, which was asked for at ``asked_at`` (None: never).

        A word that was asked for before the database was told does not know of it yet. A time that is to come
        is of a clock that was set since, and rules nothing.
        """
        return self.pending or asked_at is None or asked_at <= self.told_at <= now


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
        except (FileNotFoundError, NotADirectoryError):
            self._stamp, self._known = (0, 0), {}
            return self._known
        except OSError as error:
            self._stamp, self._known = (0, 0), self._unreadable(error.strerror or "")
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
                known[key] = LocalControl(local.control, pending=False, told_at=now_ms())

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
            return {key: _parsed(raw) for key, raw in content.items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            return self._unreadable(error.strerror or "")
        except (ValueError, TypeError, AttributeError):
            return self._unreadable("it is damaged")

    def _unreadable(self, why: str) -> dict[str, LocalControl]:
        """A halt that cannot be read is a halt: nothing is risked because a file is broken."""
        words = f"{self._folder / FILE} cannot be read ({why}): resume to write it anew"
        return {FLEET: LocalControl(Control("HALTED", words), pending=True)}

    def _write(self, known: Mapping[str, LocalControl]) -> None:
        rows = {
            key: {
                "state": local.control.state,
                "reason": local.control.reason,
                "by": local.control.by,
                "at": local.control.at,
                "pending": local.pending,
                "told_at": local.told_at,
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


def _parsed(raw: Mapping[str, Any]) -> LocalControl:
    state = raw.get("state")
    control = Control(
        state if state in STATES else "HALTED",
        str(raw.get("reason", "")),
        str(raw.get("by", "")),
        int(raw.get("at", 0)),
    )
    return LocalControl(control, bool(raw.get("pending", True)), int(raw.get("told_at", 0)))


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

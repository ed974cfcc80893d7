"""What the processes of a machine share without ever waiting for each other: a queue, and turns.

Everything here is a rename or a link, which the file system does whole or not at all: a process that is
stopped at any point holds up nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: What was taken is kept so long, so that the same again is not queued.
KEPT_SECONDS, SWEEP_SECONDS = 86_400.0, 600.0


class LocalQueue:
    """Decisions that wait on this machine, one file each: who links it among those that were begun has it.

    Decisions of another queue are begun here, too, so that none is begun twice. ``….json`` was begun,
    ``….done`` has ended.
    """

    def __init__(self, folder: Path) -> None:
        self._waiting = folder / "queue"
        self._taken = folder / "taken"
        self._swept_at = -SWEEP_SECONDS

    def put(self, decision_id: str, agent: str, document: Mapping[str, Any]) -> None:
        """Queue a decision for an agent (by name), on the disk when this returns; the same again does
        nothing."""
        self._make()
        name = _name(decision_id, agent, int(document.get("timestamp", 0)))
        if not self._was_begun(name):
            _write(self._waiting / f"{name}.json", document)

    def take(self, agent: str) -> Mapping[str, Any] | None:
        """The oldest decision for an agent; each is taken once."""
        try:
            names = sorted(os.listdir(self._waiting))
        except FileNotFoundError:
            return None
        tag = _tag(agent)
        for name in (n for n in names if n.startswith(f"{tag}-") and n.endswith(".json")):
            taken = not self._was_begun(name.removesuffix(".json"))
            if taken:
                try:
                    os.link(self._waiting / name, self._taken / name)
                except FileExistsError:
                    taken = False  # another process was faster
                except FileNotFoundError:
                    continue
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._waiting / name)
            if not taken:
                continue
            for folder in (self._taken, self._waiting):
                _sync_folder(folder)  # taken once, even if the power fails now
            return dict(json.loads((self._taken / name).read_text(encoding="utf-8")))
        return None

    def begin(self, decision_id: str, agent: str, document: Mapping[str, Any]) -> bool:
        """Begin a decision that was queued elsewhere; False when it was begun here before."""
        self._make()
        name = _name(decision_id, agent, int(document.get("timestamp", 0)))
        if self._was_begun(name):
            return False
        return _write(self._taken / f"{name}.json", document, new=True)

    def begun(self, agent: str) -> list[Mapping[str, Any]]:
        """What was begun for an agent and did not end, oldest first."""
        try:
            names = sorted(os.listdir(self._taken))
        except FileNotFoundError:
            return []
        tag = _tag(agent)
        mine = [n for n in names if n.startswith(f"{tag}-") and n.endswith(".json")]
        return [dict(json.loads((self._taken / n).read_text(encoding="utf-8"))) for n in mine]

    def end(self, decision_id: str, agent: str, made_at: int) -> None:
        """A decision ended; it is not begun again."""
        name = _name(decision_id, agent, made_at)
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._taken / f"{name}.json", self._taken / f"{name}.done")

    def _was_begun(self, name: str) -> bool:
        return any((self._taken / f"{name}.{end}").exists() for end in ("json", "done"))

    def _make(self) -> None:
        for folder in (self._waiting, self._taken):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        now = time.monotonic()
        if now - self._swept_at > SWEEP_SECONDS:
            self._swept_at = now
            self._sweep()

    def _sweep(self) -> None:
        old = time.time() - KEPT_SECONDS
        for entry in os.scandir(self._taken):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < old:
                    os.unlink(entry)


class Turns:
    """Turns at something that one process does at a time: for a while, by who makes the next number first.

    One process has a turn at a time, by the clock of this machine. Whoever was stopped, and goes on after its
    turn ended, finds that out by looking at the clock: nobody tells it.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self._folder = folder
        self._owner = owner

    def take(self, name: str, now: int, span_ms: int, lives: Callable[[str], bool], mine: str) -> int:
        """Take a turn or go on with it: its number, which rises whenever it is taken anew; 0 while it is
        another's.

        Args:
            now: ms of a clock that is the same for all processes of this machine.
            lives: whether the process of a word like ``mine`` is still there.
        """
        number, held = self._newest(name)
        turn = {"owner": self._owner, "process": mine, "until": now + span_ms}
        # A turn that seems much longer than one can be was taken before the clock was set back.
        if held is not None and now <= int(held.get("until", 0)) <= now + 2 * span_ms:
            if held.get("owner") == self._owner:
                _write(self._folder / f"{name}.turn-{number}", turn, safe=False)
                # Somebody who saw it end may have begun the next one meanwhile.
                return number if max(self._numbers(name)) == number else 0
            if lives(str(held.get("process", ""))):
                return 0
        made = self._folder / f"{name}.turn-{number + 1}"
        if not _write(made, turn, new=True, safe=False):
            return 0
        # What we saw was over long ago, or its holder has gone on with it meanwhile.
        if self._newest(name)[0] != number + 1 or (number and self._read(name, number) != held):
            made.unlink(missing_ok=True)
            return 0
        for old in self._numbers(name):
            if old <= number:
                (self._folder / f"{name}.turn-{old}").unlink(missing_ok=True)
        return number + 1

    def leave(self, name: str) -> None:
        """Give a turn back, if it is this process's."""
        number, held = self._newest(name)
        if held is not None and held.get("owner") == self._owner:
            _write(self._folder / f"{name}.turn-{number}", {"owner": "", "until": 0}, safe=False)

    def leave_all(self) -> None:
        """Give every turn of this process back."""
        for name in {
            m[1] for entry in os.listdir(self._folder) if (m := re.fullmatch(r"(.+)\.turn-\d+", entry))
        }:
            self.leave(name)

    def _newest(self, name: str) -> tuple[int, Mapping[str, Any] | None]:
        number = max(self._numbers(name), default=0)
        return number, self._read(name, number)

    def _read(self, name: str, number: int) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = json.loads(
                (self._folder / f"{name}.turn-{number}").read_text(encoding="utf-8")
            )
        except (FileNotFoundError, ValueError):
            return None
        return found

    def _numbers(self, name: str) -> list[int]:
        begin = f"{name}.turn-"
        return [
            int(entry.removeprefix(begin))
            for entry in os.listdir(self._folder)
            if entry.startswith(begin) and entry.removeprefix(begin).isdigit()
        ]


def _write(path: Path, document: Mapping[str, Any], *, new: bool = False, safe: bool = True) -> bool:
    """Write a small file whole or not at all; with ``new`` False where it is there already."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, default=str)
            file.flush()
            if safe:
                os.fsync(file.fileno())
        if new:
            try:
                os.link(draft, path)
            except FileExistsError:
                return False
            finally:
                draft.unlink()
        else:
            draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if safe:
        _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(decision_id: str, agent: str, made_at: int) -> str:
    return f"{_tag(agent)}-{made_at:015d}-{_hashed(decision_id)}"


def _tag(agent: str) -> str:
    return _hashed(agent.lower())


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""The audit on this machine: append-only files of chained lines, each written by one process at a time.

A process owns a file by a lock that dies with it, so that one that hangs holds up nobody else; whoever comes
next goes on with a file that is free. Every line is on the disk before what it tells of is begun.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aster_tui.domain.audit import AuditLine, broken, chained, from_data, to_json
from aster_tui.store.base import StoreError

FOLDER = "audit"
_TAIL = 1 << 16


class AuditFile:
    """This process's place in the audit. Every call blocks for a disk write at most.

    Args:
        host: the machine's name: chains of several machines meet in one database.
    """

    def __init__(self, state_folder: Path, host: str) -> None:
        self._folder = state_folder / FOLDER
        self._host = host
        self._descriptor = -1
        self._name = ""
        self._last: AuditLine | None = None

    def append(self, line: AuditLine) -> AuditLine:
        """Write a line behind the last one; returns it as it stands there.

        Raises:
            StoreError: it could not be written: nothing that it tells of may be done.
        """
        try:
            if self._descriptor < 0:
                self._open()
            placed = chained(replace(line, chain=f"{self._host}/{self._name}"), self._last)
            os.write(self._descriptor, (to_json(placed) + "\n").encode())
            os.fsync(self._descriptor)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"the audit {self._folder} cannot be written: {error}",
                remedy="free or repair the disk; what can add risk is refused until then",
            ) from error
        self._last = placed
        return placed

    def close(self) -> None:
        """Let the file go; another process may go on with it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number in range(1, 1000):
            name = f"audit-{number}"
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._folder / f"{name}.jsonl", flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            try:
                self._last = _last_line(descriptor)
            except ValueError:
                os.close(descriptor)  # broken at its end: it is left as it is, for whoever has to look
                continue
            self._descriptor, self._name = descriptor, name
            return
        raise OSError("there are too many files")


def _last_line(descriptor: int) -> AuditLine | None:
    size = os.fstat(descriptor).st_size
    if not size:
        return None
    tail = os.pread(descriptor, _TAIL, max(0, size - _TAIL))
    if not tail.endswith(b"\n"):
        raise ValueError("the last line was cut")
    return from_data(json.loads(tail.rstrip(b"\n").rsplit(b"\n", 1)[-1]))


def chains(state_folder: Path) -> Iterator[tuple[Path, list[AuditLine], str]]:
    """Every chain of this machine: its file, its lines, and what is wrong with it (empty when sound)."""
    for path in sorted((state_folder / FOLDER).glob("audit-*.jsonl")):
        lines: list[AuditLine] = []
        wrong = ""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            yield path, [], f"it cannot be read: {error}"
            continue
        for number, row in enumerate(text.splitlines(), start=1):
            try:
                lines.append(from_data(json.loads(row)))
            except (ValueError, TypeError):
                wrong = f"line {number} is no line of an audit"
                break
        found = broken(lines)
        if found is not None:
            wrong = f"line {found[0]}: {found[1]}"
        yield path, lines, wrong

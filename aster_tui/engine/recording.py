"""Recordings as files: written while the engine runs, read for a replay.

Every event goes into a queue and from there, on a thread of its own, compressed into the file: a slow disk
delays nothing. What is written is flushed every second, so a crash loses no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import os
import queue
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import structlog

from aster_tui.domain.events import Event
from aster_tui.domain.recording import (
    Header,
    RecordingError,
    event_line,
    header_line,
    line_time,
    read_header,
)
from aster_tui.domain.replay import Tape
from aster_tui.engine.core import Core
from aster_tui.logs import redact

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 1.0
#: How many events may wait for a disk that does not take them before the recording ends.
MOST_WAITING = 100_000
#: Shorter texts hold no key, signature or password.
SHORTEST_SECRET = 10


def clean(text: str) -> str:
    """A text without anything that looks like a secret."""
    return redact(text) if len(text) >= SHORTEST_SECRET else text


class Recorder:
    """Writes a recording. :meth:`take` is called with every event, :meth:`close` at the end.

    Args:
        path: a file that is not there yet; it will be the operator's alone.

    Raises:
        OSError: it exists already, or cannot be written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.path = path
        self._raw = open(descriptor, "wb")  # noqa: SIM115 (closed by the writer's thread)
        self._file = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=6, mtime=0)
        self._events: queue.Queue[tuple[int, Event] | None] = queue.Queue(MOST_WAITING)
        self._last = header.started_at
        #: Called once, on the writer's thread, with what went wrong.
        self.on_failure: Callable[[str], None] | None = None
        self.failure = ""
        self._write(header_line(header))
        self._flush()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def attach(self, core: Core) -> None:
        """Keep every event of an engine; called on its loop. Should the recording end, its errors say so."""
        loop = asyncio.get_running_loop()
        told = partial(core.problem, "recording", remedy="the console goes on without it")

        def failed(why: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended before the recording did
                loop.call_soon_threadsafe(told, why)

        self.on_failure = failed
        core.record(self.take)

    def take(self, at: int, event: Event) -> None:
        """Keep an event that came at ``at`` (Unix ms)."""
        if self.failure:
            return
        self._last = max(self._last, at)  # a clock that is set back must not send a replay astray
        try:
            self._events.put_nowait((self._last, event))
        except queue.Full:
            self._fail("the disk takes no more events")

    def close(self) -> None:
        """Write what is waiting, and end."""
        while self._thread.is_alive():
            try:
                self._events.put(None, timeout=0.1)
            except queue.Full:
                continue
            break
        self._thread.join(10)

    def _run(self) -> None:
        try:
            try:
                self._keep_writing()
            finally:
                self._file.close()
                self._raw.close()
        except OSError as error:
            self._fail(error.strerror or str(error))
        except Exception as error:  # an event nobody taught the format: the engine goes on without it
            log.exception("the recorder broke")
            self._fail(f"{type(error).__name__}: {error}")

    def _keep_writing(self) -> None:
        flushed, waiting = time.monotonic(), False
        while True:
            try:
                item = self._events.get(timeout=FLUSH_SECONDS if waiting else None)
            except queue.Empty:
                item = ()  # type: ignore[assignment]
            if item is None:
                return
            if item:
                self._write(event_line(*item, clean))
                waiting = True
            now = time.monotonic()
            if waiting and now - flushed >= FLUSH_SECONDS:
                self._flush()
                flushed, waiting = now, False

    def _write(self, line: str) -> None:
        self._file.write(f"{line}\n".encode())

    def _flush(self) -> None:
        self._file.flush(zlib.Z_SYNC_FLUSH)
        self._raw.flush()

    def _fail(self, why: str) -> None:
        if not self.failure:
            self.failure = f"the recording {self.path} ended: {why}"
            log.error("recording ended", path=str(self.path), why=why)
            if self.on_failure is not None:
                self.on_failure(self.failure)


def read_recording(path: Path) -> Tape:
    """Read a recording, also one whose program was killed while it wrote.

    Raises:
        RecordingError: it is none, or is broken in the middle.
    """
    try:
        with open(path, "rb") as raw:
            return _tape(_lines(raw))
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None


def _tape(lines: Iterator[str]) -> Tape:
    header = read_header(next(lines, ""))
    return Tape(header, _timed(lines))


def _timed(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=2):
        try:
            line_time(line)
        except ValueError:
            raise RecordingError(f"line {number} is no event") from None
        yield line


def _lines(raw: io.BufferedReader) -> Iterator[str]:
    """Whole lines; a last one that was not finished is left out."""
    unpack = zlib.decompressobj(wbits=31)
    rest = b""
    while chunk := raw.read(1 << 18):
        try:
            rest += unpack.decompress(chunk)
        except zlib.error:
            raise RecordingError("this is no recording, or a damaged one") from None
        *whole, rest = rest.split(b"\n")
        for line in whole:
            try:
                yield line.decode()
            except UnicodeDecodeError:
                raise RecordingError("this is no recording, or a damaged one") from None

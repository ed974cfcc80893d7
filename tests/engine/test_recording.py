"""Recordings as files: whole, cut off, damaged, refused, and without secrets."""

from __future__ import annotations

import asyncio
import gzip
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.domain import events as ev
from aster_tui.domain.recording import RecordingError
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.recording import Recorder, read_recording
from aster_tui.engine.replaying import SPEEDS, Replay
from tests.tapes import HEADER, SECONDS, T0, happened, tape

KEY = "0x" + "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d"

WRITES_FOR_EVER = """
import sys, time
from pathlib import Path
from aster_tui.engine.recording import Recorder
from aster_tui.domain import events as ev
from tests.tapes import HEADER, T0
recorder = Recorder(Path(sys.argv[1]), HEADER)
number = 0
while True:
    number += 1
    recorder.take(T0 + number, ev.FeedHeard("marks", T0 + number))
    print(number, flush=True)
    time.sleep(0.01)
"""


def until(condition: Callable[[], Any], patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", HEADER)
    said = list(happened())
    for at, event in said:
        recorder.take(at, event)
    recorder.close()
    assert recorder.failure == ""
    found = read_recording(tmp_path / "r")
    assert found.header == HEADER
    assert [(found.time(n), found.event(n)) for n in range(found.count)] == said
    assert (tmp_path / "r").stat().st_mode & 0o077 == 0


def test_a_recording_of_a_program_that_was_killed_lacks_seconds_at_most(tmp_path: Path) -> None:
    path = tmp_path / "r"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told: list[tuple[float, int]] = []
    begun = time.monotonic()
    while time.monotonic() - begun < 5:
        told.append((time.monotonic(), int(process.stdout.readline())))
    process.send_signal(signal.SIGKILL)
    process.wait()
    old_enough = max(number for at, number in told if time.monotonic() - at > 3)
    found = read_recording(path)
    assert found.count >= old_enough
    assert found.event(found.count - 1) == ev.FeedHeard("marks", T0 + found.count)


def test_cut_off_anywhere_it_is_read_up_to_there_or_refused_in_words(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "whole", HEADER)
    for at, event in happened():
        recorder.take(at, event)
    recorder.close()
    whole = (tmp_path / "whole").read_bytes()
    counts = [_count_of(tmp_path / "cut", whole[:length]) for length in range(0, len(whole), 7)]
    first = next(n for n, count in enumerate(counts) if count is not None)
    counts = counts[first:]  # once the first line is there, it can be read
    assert None not in counts
    assert counts == sorted(counts, key=lambda count: count or 0)
    assert (counts[-1] or 0) > SECONDS / 2


def _count_of(path: Path, content: bytes) -> int | None:
    """How many events a file with this content has; None when it is refused."""
    path.write_bytes(content)
    try:
        return read_recording(path).count
    except RecordingError:
        return None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x1f\x8b", gzip.compress(b"hello\n", mtime=0)])
def test_what_is_no_recording_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="other: this is no recording"):
        read_recording(path)
    with pytest.raises(RecordingError, match="No such file"):
        read_recording(tmp_path / "missing")


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        Recorder(path, HEADER)
    assert path.read_text() == "mine"
    with pytest.raises(OSError, match="No such file"):
        Recorder(tmp_path / "nowhere" / "r", HEADER)


def test_no_secret_gets_into_a_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", HEADER)
    secret = f"failed with {KEY} at mongodb+srv://me:hunter2hunter2@host/db?signature={KEY}"
    document = {"raw": secret, "list": [{"deep": secret}]}
    for event in (
        ev.ErrorRaised(T0, "exchange", secret, raw=secret, remedy=secret),
        ev.FeedChanged("mongo", "down", T0, secret),
        ev.RequestEnded(T0, "r", "failed", secret, document),
        ev.SyncFinished("a", T0, (secret,), secret),
    ):
        recorder.take(T0, event)
    recorder.close()
    text = gzip.decompress((tmp_path / "r").read_bytes()).decode()
    assert KEY.removeprefix("0x") not in text
    assert "hunter2" not in text
    assert "[hidden]" in text
    assert read_recording(tmp_path / "r").count == 4


async def test_an_engine_goes_on_when_its_recording_cannot_and_says_so(tmp_path: Path) -> None:
    core = Core(network="PRACTICE", read_only=False, initial_balance=Decimal(1), sync_seconds=5)
    recorder = Recorder(tmp_path / "r", HEADER)
    recorder.attach(core)
    core.emit(ev.FeedHeard("marks", now_ms()))
    recorder.take(now_ms(), object())  # type: ignore[arg-type]
    while not core.state.errors:
        await asyncio.sleep(0.01)
    (error,) = core.state.errors.values()
    assert "the recording" in error.message
    assert error.source == "recording"
    core.emit(ev.FeedHeard("exchange", now_ms()))
    assert "exchange" in core.state.feeds
    recorder.close()
    assert read_recording(tmp_path / "r").count == 1


def test_a_clock_set_back_does_not_send_the_replay_astray(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", HEADER)
    for at in (T0 + 10, T0 - 5_000, T0 + 20):
        recorder.take(at, ev.FeedHeard("marks", at))
    recorder.close()
    found = read_recording(tmp_path / "r")
    assert [found.time(n) for n in range(3)] == [T0 + 10, T0 + 10, T0 + 20]


# The replay


@pytest.fixture
def replay() -> Any:
    played = Replay(tape())
    played.pause(True)
    played.start()
    yield played
    played.stop()


def test_a_replay_goes_to_any_moment_and_back(replay: Replay) -> None:
    for second in (60, 10, 119, 59, 0):
        replay.seek(T0 + second * 1000)
        until(lambda second=second: replay.at == T0 + second * 1000 and replay.snapshot().at == replay.at)
        assert len(replay.snapshot().positions) == (second >= 60)
    replay.seek(T0 + 10**9)
    until(lambda: replay.at == replay.end_at == T0 + SECONDS * 1000)
    replay.seek(0)
    until(lambda: replay.at == T0)


def test_quick_steps_are_all_made_and_a_step_pauses(replay: Replay) -> None:
    replay.pause(False)
    replay.seek(T0)
    until(lambda: replay.position[0] == 3)
    for _ in range(20):
        replay.step(1)
    until(lambda: replay.position[0] == 23)
    assert replay.paused
    for _ in range(30):
        replay.step(-1)
    until(lambda: replay.position[0] == 0)
    assert replay.at == T0
    for _ in range(10_000):
        replay.step(1)
    until(lambda: replay.position[0] == replay.position[1])
    replay.skip(-10_000)
    replay.skip(-10_000)
    until(lambda: replay.at == replay.end_at - 20_000)


def test_it_plays_at_its_speed_and_stops_at_the_end(replay: Replay) -> None:
    for _ in SPEEDS:
        replay.faster(1)
    assert replay.speed == SPEEDS[-1]
    replay.pause(False)
    until(lambda: replay.at == replay.end_at and replay.paused)
    assert replay.snapshot().errors[0].message == "out of luck"
    for _ in SPEEDS:
        replay.faster(-1)
    assert replay.speed == SPEEDS[0]


def test_a_broken_line_in_the_middle_ends_it_in_words() -> None:
    from aster_tui.domain.replay import Tape

    lines = [f"{T0} FeedHeard " + '{"name":"marks","at":1}', f"{T0 + 1000} FeedHeard nonsense"]
    replay = Replay(Tape(HEADER, lines), at=T0 + 2000)
    replay.start()
    until(lambda: replay.failure)
    assert "event 2: a line of FeedHeard cannot be read" in str(replay.failure)
    replay.stop()

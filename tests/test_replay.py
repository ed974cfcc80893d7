"""``--record`` and ``replay`` from the command line: whole programs, and a real terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aster_tui.engine.recording import Recorder
from tests.console.pty_terminal import Terminal
from tests.tapes import HEADER, T0, happened

TUI = [sys.executable, "-m", "aster_tui"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TUI, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASTER_TUI_STATE_DIR", str(tmp_path / "state"))
    recorder = Recorder(tmp_path / "session", HEADER)
    for at, event in happened():
        recorder.take(at, event)
    recorder.close()
    return tmp_path / "session"


def test_a_recorded_demo_is_replayed_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "demo"
    live = run("--record", str(path), "demo", "--agents", "3", "--headless", "--seconds", "12")
    assert live.returncode == 0, live.stderr
    was = json.loads(live.stdout)
    # What came in the very millisecond of the document may be in it or not.
    moments = [run("replay", str(path), "--at", str(was["at"] - before), "--json") for before in (0, 1)]
    assert [done.returncode for done in moments] == [0, 0]
    assert _without_ages(was) in [_without_ages(json.loads(done.stdout)) for done in moments]
    earlier = run("replay", str(path), "--at", "start", "--json")
    assert json.loads(earlier.stdout)["agents"] == []
    again = run("--record", str(path), "demo", "--headless", "--seconds", "1")
    assert again.returncode == 2
    assert "there already" in again.stderr


def _without_ages(document: dict[str, Any]) -> dict[str, Any]:
    document.pop("at")
    for feed in document["feeds"]:
        feed.pop("age_ms")
    return document


def test_one_moment_as_a_document(recorded: Path) -> None:
    for at, positions in (("+59", 0), ("+60s", 1), ("end", 1)):
        done = run("replay", str(recorded), "--at", at, "--json")
        document = json.loads(done.stdout)
        assert len(document["agents"][0]["positions"]) == positions
    assert document["at"] == T0 + 120_000
    assert document["metrics"]["errors_seen"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--at", "soon", "--json"], 2, "'soon' is no time"),
        (["--at", "+1h", "--json"], 2, "not in the recording"),
        (["--at", "soon"], 2, "'soon' is no time"),
    ],
)
def test_a_wrong_time_is_said_in_one_line(recorded: Path, arguments: list[str], code: int, says: str) -> None:
    done = run("replay", str(recorded), *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    if "--json" in arguments:
        assert json.loads(done.stdout)["ok"] is False


def test_what_is_no_recording_is_said_in_one_line(tmp_path: Path, recorded: Path) -> None:
    other = tmp_path / "other"
    other.write_text("hello")
    for path, says in ((other, "no recording"), (tmp_path / "missing", "No such file")):
        done = run("replay", str(path), "--json")
        assert done.returncode == 1
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_record_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    state = {"ASTER_TUI_STATE_DIR": str(tmp_path / "state")}
    done = run("--record", str(tmp_path / "mine"), **state)
    assert (done.returncode, done.stdout) == (2, "")
    assert "never overwrites" in done.stderr
    assert (tmp_path / "mine").read_text() == "mine"
    done = run("--record", str(tmp_path / "new"), "status", **state)
    assert done.returncode == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_replay_in_a_terminal_and_the_terminal_goes(recorded: Path, size: tuple[int, int]) -> None:
    term = Terminal([*TUI, "replay", str(recorded)], *size)
    try:
        term.until(lambda text: "REPLAY ▶" in text and "DataSage" in text)
        term.press(" ")
        term.until(lambda text: "REPLAY ⏸" in text)
        term.press("\x1b[F")  # end
        term.until(lambda text: "100 %" in text)
        term.press("\x1b[D\x1b[D\x1b[D")  # three times ten seconds back
        term.until(lambda text: "75 %" in text)
        term.press("/nova\r")
        term.until(lambda text: "/nova hides 1" in text)
        term.press("S")
        term.until(lambda text: "this is a recording" in text)
        term.press(" ++")
        term.until(lambda text: "▶ 5×" in text)
        term.hang_up()
        assert term.process.wait(60) in (128 + signal.SIGHUP, -signal.SIGHUP)
    finally:
        term.close()


def test_a_replay_starts_where_it_is_told_to(recorded: Path) -> None:
    term = Terminal([*TUI, "replay", str(recorded), "--at", "-30s"])
    try:
        term.until(lambda text: "75 %" in text and "out of luck" in text)
        term.press("q")
        assert term.wait() == 0
    finally:
        term.close()

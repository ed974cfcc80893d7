"""The demo: everything moves, and nothing is left of it, however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from aster_tui.console.theme import theme
from aster_tui.demo.fleet import AGENTS
from aster_tui.domain.safeguards import RULES
from tests import rig
from tests.console.pty_terminal import Terminal

DEMO = [sys.executable, "-m", "aster_tui", "demo"]


def processes(folder: str) -> list[str]:
    """Command lines of processes that know this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            found.append(line)
    return found


def environment(temporary: Path) -> dict[str, str]:
    # Its folder must be short for the database's socket, and ours alone, so that leftovers are seen.
    return {**os.environ, "TMPDIR": str(temporary)}


@pytest.fixture
def temporary() -> Any:
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as folder:
        yield Path(folder)


def nothing_is_left(temporary: Path) -> None:
    deadline = time.monotonic() + 15
    while left := [*processes(str(temporary)), *(str(p) for p in temporary.iterdir())]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
def test_headless_prints_a_status_with_everything_moving(temporary: Path) -> None:
    ended = subprocess.run(
        [*DEMO, "--headless", "--seconds", "14"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment(temporary),
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert {a["name"] for a in document["agents"]} == {name for name, _, _ in AGENTS}
    assert [a["mode"] for a in document["agents"]].count("real") == 3
    positions = [p for a in document["agents"] for p in a["positions"]]
    assert len(positions) >= 6
    assert all(p["mark_price"] for p in positions)
    assert any(p["mark_price"] != p["entry_price"] for p in positions)
    assert {f["state"] for f in document["feeds"]} == {"live"}
    assert len(document["feeds"]) == 6
    assert document["metrics"]["orders_seen"] > 20
    assert any(a["last_error"] for a in document["agents"])
    nothing_is_left(temporary)


def liked(folder: Path, monkeypatch: pytest.MonkeyPatch, settings: str) -> None:
    """The operator's own settings file, and a state folder of their own."""
    (folder / "aster-tui").mkdir()
    (folder / "aster-tui" / "settings.toml").write_text(settings)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))


def demo_terminal(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TMPDIR", str(temporary))
    term = Terminal(DEMO)
    term.until(lambda text: "NeuralSniper" in text and "● REAL" in text, patience=60)
    term.until(lambda text: re.search(r"Positions \d+", text), patience=60)
    return term


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
def test_within_ten_seconds_orders_fills_a_refusal_and_drift_are_on_screen(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    liked(tmp_path, monkeypatch, 'theme = "colour-blind"\n[keys]\n"pane.operators" = "f6"\n')
    term = demo_terminal(temporary, monkeypatch)
    try:
        # Whichever comes first may have left the screen when the last one comes.
        missing = {"FILLED", "order size", "drift"}

        def all_seen(text: str) -> bool:
            missing.difference_update({word for word in missing if word in text})
            return not missing

        term.until(all_seen, patience=120)
        print(f"all on screen after {time.monotonic() - started:.1f} s")
        term.press("\x1b[17~")  # f6, as the operator's settings have it
        term.until(lambda text: "(you)" in text, patience=60)
        assert theme("colour-blind").variables["aster-loss"].removeprefix("#") in term.colours()
        term.press("q")
        assert term.wait(60) == 0
    finally:
        term.close()
    nothing_is_left(temporary)
    assert not [*(tmp_path / "state").rglob("*")], "the operator's own state is not touched"


#: What a decision that is none is refused for, before any safeguard is asked.
NO_DECISIONS = (
    "on the wrong side",
    "MOON is unknown",
    "size_usd is missing",
    "must be a number, not the text",
    "leverage must be a whole number",
    "smallest quantity",
)


@pytest.mark.timeout(300)
async def test_every_safeguard_is_met_and_every_decision_that_is_none(
    temporary: Path, tmp_path: Path
) -> None:
    """What the demo's console would show: an engine that watches the host's servers."""
    (temporary / "f").mkdir()
    command = [sys.executable, "-m", "aster_tui.demo.host", "--folder", str(temporary / "f"), "--haste", "4"]
    host = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert host.stdout is not None
        served = json.loads(await host.stdout.readline())
        settings = rig.settings(
            tmp_path,
            served["rest"],
            served["ws"],
            served["mongodb_uri"],
            served["mongodb_database"],
            read_only=True,
        )
        day = time.time() // 86_400
        with rig.running(settings, served["environment"]) as engine:

            def unseen() -> list[str]:
                shown = [e for e in engine.snapshot().errors if e.source in ("safeguard", "decision")]
                words = "\n".join(e.message for e in shown)
                tripped = [
                    name for name in RULES if f": {name}: " not in words and f"; {name}: " not in words
                ]
                if time.time() // 86_400 > day and "daily loss" in tripped:
                    tripped.remove("daily loss")  # the day on which the demo's unlucky agent lost is over
                return tripped + [part for part in NO_DECISIONS if part not in words]

            try:
                await rig.until(lambda: not unseen(), "all of them", 240)
            except AssertionError:
                raise AssertionError(f"never seen: {unseen()}") from None
            # The worker's own words for the rest: an order that the exchange refused, and a drift.
            await rig.until(lambda: "-4087" in {e.code for e in engine.snapshot().errors})
            await rig.until(lambda: "different size" in rig.errors(engine))
            real = [a for a in engine.snapshot().agents if a.mode == "real"]
            assert len(real) == 3, "what goes wrong on purpose leaves its agents real"
    finally:
        if host.stdin is not None:
            host.stdin.close()
        assert await asyncio.wait_for(host.wait(), 60) == 0
    nothing_is_left(temporary)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left_however_the_console_ends(
    number: int, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    term = demo_terminal(temporary, monkeypatch)
    try:
        assert len(processes(str(temporary))) >= 2
        os.kill(term.process.pid, number)
        term.wait(60)
    finally:
        term.close()
    nothing_is_left(temporary)


def test_keys_of_the_settings_that_cannot_be_are_said_in_one_line(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liked(tmp_path, monkeypatch, '[keys]\n"pane.operator" = "f6"\n')
    ended = subprocess.run(
        DEMO, capture_output=True, text=True, timeout=60, check=False, env=environment(temporary)
    )
    assert ended.returncode == 2
    (said,) = ended.stderr.strip().splitlines()
    assert "did you mean pane.operators?" in said
    nothing_is_left(temporary)


def test_without_a_mongod_it_says_in_one_line_what_to_install(temporary: Path) -> None:
    code = (
        "import sys, shutil, importlib.util as u; shutil.which = lambda name: None; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'fiftyone' else find(name, *a)\n"
        "from aster_tui.cli import main; main(['demo', '--headless', '--seconds', '1'])"
    )
    env = {n: v for n, v in environment(temporary).items() if n != "MONGODB_URI"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    assert ended.returncode == 5
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "install mongod" in ended.stderr
    nothing_is_left(temporary)

"""``aster-tui drill``: every incident on an exchange of its own, with nothing of this installation in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aster_tui.domain.drill import INCIDENTS
from tests.test_cli import run


@pytest.mark.parametrize("incident", INCIDENTS)
def test_every_incident_ends_flat_and_is_kept(tmp_path: Path, incident: str) -> None:
    state = tmp_path / "state"
    # What an operator has set here must not reach the drill.
    env = {
        "ASTER_TUI_STATE_DIR": str(state),
        "MONGODB_URI": "mongodb://user:secret@127.0.0.1:1",
        "AGENT_REAL_USER": "0x" + "12" * 20,
        "AGENT_REAL_PRIVATE_KEY": "0x" + "34" * 32,
    }
    done = run(
        "drill",
        "--incident",
        incident,
        "--accounts",
        "2",
        "--positions",
        "4",
        "--json",
        env=env,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["exit_code"], told["left"], told["incident"]) == (True, 0, [], incident)
    assert 0 < told["closed_ms"] <= told["flat_ms"] <= told["process_ms"] + 1_000
    assert told["verified_ms"] <= told["process_ms"]
    assert (told["beside"], told["earlier"]) == ("the first of its kind", [])
    assert (told["orders"], told["liquidated"]) == (4, 0)
    kept = (state / "drills.jsonl").read_text().splitlines()
    assert [json.loads(line)["incident"] for line in kept] == [incident]
    assert [p.name for p in state.iterdir()] == ["drills.jsonl"]


def test_the_next_is_shown_beside_the_earlier(tmp_path: Path) -> None:
    env = {"ASTER_TUI_STATE_DIR": str(tmp_path)}
    for _ in range(2):
        done = run("drill", "--accounts", "1", "--positions", "2", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    *lines, compared = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.endswith("ok") for line in lines)
    assert "against the median of 1 earlier one" in compared


def test_a_result_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    env = {"ASTER_TUI_STATE_DIR": str(tmp_path / "file" / "state")}
    done = run("drill", "--accounts", "1", "--positions", "1", "--json", env=env, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be kept" in json.loads(done.stdout)["message"]

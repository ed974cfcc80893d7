"""The commands as processes: documents on stdout, words on stderr, exit codes that can be relied on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.rig import agent_document

CLEAN = {
    n: v
    for n, v in os.environ.items()
    if not n.startswith(("ASTER_TUI_", "AGENT_", "SHARED_ASTER", "MONGODB_"))
}


def run(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aster_tui", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**CLEAN, **(env or {})},
        cwd=cwd,
    )


@contextmanager
def practice(*arguments: str) -> Iterator[dict[str, Any]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "aster_tui", "practice", "--port", "0", "--no-funding", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        yield json.loads(running.stdout.readline())
    finally:
        running.terminate()
        running.wait(60)


@contextmanager
def pointed(tmp_path: Path, mongo_uri: str, database: str, raw_database: Any) -> Iterator[dict[str, str]]:
    """The environment of an installation on a practice exchange with two real agents and a paper one."""
    with practice("--accounts", "2", "--positions", "2") as ready:
        first, second = ready["accounts"]
        raw_database.agents.insert_many(
            [agent_document("Sniper", first), agent_document("Crane", second), agent_document("Sage")]
        )
        yield {
            "ASTER_TUI_REST_URL": ready["rest"],
            "ASTER_TUI_WS_URL": ready["ws"],
            "ASTER_TUI_CHAIN_ID": str(ready["chain_id"]),
            "ASTER_TUI_STATE_DIR": str(tmp_path / "state"),
            "ASTER_TUI_MONGODB_DATABASE": database,
            "MONGODB_URI": mongo_uri,
            "AGENT_SNIPER_PRIVATE_KEY": first["signer_private_key"],
            "AGENT_CRANE_PRIVATE_KEY": second["signer_private_key"],
        }


def test_status_and_sync(tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any) -> None:
    with pointed(tmp_path, mongo_uri, mongo_database, raw_database) as env:
        seen = run("status", "--json", env=env, cwd=tmp_path)
        assert seen.returncode == 0, seen.stderr
        document = json.loads(seen.stdout)
        assert (document["network"], document["read_only"], document["halted"]) == ("PRACTICE", True, False)
        agents = {a["name"]: a for a in document["agents"]}
        assert {n: a["mode"] for n, a in agents.items()} == {
            "Sniper": "real",
            "Crane": "real",
            "Sage": "paper",
        }
        assert len(agents["Sniper"]["positions"]) == 2
        for position in agents["Sniper"]["positions"]:
            assert set(position) == {
                "symbol",
                "side",
                "quantity",
                "entry_price",
                "mark_price",
                "unrealized_pnl",
            }
            assert position["side"] in ("long", "short")
            assert isinstance(position["unrealized_pnl"], str)
        assert {f["state"] for f in document["feeds"]} == {"live"}
        assert raw_database.positions.count_documents({}) == 0  # looking wrote nothing

        synced = run("sync", "--agent", "sniper", "--json", env=env, cwd=tmp_path)
        assert synced.returncode == 0, synced.stderr
        answer = json.loads(synced.stdout)
        assert (answer["ok"], answer["code"], len(answer["agents"])) == (True, "done", 1)
        assert raw_database.positions.count_documents({"agentName": "Sniper", "status": "open"}) == 2
        again = json.loads(run("sync", "--json", env=env, cwd=tmp_path).stdout)
        assert {row["name"]: row["ok"] for row in again["agents"]} == {"Sniper": True, "Crane": True}
        assert next(r for r in again["agents"] if r["name"] == "Sniper")["drift"] == []

        people = run("status", env=env, cwd=tmp_path)
        assert "Sniper" in people.stdout
        assert "exchange" in people.stderr
        for wrong in (["sync", "--agent", "Nobody"], ["sync", "--agent", "Sage"]):
            refused = run(*wrong, env=env, cwd=tmp_path)
            assert refused.returncode == 2
            assert len(refused.stderr.strip().splitlines()) == 1
        for key in ("AGENT_SNIPER_PRIVATE_KEY", "AGENT_CRANE_PRIVATE_KEY"):
            log = (tmp_path / "state" / "log" / "aster-tui.jsonl").read_text()
            assert env[key][2:] not in log + seen.stdout + seen.stderr


def test_status_without_anything_says_what_is_missing_and_exits_5(tmp_path: Path) -> None:
    env = {
        "ASTER_TUI_PROFILE": "practice",
        "ASTER_TUI_REST_URL": "http://127.0.0.1:1",
        "ASTER_TUI_WS_URL": "ws://127.0.0.1:1",
        "ASTER_TUI_STATE_DIR": str(tmp_path),
    }
    ended = run("status", "--json", env=env, cwd=tmp_path)
    assert ended.returncode == 5
    document = json.loads(ended.stdout)
    assert document["agents"] == []
    assert {f["name"]: f["state"] for f in document["feeds"]} == {
        "exchange": "down",
        "marks": "down",
        "mongo": "off",
    }
    assert "Traceback" not in ended.stderr
    assert "127.0.0.1:1" in ended.stderr


def test_sync_in_read_only_mode_is_refused(tmp_path: Path) -> None:
    ended = run("--read-only", "sync", "--json", cwd=tmp_path, env={"ASTER_TUI_STATE_DIR": str(tmp_path)})
    assert ended.returncode == 3
    assert json.loads(ended.stdout)["ok"] is False


@pytest.mark.parametrize(
    ("arguments", "env", "word"),
    [
        (["status"], {"ASTER_TUI_CHAIN_ID": "many"}, "ASTER_TUI_CHAIN_ID"),
        (["status"], {"ASTER_TUI_REST_URL": "ftp://x"}, "ASTER_TUI_REST_URL"),
        (["status"], {"MONGODB_URI": "postgres://me:geheim@x"}, "MONGODB_URI"),
        (["--profile", "moon", "paths"], {}, "--profile"),
        (["demo", "--seconds", "5"], {}, "--headless"),
        (["demo", "--agents", "0"], {}, "--agents"),
        (["completion", "basic"], {}, "bash"),
        (["nonsense"], {}, "nonsense"),
    ],
)
def test_wrong_usage_is_said_in_words_with_exit_2(
    arguments: list[str], env: dict[str, str], word: str, tmp_path: Path
) -> None:
    ended = run(*arguments, env=env, cwd=tmp_path)
    assert ended.returncode == 2
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "geheim" not in ended.stderr


def test_version_paths_and_completion(tmp_path: Path) -> None:
    from aster_tui import __version__

    assert run("--version").stdout.strip() == f"aster-tui, version {__version__}"
    paths = json.loads(
        run("paths", "--json", env={"ASTER_TUI_STATE_DIR": str(tmp_path)}, cwd=tmp_path).stdout
    )
    assert paths["state"] == str(tmp_path)
    assert "_ASTER_TUI_COMPLETE" in run("completion", "bash").stdout


def test_the_command_line_starts_light() -> None:
    heavy = ("textual", "httpx", "motor", "pymongo", "eth_account", "aiohttp", "structlog", "pydantic")
    code = f"import sys, aster_tui.cli; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [(), ("demo",)])
def test_a_console_without_a_terminal_is_refused_in_one_line(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    env = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "aster_tui", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "the console needs a terminal" in ended.stderr
    assert ended.stdout == ""

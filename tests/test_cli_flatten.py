"""``aster-tui close-all`` as a process: its document, its exit codes, and who it closes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from aster_tui.engine.halts import HaltFile
from aster_tui.store.audit import chains
from tests.console.pty_terminal import Terminal
from tests.rig import agent_document
from tests.test_cli import CLEAN, practice, run

KEYS = {
    *("account", "agents", "positions_before", "close_orders", "orders_cancelled", "rounds", "remaining"),
    *("open_orders_left", "error"),
}


def environment(tmp_path: Path, ready: Mapping[str, Any], *names: str) -> dict[str, str]:
    """The environment of an installation without MongoDB, with agents of these names on the accounts."""
    found = {
        "ASTER_TUI_REST_URL": ready["rest"],
        "ASTER_TUI_WS_URL": ready["ws"],
        "ASTER_TUI_CHAIN_ID": str(ready["chain_id"]),
        "ASTER_TUI_STATE_DIR": str(tmp_path / "state"),
    }
    for name, account in zip(names, ready["accounts"], strict=False):
        found[f"AGENT_{name}_USER"] = account["user"]
        found[f"AGENT_{name}_PRIVATE_KEY"] = account["signer_private_key"]
    return found


def state(ready: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{ready['rest']}/practice/state").json()["accounts"]
    return found


@contextmanager
def two(tmp_path: Path) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    with practice("--accounts", "2", "--positions", "3") as ready:
        yield ready, environment(tmp_path, ready, "SNIPER", "CRANE")


def test_everything_is_closed_and_the_document_says_how(tmp_path: Path) -> None:
    with two(tmp_path) as (ready, env):
        before = state(ready)
        done = run("close-all", "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["flat"] is True
        assert told["verified_at"] > 1_600_000_000_000
        assert told["elapsed_ms"] == sum(step["ms"] for step in told["steps"])
        assert [a["agents"] for a in told["accounts"]] == [["CRANE"], ["SNIPER"]]
        assert max(a["verified_at"] for a in told["accounts"]) == told["verified_at"]
        for account in told["accounts"]:
            assert account.keys() >= KEYS
            assert (account["positions_before"], account["rounds"], account["error"]) == (3, 1, "")
            assert (account["remaining"], account["open_orders_left"]) == ([], 0)
            closed = {
                c["symbol"]: float(c["quantity"]) * (1 if c["side"] == "SELL" else -1)
                for c in account["close_orders"]
            }
            held = {p["symbol"]: float(p["positionAmt"]) for p in before[account["account"]]["positions"]}
            assert closed == held
            assert all(c["status"] == "FILLED" and float(c["avg_price"]) > 0 for c in account["close_orders"])
        assert not any(a["positions"] or a["open_orders"] for a in state(ready).values())
        assert Path(told["incident"]).is_file()
        ((_, lines, wrong),) = chains(tmp_path / "state")
        assert not wrong
        assert [(line.phase, line.outcome) for line in lines] == [("asked", ""), ("answered", "done")]
        assert {line.words for line in lines} == {"aster-tui close-all"}
        assert HaltFile(tmp_path / "state").read()["fleet"].control.state == "HALTED"
        keys = [a["signer_private_key"].removeprefix("0x") for a in ready["accounts"]]
        written = [p.read_bytes() for p in (tmp_path / "state").rglob("*") if p.is_file()]
        assert not any(k.encode() in text for k in keys for text in written)
        assert not any(k in done.stdout + done.stderr for k in keys)

        again = run("close-all", "--yes", env=env, cwd=tmp_path)
        assert again.returncode == 0
        assert "0 positions closed" in again.stdout


def test_chosen_agents_and_symbols_and_nobody_else(tmp_path: Path) -> None:
    with two(tmp_path) as (ready, env):
        sniper, crane = (a["user"] for a in ready["accounts"])
        before = state(ready)
        done = run("close-all", "--agent", "sniper", "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        after = state(ready)
        assert after[sniper]["positions"] == []
        assert after[crane] == before[crane]
        assert set(HaltFile(tmp_path / "state").read()) == {"env:SNIPER"}

        symbol = before[crane]["positions"][0]["symbol"]
        done = run("close-all", "--symbol", symbol, "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        left = [p["symbol"] for p in state(ready)[crane]["positions"]]
        assert left == [p["symbol"] for p in before[crane]["positions"] if p["symbol"] != symbol]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--read-only", "close-all", "--yes"), 3, "read-only"),
        (("--no-keys", "close-all", "--yes"), 3, "read-only"),
        (("close-all",), 2, "--yes"),
        (
            ("close-all", "--agent", "nobody", "--yes"),
            2,
            "nobody: nothing was closed; known are CRANE, SNIPER",
        ),
        (("close-all", "--deadline", "soon", "--yes"), 2, "--deadline"),
        (("close-all", "--symbol", "btcc", "--yes"), 2, "the exchange has no BTCCUSDT"),
    ],
)
def test_what_is_refused_touches_nothing(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    with two(tmp_path) as (ready, env):
        before = state(ready)
        done = run(*arguments, env=env, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (code, "")
        assert words in done.stderr
        assert state(ready) == before
        assert not HaltFile(tmp_path / "state").read()
        if code != 2 or "nobody" in arguments or "btcc" in arguments:
            told = json.loads(run(*arguments, "--json", env=env, cwd=tmp_path).stdout)
            assert (told["ok"], told["flat"]) == (False, False)
            assert words in told["message"]


def test_no_account_and_no_key_and_no_exchange_have_codes_of_their_own(tmp_path: Path) -> None:
    with two(tmp_path) as (_, env):
        none = {n: v for n, v in env.items() if not n.startswith("AGENT_")}
        done = run("close-all", "--yes", env=none, cwd=tmp_path)
        assert done.returncode == 3
        assert "no account is known" in done.stderr
        keyless = {n: v for n, v in env.items() if not n.endswith("PRIVATE_KEY")}
        done = run("close-all", "--yes", "--json", env=keyless, cwd=tmp_path)
        assert done.returncode == 3
        assert "has no key" in json.loads(done.stdout)["accounts"][0]["error"]
        half = {n: v for n, v in env.items() if n != "AGENT_CRANE_PRIVATE_KEY"}
        done = run("close-all", "--yes", "--json", env=half, cwd=tmp_path)
        assert done.returncode == 1
        assert {a["agents"][0]: a["error"] == "" for a in json.loads(done.stdout)["accounts"]} == {
            "CRANE": False,
            "SNIPER": True,
        }
    done = run("close-all", "--yes", "--json", "--deadline", "1", env=env, cwd=tmp_path)
    assert done.returncode == 5
    assert "cannot be reached" in json.loads(done.stdout)["accounts"][0]["error"]


def test_a_reader_that_is_gone_changes_no_exit_code(tmp_path: Path) -> None:
    with two(tmp_path) as (ready, env):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "aster_tui", "close-all", "--yes"]
        try:
            done = subprocess.run(
                command, env={**CLEAN, **env}, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True
            )
        finally:
            os.close(writing)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert not any(a["positions"] for a in state(ready).values())


def test_agents_only_the_database_knows_and_those_who_share_an_account(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    with two(tmp_path) as (ready, env):
        first, second = ready["accounts"]
        sage = raw_database.agents.insert_one(agent_document("Sage", second)).inserted_id
        raw_database.agents.insert_one(agent_document("Scribe", second))
        raw_database.agents.insert_one(agent_document("Paper"))
        env = {n: v for n, v in env.items() if "CRANE" not in n}
        env |= {
            "MONGODB_URI": mongo_uri,
            "ASTER_TUI_MONGODB_DATABASE": mongo_database,
            "AGENT_SAGE_PRIVATE_KEY": second["signer_private_key"],
        }
        done = run("close-all", "--agent", "Sage", "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert [a["agents"] for a in told["accounts"]] == [["Sage", "Scribe"]]
        assert any("Scribe share" in note for note in told["notes"])
        assert [len(state(ready)[a["user"]]["positions"]) for a in (first, second)] == [3, 0]
        controls = {c["_id"]: c["state"] for c in raw_database.controls.find()}
        assert controls[str(sage)] == "HALTED"
        assert len(controls) == 2

        done = run("close-all", "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert {tuple(a["agents"]) for a in json.loads(done.stdout)["accounts"]} == {
            ("SNIPER",),
            ("Sage", "Scribe"),
        }
        assert not any(a["positions"] for a in state(ready).values())
        assert raw_database.controls.find_one({"_id": "fleet"})["state"] == "HALTED"


def test_an_agent_of_the_database_without_an_address_is_on_the_shared_account(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    with two(tmp_path) as (ready, env):
        shared = ready["accounts"][1]
        env = {n: v for n, v in env.items() if "CRANE" not in n}
        env |= {
            "MONGODB_URI": mongo_uri,
            "ASTER_TUI_MONGODB_DATABASE": mongo_database,
            "SHARED_ASTER_USER": shared["user"],
            "SHARED_ASTER_SIGNER_PRIVATE_KEY": shared["signer_private_key"],
        }
        raw_database.agents.insert_one(agent_document("Crane", isPaperTrading=False))
        done = run("close-all", "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not any(a["positions"] for a in state(ready).values())
        told = json.loads(done.stdout)
        assert {a["account"] for a in told["accounts"]} == {a["user"] for a in ready["accounts"]}


def test_an_agent_that_only_the_database_may_know_is_not_called_unknown_while_it_is_away(
    tmp_path: Path,
) -> None:
    with two(tmp_path) as (ready, env):
        before = state(ready)
        env["MONGODB_URI"] = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500"
        done = run("close-all", "--agent", "sage", "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 5, done.stdout
        assert "only it knows" in json.loads(done.stdout)["message"]
        assert state(ready) == before


def test_a_database_that_is_gone_is_said_and_delays_nothing(tmp_path: Path) -> None:
    with two(tmp_path) as (ready, env):
        env["MONGODB_URI"] = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000"
        done = run("close-all", "--yes", "--json", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert any("only it knows" in note for note in told["notes"])
        assert told["halt"].startswith("the fleet is halted on this machine; ")
        assert "others may not know" in told["halt"]
        assert HaltFile(tmp_path / "state").read()["fleet"].pending
        assert not any(a["positions"] for a in state(ready).values())


@pytest.mark.parametrize(("typed", "code"), [("close\n", 0), ("y\n", 3), ("\n", 3)])
def test_on_a_terminal_it_shows_what_it_would_close_and_wants_a_word(
    tmp_path: Path, typed: str, code: int
) -> None:
    with two(tmp_path) as (ready, env):
        held = state(ready)
        env |= {"PYTHONPATH": os.getcwd(), "AGENT_SHARING_USER": ready["accounts"][0]["user"]}
        command = [sys.executable, "-m", "aster_tui", "close-all", "--agent", "sniper"]
        env = {**dict.fromkeys(("MONGODB_URI",), ""), **env}
        terminal = Terminal(command, 120, 30, **env)
        try:
            shown = terminal.until(lambda text: "type close to go on" in text)
            assert "PRACTICE" in shown
            assert "3 positions" in shown
            assert "SHARING" in shown.upper()
            assert all(p["symbol"] in shown for p in held[ready["accounts"][0]["user"]]["positions"])
            assert state(ready) == held
            terminal.press(typed)
            assert terminal.process.wait(30) == code
        finally:
            terminal.close()
        left = state(ready)
        assert (left == held) == (code != 0)
        assert left[ready["accounts"][1]["user"]] == held[ready["accounts"][1]["user"]]


def test_it_starts_without_what_it_does_not_need() -> None:
    heavy = ("textual", "motor", "pymongo", "eth_account", "aiohttp", "aster_tui.domain.events")
    code = f"import sys, aster_tui.cli.doing_flatten; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""The operator's commands as processes: what they answer, and what reached the exchange."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from aster_tui.domain.documents import AgentDocument
from aster_tui.engine.halt_file import HaltFile
from aster_tui.engine.remembered import remember
from aster_tui.store.mongod import LocalMongod
from tests.test_cli import CLEAN, pointed, run


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def state(env: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{env['ASTER_TUI_REST_URL']}/practice/state").json()
    return found


ETH = ("order", "--agent", "sniper", "--symbol", "ETH", "--side", "buy", "--type", "market")


def test_orders_from_the_command_line(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    with pointed(tmp_path, mongo_uri, mongo_database, raw_database) as env:
        before = state(env)["executed_orders"]
        low = run("leverage", "--agent", "Sniper", "--symbol", "eth", "5", "--yes", "--json", env=env)
        assert (low.returncode, answered(low)["leverage"]) == (0, 5), low
        # Nobody is asked and nothing is sent where there is no terminal and no --yes.
        assert run(*ETH, "--quantity", "0.01", "--json", env=env).returncode == 2
        tested = run(*ETH, "--quantity", "0.01", "--test", "--json", env=env)
        assert (tested.returncode, answered(tested)["test"]) == (0, True), tested
        assert state(env)["executed_orders"] == before
        wrong = run(*ETH, "--quantity", "lots", "--yes", "--json", env=env)
        assert (wrong.returncode, answered(wrong)["code"]) == (2, "usage")
        large = run(*ETH, "--size-usd", "900", "--yes", "--json", env=env)
        assert (large.returncode, answered(large)["code"]) == (3, "refused"), large
        assert "order size" in answered(large)["message"]
        assert state(env)["executed_orders"] == before
        placed = run(*ETH, "--quantity", "0.01", "--yes", "--json", env=env)
        document = answered(placed)
        assert (placed.returncode, document["ok"], document["code"]) == (0, True, "done"), placed
        assert document["received"]["status"] == "FILLED"
        assert state(env)["executed_orders"] == before + 1
        watching = run("--read-only", *ETH, "--quantity", "0.01", "--yes", "--json", env=env)
        assert (watching.returncode, answered(watching)["code"]) == (3, "refused")
        closed = run("reduce", "--agent", "Sniper", "--symbol", "ETHUSDT", "--yes", "--json", env=env)
        assert closed.returncode == 0, closed
        assert state(env)["executed_orders"] == before + 2
        paper = run("cancel", "--agent", "Sage", "--all", "--yes", "--json", env=env)
        assert (paper.returncode, answered(paper)["code"]) == (3, "refused")
        nobody = run("cancel", "--agent", "Nobody", "--all", "--yes", "--json", env=env)
        assert (nobody.returncode, answered(nobody)["code"]) == (2, "usage")
        audit = run("log", "audit", "--json", env=env)
        told = answered(audit)
        assert (audit.returncode, told["ok"]) == (0, True)
        assert len(told["lines"]) >= 10
        assert {line["phase"] for line in told["lines"]} == {"asked", "answered"}
        orders = answered(run("log", "orders", "--agent", "Sniper", "--json", env=env))
        assert {o["client_order_id"] for o in orders["orders"]} >= {document["received"]["client_order_id"]}
        # Without the database this machine still knows; a line that is gone is found out.
        chain = next((tmp_path / "state" / "audit").glob("*.jsonl"))
        chain.write_text("\n".join(chain.read_text().splitlines()[:-1]) + "\n")
        cut = run("log", "audit", "--json", env=env)
        assert (cut.returncode, "its end was cut" in answered(cut)["message"]) == (1, True), cut.stdout


def test_modes_and_the_doctor(tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any) -> None:
    with pointed(tmp_path, mongo_uri, mongo_database, raw_database) as env:
        healthy = run("doctor", "--json", env=env)
        checks = answered(healthy)["checks"]
        assert healthy.returncode == 0, healthy
        assert {(c["agent"], c["name"]) for c in checks} >= {("Sniper", "test order"), ("", "clock")}
        assert all({"name", "agent", "ok", "message", "remedy"} == set(c) for c in checks)
        unknown = run("doctor", "--agent", "Snipper", env=env)
        assert unknown.returncode == 1
        assert "Snipper agent: no such agent is known; known are" in unknown.stdout
        sick = run("doctor", "--json", env={**env, "AGENT_CRANE_PRIVATE_KEY": "0x" + "1" * 64})
        bad = [c for c in answered(sick)["checks"] if not c["ok"]]
        assert (sick.returncode, [(c["agent"], c["name"]) for c in bad]) == (1, [("Crane", "key")])
        assert "1111" not in sick.stdout + sick.stderr
        kept = run("mode", "Sniper", "paper", "--yes", "--json", env=env)
        assert (kept.returncode, len(answered(kept)["agents"][0]["kept"])) == (0, 2), kept
        assert raw_database.agents.find_one({"name": "Sniper"})["isPaperTrading"] is True
        back = run("mode", "Sniper", "real", "--yes", "--json", env=env)
        assert back.returncode == 0, back
        assert raw_database.agents.find_one({"name": "Sniper"})["isPaperTrading"] is False
        keyless = run("mode", "Sage", "real", "--yes", "--json", env=env)
        assert (keyless.returncode, answered(keyless)["code"]) == (3, "refused"), keyless
        assert raw_database.agents.find_one({"name": "Sage"}).get("isPaperTrading") is not False


def test_halt_and_resume_with_and_without_the_database(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    with pointed(tmp_path, mongo_uri, mongo_database, raw_database) as env:
        nobody = run("halt", "--agent", "Snipper", "--reason", "storm", env=env)
        assert nobody.returncode == 2
        assert "no agent is called Snipper; known are Crane, Sage, Sniper" in nobody.stderr
        halted = run("halt", "--reason", "storm", "--json", env=env)
        assert (halted.returncode, answered(halted)["trading"]) == (0, "HALTED"), halted
        assert raw_database.controls.find_one({"_id": "fleet"})["reason"] == "storm"
        document = answered(run("status", "--json", env=env))
        assert (document["halted"], all(a["halted"] for a in document["agents"])) == (True, True)
        refused = run(*ETH, "--quantity", "0.01", "--yes", "--json", env=env)
        assert (refused.returncode, "HALTED: storm" in answered(refused)["message"]) == (3, True)
        assert run("resume", "--json", env=env).returncode == 2  # a reason is wanted
        assert run("resume", "--reason", "over", "--json", env=env).returncode == 0
        assert answered(run("status", "--json", env=env))["halted"] is False
        one = run("halt", "--agent", "Crane", "--reducing", "--json", env=env)
        assert one.returncode == 0, one
        document = answered(run("status", "--json", env=env))
        assert {a["name"]: a["halted"] for a in document["agents"]}["Crane"] is True
        assert document["halted"] is False
        dead = {**env, "MONGODB_URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"}
        here = run("halt", "--reason", "blind", "--json", env=dead)
        assert (here.returncode, answered(here)["code"]) == (5, "unreachable"), here
        # This machine obeys it, and tells the database when it is back.
        refused = run(*ETH, "--quantity", "0.01", "--yes", "--json", env=env)
        assert (refused.returncode, "HALTED: blind" in answered(refused)["message"]) == (3, True), refused
        assert raw_database.controls.find_one({"_id": "fleet"})["reason"] == "blind"


def test_a_halt_of_one_agent_holds_here_before_the_database_answers(tmp_path: Path) -> None:
    state_folder, folder = tmp_path / "state", tmp_path / "mongo"
    folder.mkdir()
    remember(state_folder, "PRACTICE", [AgentDocument("id-1", "Sniper", paper=False)])
    with LocalMongod(folder) as mongod:
        os.kill(mongod.pid, signal.SIGSTOP)
        try:
            halting = subprocess.Popen(
                [sys.executable, "-m", "aster_tui", "halt", "--agent", "sniper", "--reason", "smoke"],
                env={
                    **CLEAN,
                    "ASTER_TUI_PROFILE": "practice",
                    "ASTER_TUI_STATE_DIR": str(state_folder),
                    "MONGODB_URI": mongod.uri,
                },
                cwd=tmp_path,
                stderr=subprocess.PIPE,
                text=True,
            )
            while halting.poll() is None and "id-1" not in HaltFile(state_folder).read():
                time.sleep(0.01)
            assert halting.poll() is None, "it was the database that was waited for"
            _, errors = halting.communicate(timeout=60)
        finally:
            os.kill(mongod.pid, signal.SIGCONT)
        assert halting.returncode == 5
        assert "others were not told" in errors


def test_all_agents_of_one_name_are_halted(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    with pointed(tmp_path, mongo_uri, mongo_database, raw_database) as env:
        twins = {str(raw_database.agents.insert_one({"name": name}).inserted_id) for name in ("Twin", "twin")}
        done = run("halt", "--agent", "TWIN", "--json", env=env)
        assert done.returncode == 0, done
        assert {c["_id"] for c in raw_database.controls.find({"state": "HALTED"})} == twins

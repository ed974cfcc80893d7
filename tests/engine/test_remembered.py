"""The agents of the last connection, for when the database is away."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.domain.documents import AgentDocument
from aster_tui.engine.remembered import recall, remember
from tests import rig

USER = "0x" + "12" * 20


def agent(name: str, *, paper: bool, keeps: bool = False, user: str | None = USER) -> AgentDocument:
    return AgentDocument(
        f"id-{name}", name, balance=Decimal(0), paper=paper, user_address=user, keeps_positions=keeps
    )


def test_who_is_on_a_real_account_is_remembered_also_who_left_positions_there(tmp_path: Path) -> None:
    real, left, paper = (
        agent("Real", paper=False),
        agent("Left", paper=True, keeps=True),
        agent("P", paper=True),
    )
    remember(tmp_path, "TESTNET", [real, left, paper])
    assert [(a.name, a.on_account, a.user_address) for a in recall(tmp_path, "TESTNET")] == [
        ("Real", True, USER),
        ("Left", True, USER),
    ]
    assert [a.name for a in recall(tmp_path, "TESTNET", paper=True)] == ["Real", "Left", "P"]
    assert recall(tmp_path, "MAINNET") == ()


def test_a_broken_file_remembers_nobody(tmp_path: Path) -> None:
    (tmp_path / "agents.json").write_text('{"TESTNET": [1, {"name": 2}')
    assert recall(tmp_path, "TESTNET") == ()


async def test_who_comes_to_a_real_account_is_remembered_at_once(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    chosen = rig.settings(tmp_path, "http://127.0.0.1:1", "ws://127.0.0.1:1", mongo_uri, mongo_database)
    raw_database.agents.insert_one(rig.agent_document("Sniper"))
    with rig.running(chosen) as engine:
        await rig.until(lambda: rig.agent(engine, "Sniper"), "it is known")
        await rig.until(lambda: recall(chosen.state_folder, "PRACTICE", paper=True), "it is remembered")
        assert not recall(chosen.state_folder, "PRACTICE")
        update = {"isPaperTrading": False, "asterUserAddress": USER}
        raw_database.agents.update_one({"name": "Sniper"}, {"$set": update})
        await rig.until(lambda: recall(chosen.state_folder, "PRACTICE"), "it is remembered as real")
        (known,) = recall(chosen.state_folder, "PRACTICE")
        assert known.user_address == USER

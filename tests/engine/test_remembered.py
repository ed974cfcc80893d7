"""The agents of the last connection, for when the database is away."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from aster_tui.domain.documents import AgentDocument
from aster_tui.engine.remembered import recall, remember

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

"""The process that asks the database for a close-all: late answers, and a database that failed once."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.engine.flatten.database import DatabaseProblem, DatabaseProcess
from aster_tui.store.mongod import LocalMongod
from tests import rig

HALT = {"accounts": [], "agent_ids": [], "reason": "close-all", "by": "anna", "at": 1}


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    database = DatabaseProcess(mongo_uri, mongo_database, tmp_path)
    try:
        asking = asyncio.create_task(database.agents())
        await rig.until(lambda: database._process is not None, "it was begun")
        await asyncio.sleep(0)  # and asked
        asking.cancel()  # sooner than it can have answered
        await asyncio.wait({asking})
        assert asking.cancelled()
        async with asyncio.timeout(30):
            assert "is halted" in await database.halt(HALT)
        assert raw_database.controls.find_one({"_id": "fleet"})["state"] == "HALTED"
    finally:
        await database.close()


async def test_a_database_that_failed_once_is_told_of_the_halt_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "mongo"
    folder.mkdir()
    with LocalMongod(folder) as mongod:
        database = DatabaseProcess(mongod.uri, "asterroyale", tmp_path)
        os.kill(mongod.pid, signal.SIGSTOP)
        try:
            with pytest.raises(DatabaseProblem, match="MongoDB"):
                await database.agents()
        finally:
            os.kill(mongod.pid, signal.SIGCONT)
        try:
            async with asyncio.timeout(30):
                assert "is halted" in await database.halt(HALT)
        finally:
            await database.close()

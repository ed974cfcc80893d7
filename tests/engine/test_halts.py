"""Halts as every process of a machine sees them, also between the file's word and the database's."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.domain.controls import FLEET
from aster_tui.domain.documents import AgentDocument
from aster_tui.engine.core import Core
from aster_tui.engine.halts import FILE, Controls, HaltFile, halt_locally, tell_database
from aster_tui.store.trading import TradingStore, trading_store
from tests import rig

AGENT = AgentDocument("id-1", "Sniper", paper=False)


def controls(folder: Path, store: TradingStore | None) -> Controls:
    core = Core(network="PRACTICE", read_only=False, initial_balance=Decimal(1000), sync_seconds=5)
    return Controls(core, store, folder)


async def known(found: Controls) -> None:
    """Let it hear the database once, and no more."""
    running = asyncio.create_task(found.run())
    await rig.until(lambda: found.known, "the database is heard")
    running.cancel()
    await asyncio.wait({running})


async def test_a_halt_the_database_was_told_of_holds_until_its_word_is_newer(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> None:
    store = trading_store(mongo_uri, mongo_database, 3.0)
    try:
        worker = controls(tmp_path, store)
        await known(worker)
        assert not worker.halted(AGENT).words
        await asyncio.sleep(0.002)  # the database is told in another millisecond than it was asked

        # Another process of this machine halts and tells the database; the worker did not ask it since.
        halt_locally(tmp_path, "smoke", "anna")
        assert await tell_database(store, tmp_path) == 1
        assert raw_database.controls.find_one({"_id": FLEET})["state"] == "HALTED"
        assert "smoke" in worker.halted(AGENT).words

        # Somebody at another machine resumes: only the database is told.
        later = HaltFile(tmp_path).read()[FLEET].control.at + 1
        await store.set_control(FLEET, {"state": "ACTIVE", "reason": "fine", "by": "ben", "at": later})
        assert "smoke" in worker.halted(AGENT).words, "the worker cannot know of it yet"
        await asyncio.sleep(0.002)
        running = asyncio.create_task(worker.run())
        await rig.until(lambda: not worker.halted(AGENT).words, "the newer word is heard")
        running.cancel()
        await asyncio.wait({running})
    finally:
        await store.close()


async def test_what_the_database_was_not_told_yet_is_known_until_it_was(
    tmp_path: Path, mongo_uri: str, mongo_database: str
) -> None:
    store = trading_store(mongo_uri, mongo_database, 3.0)
    try:
        console = controls(tmp_path, store)
        console.write([FLEET], "HALTED", "smoke", "anna")
        console.wake()
        desk = console._core.state.desk
        assert desk.untold == (FLEET,)
        await known(console)
        assert desk.untold == ()
        assert desk.controls[FLEET].state == "HALTED"
    finally:
        await store.close()
    alone = controls(tmp_path, None)
    alone.write([FLEET], "HALTED", "smoke", "anna")
    alone.wake()
    assert alone._core.state.desk.untold == (), "there is nobody to tell"


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"fleet": 7}', '{"fleet": {"state": "HALTED", "at": "soon"}}']
)
async def test_a_halt_that_cannot_be_read_is_a_halt(tmp_path: Path, content: str) -> None:
    found = controls(tmp_path, None)
    assert not found.halted(AGENT).words
    (tmp_path / FILE).write_text(content)
    assert "cannot be read" in found.halted(AGENT).words
    # A person resumes: it is written anew.
    halt_locally(tmp_path, "looked at it", "anna", state="ACTIVE")
    assert not found.halted(AGENT).words


async def test_a_clock_that_was_set_back_keeps_no_halt_for_ever(tmp_path: Path) -> None:
    halt_locally(tmp_path, "smoke", "anna")
    (local,) = HaltFile(tmp_path).read().values()
    HaltFile(tmp_path).confirm(FLEET, local.control.at)
    (told,) = HaltFile(tmp_path).read().values()
    assert told.rules(told.told_at - 1, told.told_at + 1)
    assert not told.rules(told.told_at + 1, told.told_at + 2)
    assert not told.rules(told.told_at - 500, told.told_at - 400)
    assert json.loads((tmp_path / FILE).read_text())[FLEET]["told_at"] == told.told_at

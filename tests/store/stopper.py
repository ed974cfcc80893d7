"""Stops itself with SQLite's locks in its hands: run by the tests of the journal.

``python -m tests.store.stopper STATE_DIR HOW``: writes two orders down, takes the turns, opens a transaction
as HOW says, and sends itself SIGSTOP. Continued, it finishes the transaction, writes one more order down,
says so, and waits for the end of its input.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path

from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.store.journal import Journal

STOPPED = OrderRecord(
    client_order_id="stopped",
    account="0xa",
    agent_id="1",
    agent="A",
    purpose="entry",
    symbol="BTCUSDT",
    side="BUY",
    order_type="MARKET",
    nonce=7,
    intent_at=1000,
)


def hold(journal: Journal, folder: Path, how: str) -> sqlite3.Connection:
    """A transaction that holds the write lock of our file, everything of it, or the write lock of another
    process's."""
    mine = journal._files._own
    database = mine._database
    assert database is not None
    if how == "another's":
        database = sqlite3.connect(folder / "journal" / "journal-1.sqlite", isolation_level=None)
    if how == "everything":
        database.execute("pragma locking_mode = exclusive")
    database.execute("begin immediate")
    if how != "another's":
        database.execute("insert into entries (at, client_order_id, kind, data) values (1, '', 'half', '{}')")
    return database


async def main() -> None:
    folder, how = Path(sys.argv[1]), sys.argv[2]
    journal = Journal(folder)
    await journal.open()
    await journal.intend(STOPPED)
    await journal.intend(replace(STOPPED, client_order_id="rests", order_type="LIMIT"))
    told = {"status": "NEW", "order_id": 9, "executed": "0", "average_price": "0"}
    await journal.append("rests", "answered", 1100, told)
    await journal.take_turn("mongo", time.time_ns() // 1_000_000, 300)
    database = hold(journal, folder, how)
    os.kill(os.getpid(), signal.SIGSTOP)
    database.execute("commit")
    await journal.intend(replace(STOPPED, client_order_id="later"))
    print("went on", flush=True)
    sys.stdin.read()
    await journal.close()


asyncio.run(main())

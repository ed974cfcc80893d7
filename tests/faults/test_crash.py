"""SIGKILL at every await point of an order's life: after the restart everything is known, nothing doubled."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from aster_tui.engine.trade.desk import OrderDesk, recover_all
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.journal import Journal
from tests.faults.crasher import WINDOW_S, client_of

FAULTS: dict[str, dict[str, float]] = {
    "no fault": {},
    "answers lost": {"lost-reply": 0.5, "503-after": 0.3},
    "refused or slow": {"http503": 0.4, "latency-ms": 20},
}


async def crash(ready: dict[str, object], state: Path, moment: str) -> int:
    """How many await points an order has; an order died at each."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.crasher",
        str(state),
        moment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await running.communicate(json.dumps(ready).encode())
    assert running.returncode == 0, errors.decode()
    return int(json.loads(out)["points"])


@pytest.mark.parametrize("faults", list(FAULTS))
@pytest.mark.parametrize("moment", ["suspend", "resume"])
async def test_killed_at_every_await_point_and_restarted(tmp_path: Path, faults: str, moment: str) -> None:
    options = PracticeOptions(
        accounts=1,
        balance=Decimal(10**6),
        volatility=Decimal(0),
        nonce_window_s=WINDOW_S,
        faults=FAULTS[faults],
    )
    async with PracticeExchange(options) as exchange:
        ready = exchange.ready_document()
        points = await crash(ready, tmp_path, moment)
        assert points > 4

        journal = Journal(tmp_path)
        await journal.open()
        client = client_of(ready, tmp_path)
        await recover_all(OrderDesk(journal), journal, lambda account: client)
        records = await journal.orders()
        await client.aclose()
        await journal.close()

        (book,) = exchange.exchange.books.values()
        executed = Counter(order.client_id for order in book.by_id.values())
        placed = {r.client_order_id for r in records if r.state in ("open", "done")}
        assert not [r for r in records if r.unresolved]
        assert set(executed) == placed
        assert all(count == 1 for count in executed.values())
        assert exchange.exchange.executed_orders == sum(1 for r in records if r.executed)
        # Before the order is written down nothing of it exists; from then on all of it is known.
        assert points - 3 <= len(records) <= points + 1
        if faults == "no fault":
            ends = Counter(r.state for r in records)
            assert ends["never-placed"] >= 1
            assert ends["done"] >= 2

"""What the dead left behind is found out by whoever can ask, and by nobody who cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from aster_tui.aster.trader import Trader
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.trade.desk import OrderDesk
from aster_tui.engine.trade.recovery import Recovery
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.journal import Journal
from tests import rig
from tests.domain.test_lifecycle import INTENT
from tests.faults.crasher import WINDOW_S, client_of


@asynccontextmanager
async def recovering(
    state: Path, client: Callable[[str], Trader | None]
) -> AsyncIterator[tuple[Recovery, Journal]]:
    core = Core(network="PRACTICE", read_only=False, initial_balance=Decimal(1000), sync_seconds=30)
    journal = Journal(state)
    await journal.open()
    recovery = Recovery(core, journal, OrderDesk(journal), client)
    running = asyncio.create_task(recovery.run())
    try:
        yield recovery, journal
    finally:
        running.cancel()
        await asyncio.wait({running})
        await journal.close()


async def test_a_process_without_the_key_leaves_an_order_to_the_one_that_has_it(tmp_path: Path) -> None:
    async with PracticeExchange(PracticeOptions(accounts=2, nonce_window_s=WINDOW_S)) as exchange:
        ready = exchange.ready_document()
        ours, theirs = (account["user"] for account in ready["accounts"])
        dead = Journal(tmp_path)
        await dead.open()
        for name, account in (("ours", ours), ("theirs", theirs)):
            nonce, at = now_ms() * 1000, now_ms()
            record = replace(INTENT, client_order_id=name, account=account, nonce=nonce, intent_at=at)
            await dead.intend(record)
        await dead.close()
        client = client_of({**ready, "accounts": ready["accounts"][:1]}, tmp_path)
        keyless = recovering(tmp_path, lambda account: None)
        keyed = recovering(tmp_path, lambda account: client if account == ours else None)
        async with keyless as (console, looking):
            assert {r.client_order_id for r, gone in await looking.unresolved() if gone} == {"ours", "theirs"}
            waiting = asyncio.create_task(console.settled(ours))
            async with keyed as (worker, journal):
                await asyncio.wait_for(worker.settled(ours), rig.PATIENCE)
                await asyncio.wait_for(waiting, rig.PATIENCE)
                found = await journal.order("ours")
                assert found is not None
                assert found.state == "never-placed"
                # The other one waits for somebody else still, and is held by nobody.
                async with asyncio.timeout(rig.PATIENCE):
                    while {r.client_order_id: gone for r, gone in await looking.unresolved()} != {
                        "theirs": True
                    }:
                        await asyncio.sleep(0.05)
                blocked = asyncio.create_task(worker.settled(theirs))
                assert not (await asyncio.wait({blocked}, timeout=0.2))[0]
                blocked.cancel()
        await client.aclose()

"""A close-all and its journal: disks that are full, hang or are slow keep nobody from closing."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.domain.flatten.report import FlattenReport
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from tests.flatten_rig import a_run, held, practice

D = Decimal


async def test_a_full_disk_and_a_hung_one_keep_nobody_from_closing(tmp_path: Path) -> None:
    class Full(Journal):
        async def open(self) -> None:
            raise StoreError("the journal cannot be used: no space left on device")

    class Hung(Journal):
        async def intend_many(self, records: Any) -> None:
            await asyncio.sleep(3600)

    for kind, words in ((Full, "no space left"), (Hung, "did not answer within 1 s")):
        async with practice(positions=4) as exchange:
            run = a_run(exchange, tmp_path, journal=False)
            run._book = FlattenBook(kind(tmp_path), opens=True)
            report = await run.run()
            assert report.flat
            assert words in report.journal
            assert not any(held(exchange).values())


async def test_a_slow_disk_is_not_waited_for_and_gets_everything(tmp_path: Path) -> None:
    slow = asyncio.Event()

    class Slow(Journal):
        async def intend_many(self, records: Any) -> None:
            await slow.wait()
            await super().intend_many(records)

    def told(report: FlattenReport) -> None:
        if report.journal:
            slow.set()

    async with practice(positions=4) as exchange:
        run = a_run(exchange, tmp_path, journal=False, on_progress=told)
        run._book = FlattenBook(Slow(tmp_path), opens=True)
        report = await run.run()
        assert report.flat
        assert "did not answer within 1 s" in report.journal
        journal = Journal(tmp_path)
        await journal.open()
        records = await journal.orders()
        await journal.close()
        assert len(records) == 4
        assert {(r.state, r.status) for r in records} == {("done", "FILLED")}


async def test_what_is_told_of_an_order_is_written_down_after_the_order(tmp_path: Path) -> None:
    held, go = asyncio.Event(), asyncio.Event()

    class Slow(Journal):
        async def intend_many(self, records: Any) -> None:
            held.set()
            await go.wait()
            await super().intend_many(records)

    def an_order(name: str) -> OrderRecord:
        return OrderRecord(
            client_order_id=name,
            account="0x1",
            agent_id="a",
            agent="One",
            purpose="flatten",
            symbol="BTCUSDT",
            side="SELL",
            order_type="MARKET",
            nonce=1,
            intent_at=1,
            quantity=D("0.1"),
            reduce_only=True,
        )

    book = FlattenBook(Slow(tmp_path), opens=True)
    book.start()
    await book.intend([an_order("first")])
    assert held.is_set()
    assert book.trouble
    # The second is sent and refused while the first still waits for the disk.
    await book.intend([an_order("second")])
    for name in ("first", "second"):
        book.note(name, "refused", 2, {"code": "x", "message": "no", "raw": ""})
    go.set()
    await book.close()
    journal = Journal(tmp_path)
    await journal.open()
    records = await journal.orders()
    await journal.close()
    assert {r.client_order_id: r.state for r in records} == {"first": "refused", "second": "refused"}

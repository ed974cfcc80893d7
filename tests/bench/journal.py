"""A journal of 50,000 orders: opened, read, followed and measured, against going through every line of it.

``open_ms`` and ``intend_ms`` are what a close-all waits for; ``ledger_s`` is until a worker knows all of it,
and ``gap_ms`` the longest that its loop stood still meanwhile; ``lines_s`` is the same by adding up every
line. ``figures_ms`` is one set of figures, ``scan_ms`` the same by going through all orders.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.domain.lifecycle import OrderRecord, applied, from_data
from aster_tui.domain.metrics import WINDOWS
from aster_tui.domain.metrics import measure as figures_of
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.store.journal import Journal
from aster_tui.store.journal_files import JournalFiles

ORDERS, AGENTS, YEAR_MS = 50_000, 8, 365 * 86_400_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "AVAXUSDT")


def measure() -> dict[str, float]:
    """Once: it takes most of a minute."""
    with tempfile.TemporaryDirectory(prefix="aster-bench-") as folder:
        _fill(Path(folder))
        return asyncio.run(_measure(Path(folder)))


def _fill(folder: Path) -> None:
    """A year of entries with stops and targets, as a worker writes them."""
    files = JournalFiles(folder / "journal", "bench")
    files.open()
    database = files._own._database
    assert database is not None
    database.execute("pragma synchronous = off")
    now = time.time_ns() // 1_000_000
    for begin in range(0, ORDERS, 1000):
        records = [_record(n, now - YEAR_MS + YEAR_MS * n // ORDERS) for n in range(begin, begin + 1000)]
        files.intend(records)
        files._own.append([line for record in records for line in _lines(record)])
    files.close()


def _record(number: int, at: int) -> OrderRecord:
    agent, part = number % AGENTS, number % 3
    return OrderRecord(
        client_order_id=f"at-{agent:010d}-{'est'[part]}1a-{number:013d}",
        account=f"0x{agent:040x}",
        agent_id=f"{agent:024x}",
        agent=f"Agent{agent}",
        purpose=("entry", "stop", "target")[part],
        symbol=SYMBOLS[number % len(SYMBOLS)],
        side="BUY" if number // 3 % 2 else "SELL",
        order_type=("MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET")[part],
        nonce=at * 1000,
        intent_at=at,
        quantity=Decimal("0.012"),
        stop_price=Decimal("61000.5") if part else None,
        reduce_only=bool(part),
        decision_id=f"{number // 3:024x}",
        epoch=12,
        mark_price=Decimal("61234.56"),
        updated_at=at,
    )


def _lines(record: OrderRecord) -> list[Any]:
    name, at, entry = record.client_order_id, record.intent_at, record.purpose == "entry"
    told = {"status": "NEW", "order_id": record.nonce, "executed": "0", "average_price": "0"}
    filled = {**told, "status": "FILLED", "executed": "0.012", "average_price": "61235.1"}
    fill = {"trade_id": record.nonce, "commission": "0.0123", "realized": "0.5"}
    if entry:
        return [(name, "answered", at + 120, filled), (name, "fill", at + 121, fill)]
    gone = {**told, "status": "CANCELED"}
    return [(name, "answered", at + 120, told), (name, "update", at + 100_000, gone)]


async def _measure(folder: Path) -> dict[str, float]:
    journal, found = Journal(folder), {}
    began = time.perf_counter()
    await journal.open()
    found["open_ms"] = _ms(began)
    first = _record(1, time.time_ns() // 1_000_000)
    began = time.perf_counter()
    for number in range(50):
        await journal.intend(replace(first, client_order_id=f"bench-{number}", state="refused"))
    found["intend_ms"] = round(_ms(began) / 50, 2)
    gaps = asyncio.create_task(_gaps())
    await asyncio.sleep(0.05)
    ledger = Ledger(journal)
    began = time.perf_counter()
    await ledger.refresh()
    found["ledger_s"] = round(_ms(began) / 1000, 2)
    gaps.cancel()
    found["gap_ms"] = round(1000 * await gaps, 1)
    began = time.perf_counter()
    await ledger.refresh()
    found["refresh_ms"] = _ms(began)
    began = time.perf_counter()
    records = await _every_line(journal)
    found["lines_s"] = round(_ms(began) / 1000, 2)
    assert records == ledger.records
    now = time.time_ns() // 1_000_000
    began = time.perf_counter()
    fast = ledger.measured(now).figures
    found["figures_ms"] = _ms(began)
    began = time.perf_counter()
    slow = {
        (name, window): figures_of(records.values(), (), now, window_ms=length, agent=name or None)
        for name in ("", *sorted({r.agent for r in records.values()}))
        for window, length in WINDOWS.items()
    }
    found["scan_ms"] = _ms(began)
    assert fast == slow
    await journal.close()
    return {**found, "ratio": round(found["scan_ms"] / found["figures_ms"], 1)}


async def _gaps() -> float:
    worst, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            worst, last = max(worst, time.perf_counter() - last), time.perf_counter()
    except asyncio.CancelledError:
        return worst


async def _every_line(journal: Journal) -> dict[str, OrderRecord]:
    records: dict[str, OrderRecord] = {}
    reached: dict[str, int] = {}
    while entries := await journal.entries_since(reached, 500):
        for entry in entries:
            reached[entry.journal] = entry.seq
            if entry.kind == "intent":
                records[entry.client_order_id] = from_data(entry.data)
            else:
                before = records[entry.client_order_id]
                after = applied(before, entry.kind, entry.at, entry.data)  # type: ignore[arg-type]
                records[entry.client_order_id] = after
    return records


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


if __name__ == "__main__":
    print(json.dumps(measure()))

"""The journal's orders in memory: what each agent did, whoever of this machine's processes sent it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.domain.client_ids import Purpose
from aster_tui.domain.events import Event, MetricsMeasured
from aster_tui.domain.lifecycle import NEVER_THERE, OrderRecord, applied, from_data
from aster_tui.domain.metrics import WINDOWS, measure
from aster_tui.domain.safeguards import DAY_MS
from aster_tui.domain.shares import Key, Share, shares
from aster_tui.domain.trading import ZERO, account_key
from aster_tui.engine.core import now_ms
from aster_tui.store.journal import Entry, Journal

AT_ONCE = 2_000
WATCH_SECONDS = 2.0
#: Errors older than this are of no figure but "all", which counts orders only.
ERRORS_KEPT = 5_000


class Ledger:
    """Follows the journal. :meth:`refresh` before asking; what this process does is in it at once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._reached: dict[str, int] = {}
        #: Lines of orders whose file was not read as far as their intent.
        self._early: dict[str, list[Entry]] = {}
        self.records: dict[str, OrderRecord] = {}
        self.errors: list[tuple[int, str, str]] = []
        self._shares: dict[Key, Share] | None = None

    async def refresh(self) -> None:
        """Read what the journal has got since."""
        while entries := await self._journal.entries_since(self._reached, AT_ONCE):
            for entry in entries:
                # Two that refresh at once are told the same.
                if entry.seq > self._reached.get(entry.journal, 0):
                    self._reached[entry.journal] = entry.seq
                    self._add(entry)
            self._shares = None

    def _add(self, entry: Entry) -> None:
        name = entry.client_order_id
        if entry.kind == "error":
            if kind := _api_error(entry.data):
                self.errors.append((entry.at, str(entry.data.get("agent") or ""), kind))
                del self.errors[:-ERRORS_KEPT]
        elif entry.kind == "intent":
            self.records[name] = from_data(entry.data)
            for early in self._early.pop(name, ()):
                self._add(early)
        elif (known := self.records.get(name)) is not None:
            self.records[name] = applied(known, entry.kind, entry.at, entry.data)  # type: ignore[arg-type]
        elif name:
            self._early.setdefault(name, []).append(entry)

    def shares(self) -> dict[Key, Share]:
        """Each agent's part of each symbol."""
        if self._shares is None:
            self._shares = shares(self.records.values())
        return self._shares

    def of_agent(self, agent_id: str, symbol: str | None = None) -> list[OrderRecord]:
        """An agent's orders, oldest first."""
        return [r for r in self.records.values() if r.agent_id == agent_id and symbol in (None, r.symbol)]

    def open_protection(self, agent_id: str, symbol: str) -> list[OrderRecord]:
        """An agent's stops and targets that still wait."""
        kinds: tuple[Purpose, ...] = ("stop", "target")
        return [r for r in self.of_agent(agent_id, symbol) if r.purpose in kinds and r.state == "open"]

    def of_decision(self, decision_id: str) -> list[OrderRecord]:
        """The orders of a decision."""
        return [r for r in self.records.values() if r.decision_id == decision_id]

    def measured(self, now: int) -> MetricsMeasured:
        """The figures of the fleet ("") and of each agent, by window."""
        records = [*self.records.values()]
        names = sorted({r.agent for r in records})
        found = {
            (name, window): measure(records, self.errors, now, window_ms=length, agent=name or None)
            for name in ("", *names)
            for window, length in WINDOWS.items()
        }
        return MetricsMeasured(now, found)

    def knows(self, account: str, symbol: str) -> bool:
        """Whether anything of this journal was executed in a symbol of an account."""
        key = account_key(account)
        return any(
            r.symbol == symbol and r.executed and account_key(r.account) == key for r in self.records.values()
        )

    def recent(self, agent_id: str, now: int, span_ms: int = 600_000) -> tuple[tuple[int, str, str], ...]:
        """An agent's orders that added risk in the last minutes: (time, symbol, side)."""
        return tuple(
            (r.intent_at, r.symbol, r.side)
            for r in self.of_agent(agent_id)
            if not r.reduce_only and r.intent_at > now - span_ms and r.state not in NEVER_THERE
        )

    def lost_today(self, agent_id: str, now: int) -> Decimal:
        """What an agent's fills of this UTC day cost, USDT; 0 when they earned."""
        begin = now - now % DAY_MS
        today = [r for r in self.of_agent(agent_id) if r.executed_at >= begin]
        return max(ZERO, sum((r.commission - r.realized for r in today), ZERO))


def _api_error(data: Mapping[str, Any]) -> str:
    """What kind of error of the exchange it was: its code, or the part that broke; empty for others."""
    code = str(data.get("code") or "")
    if code.startswith(("-", "HTTP")):
        return code
    source = str(data.get("source", ""))
    return source if source in ("exchange", "stream", "marks") else ""


class LedgerWatch:
    """Tells the figures of a journal that only others write to: for what may change nothing."""

    def __init__(self, folder: Path, emit: Callable[[Event], None]) -> None:
        self._folder = folder
        self._emit = emit

    async def run(self) -> None:
        """Until cancelled."""
        journal = Journal(self._folder)
        try:
            while not await journal.open_to_read():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(WATCH_SECONDS)
            ledger = Ledger(journal)
            while True:
                await ledger.refresh()
                self._emit(ledger.measured(now_ms()))
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            await journal.close()

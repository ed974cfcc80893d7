"""The journal's orders in memory: what each agent did, whoever of this machine's processes sent it."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.domain.client_ids import Purpose
from aster_tui.domain.events import Event, MetricsMeasured
from aster_tui.domain.flattened_costs import Correction, corrections, summed
from aster_tui.domain.lifecycle import NEVER_THERE, OrderRecord, applied, from_data
from aster_tui.domain.metrics import WINDOWS, Metrics, Tally, measure
from aster_tui.domain.paper import PaperCosts
from aster_tui.domain.safeguards import DAY_MS
from aster_tui.domain.shares import Key, Share, shares_and_taken
from aster_tui.domain.trading import ZERO, account_key
from aster_tui.engine.core import now_ms
from aster_tui.store.journal import Entry, Journal

#: Nobody waits for more than so many lines or orders, however long the history is.
AT_ONCE = 500
WATCH_SECONDS = 2.0
#: So many of the latest errors are kept one by one; all there ever were are counted.
ERRORS_KEPT = 5_000
#: No market order takes longer from its intent to its execution.
SLOWEST_MS = 60_000


class Ledger:
    """Follows the journal. :meth:`refresh` before asking; what this process does is in it at once.

    Years of orders are gone through once, at the start; from then on each line changes only what it is about.
    """

    def __init__(self, journal: Journal, costs: PaperCosts | None = None) -> None:
        self._journal = journal
        self._costs = costs or PaperCosts()
        self._reading = asyncio.Lock()
        #: The last line that was read of each file; None before the start.
        self._reached: dict[str, int] | None = None
        #: Lines of orders whose file was not read as far as their intent.
        self._early: dict[str, list[Entry]] = {}
        self.records: dict[str, OrderRecord] = {}
        self.errors: list[tuple[int, str, str]] = []
        #: By agent's name and kind.
        self._counted: Counter[tuple[str, str]] = Counter()
        self._of_agent: dict[str, dict[str, None]] = {}
        self._of_account: dict[str, dict[str, None]] = {}
        self._of_decision: dict[str, dict[str, None]] = {}
        #: What executed, by (account, symbol): a close-all takes from the shares of all who trade there.
        self._executed: dict[Key, dict[str, None]] = {}
        self._traded_on: dict[str, set[str]] = {}
        self._shares: dict[Key, Share] = {}
        self._moved: set[Key] = set()
        #: What close-alls add to the figures of agents, or take from them, by order.
        self._corrections: dict[str, list[Correction]] = {}
        #: By agent's name, the fleet's is empty.
        self._tallies: dict[str, Tally] = {"": Tally(self._costs)}
        #: What was received as funding: (time, agent's name, USDT), and the payments it is made of.
        self.funding: list[tuple[int, str, Decimal]] = []
        self.funded: set[str] = set()
        self._times: list[tuple[int, str]] = []

    async def refresh(self) -> None:
        """Read what the journal has got since."""
        async with self._reading:
            if self._reached is None:
                self._reached = await self._begin()
            while entries := await self._journal.entries_since(self._reached, AT_ONCE):
                for entry in entries:
                    self._reached[entry.journal] = entry.seq
                    self._add(entry)

    async def _begin(self) -> dict[str, int]:
        """The orders as they stand, not line by line; a line that is read once more changes nothing."""
        last = await self._journal.last()
        found: dict[str, OrderRecord] = {}
        for name in last:
            after = ""
            while records := await self._journal.orders_from(name, after, AT_ONCE):
                found |= {record.client_order_id: record for record in records}
                after = records[-1].client_order_id
        strays = await self._journal.stray_lines()
        errors = await self._journal.errors(ERRORS_KEPT)
        counted = await self._journal.errors_counted(last)
        paid = await self._journal.funding()
        self._clear()
        for entry in paid:
            if entry.seq <= last.get(entry.journal, 0):
                self._fund(entry)
        for entry in errors:
            if entry.seq <= last.get(entry.journal, 0):
                self._error(entry, counts=False)
        for agent, code, source, count in counted:
            if kind := _api_error({"code": code, "source": source}):
                self._counted[agent, kind] += count
        ordered = sorted(found.values(), key=lambda record: record.intent_at)
        for begin in range(0, len(ordered), AT_ONCE):
            self._take(ordered[begin : begin + AT_ONCE])
            await asyncio.sleep(0)  # nobody waits for years of history
        for entry in strays:
            self._line(entry)
        while self._moved:
            self._share(next(iter(self._moved)))
            await asyncio.sleep(0)
        return last

    def _clear(self) -> None:
        self.records, self.errors, self._times = {}, [], []
        self._counted.clear()
        for kept in (self._early, self._of_agent, self._of_account, self._of_decision, self._executed):
            kept.clear()
        self._traded_on.clear()
        self._shares.clear()
        self._corrections.clear()
        self._moved.clear()
        self._tallies = {"": Tally(self._costs)}
        self.funding, self.funded = [], set()

    def _add(self, entry: Entry) -> None:
        if entry.kind == "error":
            self._error(entry)
        elif entry.kind == "funding":
            self._fund(entry)
        elif entry.kind in ("intent", "adopted"):
            if entry.client_order_id not in self.records:
                record = from_data(entry.data)
                self._take([record])
                for early in self._early.pop(record.client_order_id, ()):
                    self._line(early)
        elif entry.client_order_id:
            self._line(entry)

    def _error(self, entry: Entry, *, counts: bool = True) -> None:
        if kind := _api_error(entry.data):
            agent = str(entry.data.get("agent") or "")
            self.errors.append((entry.at, agent, kind))
            del self.errors[:-ERRORS_KEPT]
            self._counted[agent, kind] += counts

    def _fund(self, entry: Entry) -> None:
        """A payment; two processes may have written it down."""
        payment = str(entry.data.get("payment", ""))
        if payment not in self.funded:
            self.funded.add(payment)
            for agent, amount in entry.data.get("parts", {}).items():
                self.funding.append((entry.at, agent, Decimal(amount)))

    def _take(self, records: Sequence[OrderRecord]) -> None:
        """New orders."""
        by_agent: dict[str, list[OrderRecord]] = {}
        for record in records:
            name = record.client_order_id
            self.records[name] = record
            self._of_agent.setdefault(record.agent_id, {})[name] = None
            self._of_account.setdefault(account_key(record.account), {})[name] = None
            self._of_decision.setdefault(record.decision_id, {})[name] = None
            by_agent.setdefault(record.agent, []).append(record)
            self._execute(record)
            insort(self._times, (record.intent_at, name))
        self._tallies[""].add_all(records)
        for agent, its in by_agent.items():
            self._tallies.setdefault(agent, Tally(self._costs)).add_all(its)

    def _line(self, entry: Entry) -> None:
        """One more line of an order."""
        before = self.records.get(entry.client_order_id)
        if before is None:
            self._early.setdefault(entry.client_order_id, []).append(entry)
            return
        after = applied(before, entry.kind, entry.at, entry.data)  # type: ignore[arg-type]
        if after == before:
            return
        self.records[entry.client_order_id] = after
        self._execute(after)
        for tally in (self._tallies[""], self._tallies[after.agent]):
            tally.remove(before)
            tally.add(after)

    def _execute(self, record: OrderRecord) -> None:
        if record.executed:
            key = (account_key(record.account), record.symbol)
            self._executed.setdefault(key, {})[record.client_order_id] = None
            self._traded_on.setdefault(record.agent_id, set()).add(key[0])
            self._moved.add(key)

    def _share(self, key: Key) -> None:
        """The shares of all who traded a symbol on an account, and on the accounts they traded on besides."""
        symbol, accounts, agents, next_ones = key[1], set[str](), set[str](), {key[0]}
        records: list[OrderRecord] = []
        while next_ones := next_ones - accounts:
            accounts |= next_ones
            found = [
                self.records[name]
                for account in next_ones
                for name in self._executed.get((account, symbol), ())
            ]
            records += found
            agents |= {r.agent_id for r in found}
            next_ones = {account for agent in agents for account in self._traded_on[agent]}
        self._moved -= {(account, symbol) for account in accounts}
        for agent in agents:
            self._shares.pop((agent, symbol), None)
        found_shares, taken = shares_and_taken(records)
        self._shares |= found_shares
        names = {r.agent_id: r.agent for r in records if r.purpose != "flatten"}
        for record in records:
            self._corrections.pop(record.client_order_id, None)
            if corrected := corrections(record, taken, names, self._costs):
                self._corrections[record.client_order_id] = corrected

    def shares(self) -> dict[Key, Share]:
        """Each agent's part of each symbol."""
        while self._moved:
            self._share(next(iter(self._moved)))
        return self._shares

    def corrections(self) -> list[Correction]:
        """What close-alls of shared accounts add to the figures of agents, or take from them."""
        self.shares()
        return [correction for found in self._corrections.values() for correction in found]

    def of_agent(self, agent_id: str, symbol: str | None = None) -> list[OrderRecord]:
        """An agent's orders, about as they came."""
        found = (self.records[name] for name in self._of_agent.get(agent_id, ()))
        return [r for r in found if symbol in (None, r.symbol)]

    def of_account(self, account: str) -> list[OrderRecord]:
        """The orders on an account, about as they came."""
        return [self.records[name] for name in self._of_account.get(account_key(account), ())]

    def of_decision(self, decision_id: str) -> list[OrderRecord]:
        """The orders of a decision."""
        return [self.records[name] for name in self._of_decision.get(decision_id, ())]

    def bought_since(self, account: str, at: int) -> list[OrderRecord]:
        """Orders of an account that added risk and executed after a time (Unix ms of this machine)."""
        key, begin = account_key(account), bisect_left(self._times, (at - SLOWEST_MS, ""))
        found = (self.records[name] for _, name in self._times[begin:])
        return [
            r for r in found if r.executed_at > at and not r.reduce_only and account_key(r.account) == key
        ]

    def under_way(self, account: str, since: int) -> list[OrderRecord]:
        """Orders of an account that add risk, written down since a time (Unix ms of this machine), of which
        nobody knows yet if the exchange has them."""
        key, begin = account_key(account), bisect_left(self._times, (since, ""))
        found = (self.records[name] for _, name in self._times[begin:])
        return [
            r
            for r in found
            if r.unresolved and r.purpose in ("entry", "operator") and not r.reduce_only
            if account_key(r.account) == key
        ]

    def open_protection(self, agent_id: str, symbol: str) -> list[OrderRecord]:
        """An agent's stops and targets that still wait."""
        kinds: tuple[Purpose, ...] = ("stop", "target")
        return [r for r in self.of_agent(agent_id, symbol) if r.purpose in kinds and r.state == "open"]

    def measured(self, now: int) -> MetricsMeasured:
        """The figures of the fleet ("") and of each agent, by window."""
        found: dict[tuple[str, str], Metrics] = {}
        longest = max(length for length in WINDOWS.values() if length is not None)
        recent = [
            self.records[name] for _, name in self._times[bisect_left(self._times, (now - longest, "")) :]
        ]
        every = self.corrections()
        for name, tally in self._tallies.items():
            corrected = [c for c in every if name == c.agent]  # in all they come to nothing
            orders = [r for r in recent if not name or r.agent == name]
            errors = [e for e in self.errors if not name or e[1] == name]
            funding = [f for f in self.funding if not name or f[1] == name]
            for window, length in WINDOWS.items():
                if length is None:
                    paid = sum((amount for _, _, amount in funding), ZERO)
                    found[name, window] = tally.figures(self._errors_of(name), paid, corrected)
                else:
                    found[name, window] = measure(
                        orders,
                        errors,
                        now,
                        window_ms=length,
                        costs=self._costs,
                        funding=funding,
                        corrected=corrected,
                    )
        return MetricsMeasured(now, found, tuple(share for _, share in sorted(self.shares().items())))

    def _errors_of(self, agent: str) -> Counter[str]:
        """All errors there ever were of an agent, of everybody without a name, by kind."""
        found: Counter[str] = Counter()
        for (name, kind), count in self._counted.items():
            if agent in ("", name):
                found[kind] += count
        return found

    def recent(self, agent_id: str, now: int, span_ms: int = 600_000) -> tuple[tuple[int, str, str], ...]:
        """An agent's orders that added risk in the last minutes: (time, symbol, side)."""
        return tuple(
            (r.intent_at, r.symbol, r.side)
            for r in self.of_agent(agent_id)
            if not r.reduce_only and r.intent_at > now - span_ms and r.state not in NEVER_THERE
        )

    def lost_today(self, agent_id: str, now: int) -> Decimal:
        """What an agent's fills and funding of this UTC day cost, USDT; 0 when they earned."""
        begin = now - now % DAY_MS
        orders = self.of_agent(agent_id)
        name = orders[-1].agent if orders else ""
        paid = sum((r.commission - r.realized for r in orders if r.executed_at >= begin), ZERO)
        fees, realized, _ = summed(
            c for c in self.corrections() if c.agent_id == agent_id and c.executed_at >= begin
        )
        paid += fees - realized
        received = sum((amount for at, whose, amount in self.funding if whose == name and at >= begin), ZERO)
        return max(ZERO, paid - received)


def _api_error(data: Mapping[str, Any]) -> str:
    """What kind of error of the exchange it was: its code, or the part that broke; empty for others."""
    code = str(data.get("code") or "")
    if code.startswith(("-", "HTTP")):
        return code
    source = str(data.get("source", ""))
    return source if source in ("exchange", "stream", "marks") else ""


class LedgerWatch:
    """Tells the figures of a journal that only others write to: for what may change nothing."""

    def __init__(self, folder: Path, emit: Callable[[Event], None], costs: PaperCosts | None = None) -> None:
        self._folder = folder
        self._emit = emit
        self._costs = costs

    async def run(self) -> None:
        """Until cancelled."""
        journal = Journal(self._folder)
        try:
            while not await journal.open_to_read():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(WATCH_SECONDS)
            ledger = Ledger(journal, self._costs)
            while True:
                await ledger.refresh()
                self._emit(ledger.measured(now_ms()))
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            await journal.close()

"""Paper trading at work: the books of paper agents, and the shadows of real ones.

A book lives in memory and is told to MongoDB through the journal, so that an outage of the database neither
stops nor doubles anything. Stops and targets trigger on the mark.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from aster_tui.domain.decisions import Decision, Plan
from aster_tui.domain.documents import (
    AgentDocument,
    PositionDocument,
    TradeDocument,
    paper_unrealized,
    parse_position,
    parse_trade,
)
from aster_tui.domain.events import Event, PaperPosition, TradeSeen
from aster_tui.domain.paper import (
    PaperCosts,
    PaperExit,
    entry_document,
    exit_fields,
    figures,
    last_trade,
    leave,
    triggered,
)
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import ZERO
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.trade.outbox import AT_ONCE, MARK
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from aster_tui.store.trading import TradingStore, new_id

LOOK_SECONDS = 0.25
#: Figures move with every mark; the database is told this often.
WRITE_SECONDS = 2.0
#: How long what a worker of before did on paper is given to reach the database.
TOLD_SECONDS = 3.0
_KINDS = ("paper-entry", "paper-exit")


class PaperBook:
    """One agent's paper positions and trades."""

    def __init__(
        self,
        agent: AgentDocument,
        journal: Journal,
        marks: Mapping[str, Decimal],
        costs: PaperCosts,
        initial: Decimal,
        *,
        shadow: bool,
    ) -> None:
        self.agent = agent
        self.shadow = shadow
        self._journal = journal
        self._marks = marks
        self._costs = costs
        self._initial = initial
        self.positions: dict[str, PositionDocument] = {}
        self.trades: list[TradeDocument] = []
        self._lock = asyncio.Lock()
        #: Ids of all positions this book ever knew: news of them that comes late is no news.
        self._known: set[str] = set()

    async def load(self, store: TradingStore) -> None:
        """Begin with what the database has."""
        if self.shadow:
            known = await store.shadows_of(self.agent.agent_id)
            self._known = {p.position_id for p in known}
            self.trades = [_shadow_exit(p) for p in known if p.status == "closed"]
            self.positions = {p.position_id: p for p in known if p.status == "open"}
            return
        self.trades = await store.trades_of(self.agent.agent_id)
        held = await store.open_positions(self.agent.agent_id)
        self.positions = {p.position_id: p for p in held}
        self._known = set(self.positions)

    def hear_position(self, position: PositionDocument) -> None:
        """The database told of a position: somebody else may have opened, changed or closed it."""
        key, mine = position.position_id, self.positions.get(position.position_id)
        if position.status != "open":
            self.positions.pop(key, None)
        elif mine is not None:
            # A person moved its stop or target; everything else of it is known better here.
            self.positions[key] = replace(
                mine, stop_loss=position.stop_loss, profit_target=position.profit_target
            )
        elif key not in self._known:
            self._known.add(key)
            self.positions[key] = position

    def hear_trade(self, trade: TradeDocument) -> None:
        """The database told of a trade: what somebody else earned or lost counts, too."""
        if all(known.trade_id != trade.trade_id for known in self.trades):
            self.trades.append(trade)
            self.trades.sort(key=lambda t: t.timestamp)

    def share(self, symbol: str) -> Decimal:
        """What is held in a symbol, signed, base asset."""
        total = ZERO
        for p in self.positions.values():
            if symbol_of(p.coin) == symbol and p.entry_price > 0:
                quantity = p.size_usd / p.entry_price
                total += quantity if p.signal == "long" else -quantity
        return total

    def held(self) -> dict[str, Decimal]:
        """Value of what is held by symbol, USD at the marks."""
        found: dict[str, Decimal] = {}
        for p in self.positions.values():
            symbol = symbol_of(p.coin)
            worth = p.size_usd + (1 if p.signal == "long" else -1) * self._unrealized(p)
            found[symbol] = found.get(symbol, ZERO) + abs(worth)
        return found

    @property
    def balance(self) -> Decimal:
        """Initial + realized + unrealized, USD."""
        realized = sum((t.pnl_absolute for t in self.trades if t.trade_type == "exit"), ZERO)
        return self._initial + realized + sum((self._unrealized(p) for p in self.positions.values()), ZERO)

    @property
    def available(self) -> Decimal:
        """The balance without the margin of what is held, USD."""
        margin = sum((p.size_usd / max(p.leverage, Decimal(1)) for p in self.positions.values()), ZERO)
        return self.balance - margin

    def lost_since(self, begin: int) -> Decimal:
        """What exits since a time cost, USD; 0 when they earned."""
        exits = (t for t in self.trades if t.trade_type == "exit" and t.timestamp >= begin)
        return max(ZERO, -sum((t.pnl_absolute for t in exits), ZERO))

    def recent(self) -> tuple[tuple[int, str, str], ...]:
        """The latest entries: (time, symbol, side)."""
        return tuple(
            (t.timestamp, symbol_of(t.pair), "BUY" if t.side == "long" else "SELL")
            for t in self.trades[-100:]
            if t.trade_type == "entry"
        )

    def figures(self) -> dict[str, Any]:
        """What the agent's document shows."""
        shown = figures(self._initial, self.trades, self.positions.values(), self._marks, now_ms())
        return {**shown, **({"lastTrade": last_trade(self.trades[-1])} if self.trades else {})}

    def has(self, decision_id: str) -> bool:
        """Whether a decision was filled here, as far as is known."""
        key = _id_of(decision_id)
        return key in self._known or key in self.positions

    async def enter(self, decision: Decision, plan: Plan) -> PositionDocument:
        """Fill an opening decision at the mark, worse by the slippage."""
        async with self._lock:
            at = now_ms()
            price = self._costs.fill_price(plan.mark, buys=decision.signal == "long")
            document = entry_document(decision, self.agent.name, price, plan.quantity * price, at)
            key = _id_of(decision.decision_id)
            position = parse_position({**document, "_id": key})
            trade = self._trade(position, "entry", price, ZERO, at)
            data = {"position": {**document, "_id": key}, "trade": trade, "shadow": self.shadow}
            await self._journal.note("paper-entry", at, data)
            self._known.add(key)
            self.positions[key] = position
            self.trades.append(parse_trade(trade))
            return position

    async def leave(self, symbol: str) -> list[PaperExit]:
        """Close all that is held in a symbol."""
        chosen = [p for p in self.positions.values() if symbol_of(p.coin) == symbol]
        return [done for p in chosen if (done := await self._exit(p)) is not None]

    async def watch(self) -> list[tuple[PositionDocument, str]]:
        """Close what its stop or target says; what was closed and by which."""
        closed: list[tuple[PositionDocument, str]] = []
        for position in [*self.positions.values()]:
            mark = self._marks.get(symbol_of(position.coin))
            why = triggered(position, mark) if mark is not None else None
            if why is not None and await self._exit(position) is not None:
                closed.append((position, why))
        return closed

    async def _exit(self, position: PositionDocument) -> PaperExit | None:
        async with self._lock:
            mark = self._marks.get(symbol_of(position.coin))
            if mark is None or position.position_id not in self.positions:
                return None
            at = now_ms()
            done = leave(position, mark, self._costs)
            trade = self._trade(position, "exit", done.price, done.earned, at)
            data = {
                "position_id": position.position_id,
                "fields": exit_fields(position, done, at),
                "trade": trade,
                "shadow": self.shadow,
            }
            await self._journal.note("paper-exit", at, data)
            self.positions.pop(position.position_id, None)
            self.trades.append(parse_trade(trade))
            return done

    def _unrealized(self, position: PositionDocument) -> Decimal:
        mark = self._marks.get(symbol_of(position.coin))
        return paper_unrealized(position, mark) if mark is not None else ZERO

    def _trade(
        self, position: PositionDocument, kind: str, price: Decimal, earned: Decimal, at: int
    ) -> dict[str, Any]:
        size = position.size_usd
        return {
            "_id": new_id(),
            "agentId": self.agent.agent_id,
            "agentName": self.agent.name,
            "pair": position.coin,
            "side": position.signal,
            "amount": float(size / position.entry_price) if position.entry_price else 0.0,
            "price": float(price),
            "pnl": float(earned / size * 100) if size else 0.0,
            "pnlAbsolute": float(earned),
            "timestamp": at,
            "tradeType": kind,
            "leverage": float(position.leverage),
            "size_usd": float(size),
            "confidence": float(position.confidence),
            "orderType": "market",
        }


class PaperDesk:
    """All books of one worker."""

    def __init__(
        self, core: Core, journal: Journal, store: TradingStore, costs: PaperCosts, initial: Decimal
    ) -> None:
        self._core = core
        self._journal = journal
        self._store = store
        self._costs = costs
        self._initial = initial
        self.books: dict[str, PaperBook] = {}

    async def book(self, agent: AgentDocument) -> PaperBook:
        """The book of a paper agent, or the shadow of a real one; read from the database at first.

        Raises:
            StoreError: it cannot be read now.
        """
        shadow = not agent.paper
        known = self.books.get(agent.agent_id)
        if known is None or known.shadow != shadow:
            known = PaperBook(
                agent, self._journal, self._core.state.marks, self._costs, self._initial, shadow=shadow
            )
            await self._told()
            await known.load(self._store)
            self.books[agent.agent_id] = known
        known.agent = agent
        return known

    async def _told(self) -> None:
        """Until the database knows what this machine's workers did on paper before; not for ever."""
        began, until = now_ms(), time.monotonic() + TOLD_SECONDS
        while time.monotonic() < until:
            waiting = await self._journal.entries_after(MARK, AT_ONCE)
            if len(waiting) < AT_ONCE and not any(e.kind in _KINDS and e.at <= began for e in waiting):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def listen(self, event: Event) -> None:
        """Take an event of the engine."""
        if isinstance(event, PaperPosition):
            book = self.books.get(event.position.agent_id)
            if book is not None and not book.shadow:
                book.hear_position(event.position)
        elif isinstance(event, TradeSeen):
            book = self.books.get(event.trade.agent_id)
            if book is not None and not book.shadow:
                book.hear_trade(event.trade)

    def forget(self, agent_id: str) -> None:
        """Another worker has the agent now."""
        self.books.pop(agent_id, None)

    async def run(self) -> None:
        """Watch stops and targets, and tell the database the figures, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._tell())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for book in [*self.books.values()]:
                await book.watch()

    async def _tell(self) -> None:
        # Apart from the watching: a database that does not answer must not delay a stop.
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self._write()

    async def _write(self) -> None:
        for book in [*self.books.values()]:
            if book.shadow:
                continue
            shown = book.figures()
            try:
                await self._store.write_paper_agent(
                    book.agent.agent_id, shown, [*book.positions.values()], self._core.state.marks
                )
            except StoreError:
                return  # the outbox says that the database is away; figures are written again


def _id_of(decision_id: str) -> str:
    """A document id that belongs to a decision: filling it twice writes the same document."""
    import hashlib

    return hashlib.sha256(f"paper/{decision_id}".encode()).hexdigest()[:24]


def _shadow_exit(position: PositionDocument) -> TradeDocument:
    closed = parse_trade(
        {
            "_id": position.position_id,
            "agentId": position.agent_id,
            "agentName": position.agent_name,
            "pair": position.coin,
            "side": position.signal,
            "amount": 0.0,
            "price": float(position.exit_price or 0),
            "pnl": float(position.pnl),
            "pnlAbsolute": float(position.pnl_absolute),
            "timestamp": position.closed_at or 0,
            "tradeType": "exit",
        }
    )
    return replace(closed, size_usd=position.size_usd)

"""The four panes: what each shows of a snapshot. Rows are made from views; views that did not change keep
their rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import ClassVar

from aster_tui.console import format as fmt
from aster_tui.console.widgets.grid import Column, Grid, Row
from aster_tui.domain.views import AgentView, ErrorView, FleetSnapshot, OrderView, PositionView

#: Order types as they are written where every column counts.
TYPES = {
    "MARKET": "MKT",
    "LIMIT": "LMT",
    "STOP_MARKET": "STOP",
    "TAKE_PROFIT": "TP L",
    "TAKE_PROFIT_MARKET": "TP",
    "STOP": "ST L",
    "TRAILING_STOP_MARKET": "TRAIL",
}
REAL, PAPER = "● REAL", "○ paper"


class Pane(Grid):
    """A grid with a title that follows a snapshot."""

    NAME: ClassVar[str] = ""
    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    EMPTY: ClassVar[str] = ""
    NEWEST_FIRST: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(self.COLUMNS, empty=self.EMPTY, id=self.NAME.lower(), newest_first=self.NEWEST_FIRST)
        self._kept: dict[Hashable, tuple[object, tuple[Row, ...]]] = {}
        self.border_title = self.NAME

    def show(self, snapshot: FleetSnapshot, now: int) -> None:
        """Show a snapshot at ``now`` (Unix ms)."""
        title, subtitle = self.titles(snapshot)
        if self.border_title != title:
            self.border_title = title
        if (self.border_subtitle or "") != subtitle:
            self.border_subtitle = subtitle
        self.show_rows(tuple(self.rows_of(snapshot, now)))

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """Border title and subtitle."""
        raise NotImplementedError

    def rows_of(self, snapshot: FleetSnapshot, now: int) -> Iterable[Row]:
        """The rows of a snapshot."""
        raise NotImplementedError

    def _keep(self, key: Hashable, basis: object, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        self._kept[key] = (basis, rows)
        if len(self._kept) > 4_000:
            self._kept.clear()
        return rows

    def _known(self, key: Hashable, basis: object) -> tuple[Row, ...] | None:
        known = self._kept.get(key)
        return known[1] if known is not None and known[0] == basis else None


class AgentsPane(Pane):
    """The agents, real ones first."""

    NAME = "Agents"
    EMPTY = "No agents yet: waiting for MongoDB."
    COLUMNS = (
        Column("agent", 13, grows=True),
        Column("mode", 7),
        Column("balance", 9, "right"),
        Column("pnl", 8, "right"),
        Column("pos", 3, "right", rank=1),
        Column("orders", 6, "right", rank=3),
        Column("sync", 7, "right"),
        Column("strategy", 22, rank=4),
        Column("trades", 6, "right", rank=5),
        Column("won", 7, "right", rank=6),
    )

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many, and what they hold together."""
        real = [a for a in snapshot.agents if a.mode == "real"]
        paper = [a for a in snapshot.agents if a.mode == "paper"]
        parts = []
        for word, group in (("real", real), ("paper", paper)):
            if group:
                held = sum((a.balance for a in group), Decimal(0))
                gained = sum((a.pnl_absolute for a in group), Decimal(0))
                parts.append(f"{word} {fmt.number(held, 2)} {fmt.signed(gained)}")
        count = f" {len(snapshot.agents)} · {len(real)} real" if snapshot.agents else ""
        return f"Agents{count}", " · ".join(parts)

    def rows_of(self, snapshot: FleetSnapshot, now: int) -> Iterable[Row]:
        """One row per agent."""
        for agent in snapshot.agents:
            sync = sync_cell(agent, now)
            yield from self._known(agent.key, (agent, sync)) or self._keep(
                agent.key, (agent, sync), (_agent_row(agent, sync),)
            )


def _agent_row(agent: AgentView, sync: tuple[str, str]) -> Row:
    troubled = bool(agent.warnings) or agent.status == "error" or agent.sync.error
    name = fmt.one_line(agent.name) + (" !" if troubled else "")
    still = "dim" if agent.stale else ""
    return Row(
        agent.key,
        (
            name,
            REAL if agent.mode == "real" else PAPER,
            fmt.number(agent.balance, 2),
            fmt.percent(agent.pnl_percent),
            str(agent.positions) if agent.positions else fmt.NOTHING,
            str(agent.open_orders) if agent.open_orders else fmt.NOTHING,
            sync[0],
            fmt.one_line(agent.strategy),
            str(agent.total_trades),
            f"{agent.win_rate:.0f} %",
        ),
        (
            "warn" if troubled else still,
            agent.mode,
            still,
            still or fmt.tone(agent.pnl_percent),
            still,
            still,
            sync[1],
            "dim",
            "dim",
            "dim",
        ),
    )


def sync_cell(agent: AgentView, now: int) -> tuple[str, str]:
    """The sync column: a word or an age, with its style."""
    sync = agent.sync
    if agent.mode == "paper":
        return fmt.NOTHING, "dim"
    if sync.running:
        return "syncing", "dim"
    if sync.error:
        return "failed", "alarm"
    if sync.state == "drift":
        return "drift", "warn"
    if sync.state == "never" or sync.at is None:
        return "never", "dim"
    return fmt.age(now - sync.at), "warn" if sync.state == "stale" else "dim"


class PositionsPane(Pane):
    """Open positions with the PnL that moves."""

    NAME = "Positions"
    EMPTY = "No open positions."
    COLUMNS = (
        Column("agent", 13, grows=True),
        Column("symbol", 9),
        Column("side", 5),
        Column("size", 7, "decimal", rank=1),
        Column("entry", 11, "decimal", rank=2),
        Column("mark", 11, "decimal"),
        Column("pnl", 8, "right"),
        Column("lev", 4, "right", rank=3),
        Column("stop", 11, "decimal", rank=4),
        Column("target", 11, "decimal", rank=5),
        Column("liq", 11, "decimal", rank=6),
        Column("notional", 10, "right", rank=7),
    )

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many, and the sum of what they gain."""
        if not snapshot.positions:
            return "Positions", ""
        real = [p for p in snapshot.positions if p.mode == "real"]
        total = sum((p.unrealized_pnl or Decimal(0) for p in snapshot.positions), Decimal(0))
        of_real = sum((p.unrealized_pnl or Decimal(0) for p in real), Decimal(0))
        return (
            f"Positions {len(snapshot.positions)} · {fmt.signed(total)} USDT",
            f"real {len(real)} · {fmt.signed(of_real)}" if real else "",
        )

    def rows_of(self, snapshot: FleetSnapshot, now: int) -> Iterable[Row]:
        """One row per position."""
        for position in snapshot.positions:
            yield from self._known(position.key, position) or self._keep(
                position.key, position, (_position_row(position),)
            )


def _position_row(p: PositionView) -> Row:
    still = "dim" if p.stale else ""
    price = p.price_places
    return Row(
        p.key,
        (
            fmt.one_line(p.agent),
            p.symbol,
            p.side,
            fmt.number(p.quantity, p.quantity_places),
            fmt.number(p.entry_price, price),
            fmt.number(p.mark_price, price),
            fmt.signed(p.unrealized_pnl),
            f"{p.leverage}×" if p.leverage else fmt.NOTHING,
            fmt.number(p.stop_loss, price) if p.stop_loss else fmt.NOTHING,
            fmt.number(p.take_profit, price) if p.take_profit else fmt.NOTHING,
            fmt.number(p.liquidation_price, price) if p.liquidation_price else fmt.NOTHING,
            fmt.number(p.notional, 2),
        ),
        (
            "dim" if p.mode == "paper" else "",
            "",
            "buy" if p.side == "long" else "sell",
            still,
            "dim",
            still,
            still or fmt.tone(p.unrealized_pnl),
            "dim",
            "warn" if p.mode == "real" and p.stop_loss is None else "dim",
            "dim",
            "dim",
            "dim",
        ),
    )


class OrdersPane(Pane):
    """The order log, newest first."""

    NAME = "Orders"
    EMPTY = "No orders yet."
    NEWEST_FIRST = True
    COLUMNS = (
        Column("time", 8),
        Column("agent", 13, grows=True),
        Column("side", 4),
        Column("symbol", 9),
        Column("size", 7, "decimal", rank=1),
        Column("type", 5, rank=2),
        Column("status", 8),
        Column("price", 11, "decimal", rank=1),
        Column("slip", 8, "right", rank=3),
        Column("ms", 4, "right", rank=4),
    )

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many there are, and how many were refused."""
        if not snapshot.orders:
            return "Orders", ""
        refused = sum(o.status in ("REJECTED", "UNKNOWN") for o in snapshot.orders)
        return f"Orders {len(snapshot.orders)}", f"{refused} refused" if refused else ""

    def rows_of(self, snapshot: FleetSnapshot, now: int) -> Iterable[Row]:
        """One row per order."""
        for order in snapshot.orders:
            yield from self._known(order.key, order) or self._keep(order.key, order, (_order_row(order),))


def _order_row(o: OrderView) -> Row:
    quantity = o.executed if o.status == "FILLED" else o.quantity
    status = o.forced.upper() if o.forced else o.status.replace("PARTIALLY_FILLED", "PART")
    return Row(
        o.key,
        (
            fmt.clock(o.at),
            fmt.one_line(o.agent),
            o.side,
            o.symbol,
            fmt.number(quantity, o.quantity_places) if quantity else fmt.NOTHING,
            TYPES.get(o.order_type, o.order_type),
            status,
            fmt.number(o.price, o.price_places) if o.price else fmt.NOTHING,
            f"{fmt.signed(o.slippage_bp, 1)} bp" if o.slippage_bp is not None else "",
            str(o.latency_ms) if o.latency_ms is not None else "",
        ),
        (
            "dim",
            "dim" if o.mode == "paper" else "",
            "buy" if o.side == "BUY" else "sell",
            "",
            "",
            "dim",
            _status_style(o),
            "",
            "dim",
            "dim",
        ),
    )


def _status_style(o: OrderView) -> str:
    if o.forced or o.status in ("REJECTED", "UNKNOWN"):
        return "alarm"
    if o.status in ("CANCELED", "EXPIRED"):
        return "dim"
    return "" if o.status == "FILLED" else "strong"


class ErrorsPane(Pane):
    """What went wrong, newest first: where and when, and under it what it means and what to do."""

    NAME = "Errors"
    EMPTY = "Nothing went wrong."
    NEWEST_FIRST = True
    COLUMNS = (
        Column("time", 8),
        Column("where", 13, grows=True),
        Column("code", 10),
        Column("times", 5, "right"),
    )

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many different ones."""
        count = len(snapshot.errors)
        return (f"Errors {count}" if count else "Errors"), ""

    def rows_of(self, snapshot: FleetSnapshot, now: int) -> Iterable[Row]:
        """Two or three rows per error."""
        for error in snapshot.errors:
            yield from self._known(error.key, error) or self._keep(error.key, error, _error_rows(error))


#: Added to an error's key for the lines under its first.
UNDER = "\nunder"


def _error_rows(e: ErrorView) -> tuple[Row, ...]:
    times = f"×{e.count}" if e.count > 1 else ""
    head = (fmt.clock(e.at), fmt.one_line(e.agent or e.source), e.code, times)
    rows = [
        Row(e.key, head, ("dim", "strong", "alarm", "warn")),
        Row(f"{e.key}{UNDER}1", (), ("",), span=fmt.one_line(e.message)),
    ]
    if e.remedy:
        rows.append(Row(f"{e.key}{UNDER}2", (), ("dim",), span=f"→ {fmt.one_line(e.remedy)}"))
    return tuple(rows)

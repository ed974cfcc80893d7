"""The four panes: what each shows of a snapshot, and how it is filtered, sorted and summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from aster_tui.console import format as fmt
from aster_tui.console.listing import facts
from aster_tui.console.pane import Pane
from aster_tui.console.widgets.grid import UNDER, Column, Row
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
#: In the mode's place, with its style: no new order, or none that adds risk.
STOPPED = {"HALTED": ("■", "alarm"), "REDUCING": ("▼", "warn")}


class AgentsPane(Pane):
    """The agents, real ones first."""

    NAME = "Agents"
    EMPTY = "No agents are known yet."
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

    SORTS: ClassVar[Mapping[str, Callable[[AgentView], Any]]] = {
        "agent": lambda a: a.name.lower(),
        "mode": lambda a: a.mode,
        "balance": lambda a: a.balance,
        "pnl": lambda a: a.pnl_percent,
        "pos": lambda a: a.positions,
        "orders": lambda a: a.open_orders,
        "sync": lambda a: a.sync.at,
        "strategy": lambda a: a.strategy.lower(),
        "trades": lambda a: a.total_trades,
        "won": lambda a: a.win_rate if a.total_trades else None,
    }

    def views(self, snapshot: FleetSnapshot) -> Sequence[AgentView]:
        """Every agent."""
        return snapshot.agents

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many, and how many of them are real."""
        real = sum(a.mode == "real" for a in snapshot.agents)
        return (f"Agents {len(snapshot.agents)} · {real} real" if snapshot.agents else "Agents"), ""

    def owners_of(self, view: AgentView) -> Sequence[str]:
        """Itself."""
        return (view.key,)

    def basis_of(self, view: AgentView, now: int) -> object:
        """The agent, and the age of its last sync."""
        return view, sync_cell(view, now)

    def rows_of(self, view: AgentView, now: int) -> tuple[Row, ...]:
        """One row per agent."""
        return (_agent_row(view, sync_cell(view, now)),)

    def facts_of(self, view: AgentView) -> Mapping[str, str]:
        """Name, mode, status, strategy, sync."""
        status = f"{view.status} {view.sync.state}{' halted' if view.halted else ''}"
        return facts(agent=view.name, mode=view.mode, status=status, strategy=view.strategy)

    def totals_of(self, views: Sequence[AgentView]) -> tuple[Row, ...]:
        """Real and paper apart: their sum means nothing."""
        return tuple(
            _agents_total(mode, [a for a in views if a.mode == mode])
            for mode in ("real", "paper")
            if any(a.mode == mode for a in views)
        )


def _agents_total(mode: str, agents: list[AgentView]) -> Row:
    held = [a.balance if a.told else None for a in agents]
    gains = [a.pnl_absolute if a.told else None for a in agents]
    told = [a for a in agents if a.told]
    gained = sum((a.pnl_absolute for a in told), Decimal(0))
    put_in = sum((a.balance for a in told), Decimal(0)) - gained
    return Row(
        f"total {mode}",
        (
            f"Σ {len(agents)} {mode}",
            fmt.summed(gains, fmt.signed),
            fmt.summed(held, lambda total: fmt.number(total, 2)),
            fmt.percent(gained / put_in * 100) if put_in > 0 else fmt.UNKNOWN,
            str(sum(a.positions for a in agents)),
            str(sum(a.open_orders for a in agents)),
            "",
            "",
            str(sum(a.total_trades for a in agents)),
            "",
        ),
        (mode, fmt.tone(gained), "", fmt.tone(gained), "", "", "", "", "dim", ""),
    )


def _agent_row(agent: AgentView, sync: tuple[str, str]) -> Row:
    troubled = bool(agent.warnings) or agent.status == "error" or agent.sync.error
    name = fmt.one_line(agent.name) + (" !" if troubled else "")
    still = "dim" if agent.stale else ""
    mode = mode_cell(agent)
    return Row(
        agent.key,
        (
            name,
            mode[0],
            fmt.number(agent.balance if agent.told else None, 2),
            fmt.percent(agent.pnl_percent if agent.told else None),
            str(agent.positions) if agent.positions else fmt.NOTHING,
            str(agent.open_orders) if agent.open_orders else fmt.NOTHING,
            sync[0],
            fmt.one_line(agent.strategy),
            str(agent.total_trades),
            f"{agent.win_rate:.0f} %" if agent.total_trades else fmt.UNKNOWN,
        ),
        (
            "warn" if troubled else still,
            mode[1],
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


def mode_cell(agent: AgentView) -> tuple[str, str]:
    """The mode column: who is halted, or may only reduce, has another sign."""
    text = REAL if agent.mode == "real" else PAPER
    if not agent.halted:
        return text, agent.mode
    sign, style = STOPPED[agent.trading]
    return f"{sign}{text[1:]}", style


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
        Column("entry", 12, "decimal", rank=2),
        Column("mark", 12, "decimal"),
        Column("pnl", 8, "right"),
        Column("lev", 4, "right", rank=3),
        Column("stop", 12, "decimal", rank=4),
        Column("target", 12, "decimal", rank=5),
        Column("liq", 12, "decimal", rank=6),
        Column("notional", 10, "right", rank=7),
    )

    SORTS: ClassVar[Mapping[str, Callable[[PositionView], Any]]] = {
        "agent": lambda p: p.agent.lower(),
        "symbol": lambda p: p.symbol,
        "side": lambda p: p.side,
        "size": lambda p: p.quantity,
        "entry": lambda p: p.entry_price,
        "mark": lambda p: p.mark_price,
        "pnl": lambda p: p.unrealized_pnl,
        "lev": lambda p: p.leverage,
        "stop": lambda p: p.stop_loss,
        "target": lambda p: p.take_profit,
        "liq": lambda p: p.liquidation_price,
        "notional": lambda p: p.notional,
    }

    def views(self, snapshot: FleetSnapshot) -> Sequence[PositionView]:
        """Every open position."""
        return snapshot.positions

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many, and the sum of what they gain."""
        if not snapshot.positions:
            return "Positions", ""
        total = fmt.summed([p.unrealized_pnl for p in snapshot.positions], fmt.signed)
        return f"Positions {len(snapshot.positions)} · {total} USDT", ""

    def rows_of(self, view: PositionView, now: int) -> tuple[Row, ...]:
        """One row per position."""
        return (_position_row(view),)

    def owners_of(self, view: PositionView) -> Sequence[str]:
        """The agents that share the account, its own first."""
        return view.agent_id.split("+")

    def facts_of(self, view: PositionView) -> Mapping[str, str]:
        """Agent, symbol, side, mode; the status of one without a stop is ``unprotected``."""
        status = "protected" if view.stop_loss else "unprotected"
        return facts(
            agent=view.agent,
            symbol=view.symbol,
            side=view.side,
            mode=view.mode,
            status=f"{status}{' stale' if view.stale else ''}",
        )

    def totals_of(self, views: Sequence[PositionView]) -> tuple[Row, ...]:
        """Real and paper apart: their sum means nothing."""
        return tuple(
            _positions_total(mode, [p for p in views if p.mode == mode])
            for mode in ("real", "paper")
            if any(p.mode == mode for p in views)
        )


def _positions_total(mode: str, positions: list[PositionView]) -> Row:
    gains = [p.unrealized_pnl for p in positions]
    gained = fmt.summed(gains, fmt.signed)
    worth = fmt.summed([p.notional for p in positions], lambda total: fmt.number(total, 2))
    tone = "warn" if None in gains else fmt.tone(sum((g for g in gains if g is not None), Decimal(0)))
    long = sum(p.side == "long" for p in positions)
    empty = ("",) * 12
    cells = (f"Σ {len(positions)} {mode}", f"{long} long", "", *empty[3:6], gained, *empty[7:11])
    styles = (mode, "dim", "", *empty[3:6], tone, *empty[7:11])
    return Row(f"total {mode}", (*cells, worth), (*styles, ""))


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
        Column("price", 12, "decimal", rank=1),
        Column("slip", 8, "right", rank=3),
        Column("ms", 4, "right", rank=4),
    )

    SORTS: ClassVar[Mapping[str, Callable[[OrderView], Any]]] = {
        "time": lambda o: o.at,
        "agent": lambda o: o.agent.lower(),
        "side": lambda o: o.side,
        "symbol": lambda o: o.symbol,
        "size": lambda o: o.executed if o.status == "FILLED" else o.quantity,
        "type": lambda o: o.order_type,
        "status": lambda o: o.status,
        "price": lambda o: o.price,
        "slip": lambda o: o.slippage_bp,
        "ms": lambda o: o.latency_ms,
    }

    def views(self, snapshot: FleetSnapshot) -> Sequence[OrderView]:
        """The order log."""
        return snapshot.orders

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many there are, and how many were refused."""
        if not snapshot.orders:
            return "Orders", ""
        refused = sum(o.status in ("REJECTED", "UNKNOWN") for o in snapshot.orders)
        return f"Orders {len(snapshot.orders)}", f"{refused} refused" if refused else ""

    def rows_of(self, view: OrderView, now: int) -> tuple[Row, ...]:
        """One row per order."""
        return (_order_row(view),)

    def facts_of(self, view: OrderView) -> Mapping[str, str]:
        """Agent, symbol, side, type, status, mode, client order id."""
        return facts(
            agent=view.agent,
            symbol=view.symbol,
            side=view.side,
            type=f"{view.order_type} {TYPES.get(view.order_type, '')}",
            status=f"{view.status} {view.forced or ''}",
            mode=view.mode,
            id=view.key,
        )


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

    SORTS: ClassVar[Mapping[str, Callable[[ErrorView], Any]]] = {
        "time": lambda e: e.at,
        "where": lambda e: (e.agent or e.source).lower(),
        "code": lambda e: e.code,
        "times": lambda e: e.count,
    }

    def views(self, snapshot: FleetSnapshot) -> Sequence[ErrorView]:
        """Every error that is kept."""
        return snapshot.errors

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many different ones."""
        count = len(snapshot.errors)
        return (f"Errors {count}" if count else "Errors"), ""

    def rows_of(self, view: ErrorView, now: int) -> tuple[Row, ...]:
        """Two or three rows per error."""
        return _error_rows(view)

    def facts_of(self, view: ErrorView) -> Mapping[str, str]:
        """Agent, source, code, and what it says."""
        return facts(
            agent=view.agent or "", source=view.source, code=view.code, says=f"{view.message} {view.remedy}"
        )


def _error_rows(e: ErrorView) -> tuple[Row, ...]:
    times = f"×{e.count}" if e.count > 1 else ""
    head = (fmt.clock(e.at), fmt.one_line(e.agent or e.source), e.code, times)
    # The head names the agent already: a narrow pane has better use for the room.
    message = e.message.removeprefix(f"{e.agent}: ") if e.agent else e.message
    rows = [
        Row(e.key, head, ("dim", "strong", "alarm", "warn")),
        Row(f"{e.key}{UNDER}1", (), ("",), span=fmt.one_line(message)),
    ]
    if e.remedy:
        rows.append(Row(f"{e.key}{UNDER}2", (), ("dim",), span=f"→ {fmt.one_line(e.remedy)}"))
    return tuple(rows)

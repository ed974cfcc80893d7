"""Paper trading by the existing system's rules: simulated fills, stops and targets, and an agent's figures.
Pure.

A fill is at the mark, worse by the slippage; the fees of both sides are taken off at the exit, so that paper
balance = initial + sum of ``pnlAbsolute`` over exits + unrealized stays the one rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from aster_tui.domain.decisions import Decision
from aster_tui.domain.documents import HUNDRED, PositionDocument, TradeDocument, paper_unrealized
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import ZERO

DAY_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class PaperCosts:
    """What a paper fill costs: slippage in basis points of the mark, the fee as a part of the notional."""

    slippage_bp: Decimal = Decimal(2)
    fee: Decimal = Decimal("0.0004")

    def fill_price(self, mark: Decimal, *, buys: bool) -> Decimal:
        """The price of a market order."""
        part = self.slippage_bp / 10_000
        return mark * (1 + part if buys else 1 - part)


@dataclass(frozen=True, slots=True)
class PaperExit:
    """A paper position that was closed: price, what it earned after fees and before, USD."""

    price: Decimal
    earned: Decimal
    fees: Decimal


def leave(position: PositionDocument, mark: Decimal, costs: PaperCosts) -> PaperExit:
    """Close a paper position at the mark of now."""
    price = costs.fill_price(mark, buys=position.signal == "short")
    gross = paper_unrealized(position, price)
    worth = position.size_usd + (gross if position.signal == "long" else -gross)
    fees = (position.size_usd + worth) * costs.fee
    return PaperExit(price, gross - fees, fees)


def triggered(position: PositionDocument, mark: Decimal) -> Literal["stop", "target"] | None:
    """Whether the mark reached the stop or the target."""
    long = position.signal == "long"
    stop, target = position.stop_loss, position.profit_target
    if stop > 0 and (mark <= stop if long else mark >= stop):
        return "stop"
    if target > 0 and (mark >= target if long else mark <= target):
        return "target"
    return None


def entry_document(
    decision: Decision, agent_name: str, price: Decimal, size: Decimal, at: int
) -> dict[str, Any]:
    """The document of ``positions`` that a paper entry writes. ``size`` is the notional at entry, USD."""
    return {
        "agentId": decision.agent_id,
        "agentName": agent_name,
        "coin": decision.coin,
        "signal": decision.signal,
        "entry_price": float(price),
        "profit_target": float(decision.profit_target or 0),
        "stop_loss": float(decision.stop_loss or 0),
        "leverage": decision.leverage,
        "size_usd": float(size),
        "confidence": float(decision.confidence),
        "opened_at": at,
        "expected_duration": decision.expected_duration,
        "status": "open",
        "pnl": 0.0,
        "pnlAbsolute": 0.0,
        "trade_type": "entry",
        "aiReason": decision.justification,
        "orderType": "market",
        "decisionId": decision.decision_id,
    }


def exit_fields(position: PositionDocument, done: PaperExit, at: int) -> dict[str, Any]:
    """What closing writes into the position's document."""
    percent = done.earned / position.size_usd * HUNDRED if position.size_usd else ZERO
    return {
        "status": "closed",
        "trade_type": "exit",
        "exit_price": float(done.price),
        "closed_at": at,
        "pnl": float(percent),
        "pnlAbsolute": float(done.earned),
    }


def figures(
    initial: Decimal,
    trades: Iterable[TradeDocument],
    positions: Iterable[PositionDocument],
    marks: Mapping[str, Decimal],
    now: int,
) -> dict[str, float | int]:
    """An agent's figures from all its trades and open positions: balance, pnl (percent), pnlAbsolute, winRate
    (percent of exits that earned), totalTrades (exits), volume24h (notional of entries and exits)."""
    rows = list(trades)
    exits = [t for t in rows if t.trade_type == "exit"]
    unrealized = sum(
        (paper_unrealized(p, marks.get(symbol_of(p.coin), p.entry_price)) for p in positions), ZERO
    )
    absolute = sum((t.pnl_absolute for t in exits), ZERO) + unrealized
    won = sum(t.pnl_absolute > 0 for t in exits)
    return {
        "balance": float(initial + absolute),
        "pnlAbsolute": float(absolute),
        "pnl": float(absolute / initial * HUNDRED) if initial else 0.0,
        "winRate": won / len(exits) * 100 if exits else 50.0,
        "totalTrades": len(exits),
        "volume24h": float(sum((t.size_usd for t in rows if now - t.timestamp < DAY_MS), ZERO)),
    }


def last_trade(trade: TradeDocument) -> dict[str, Any]:
    """An agent's ``lastTrade``."""
    return {
        "pair": trade.pair,
        "side": trade.side,
        "amount": float(trade.amount),
        "price": float(trade.price),
        "pnl": float(trade.pnl),
        "timestamp": trade.timestamp,
    }

"""Where a decision becomes trades: on a practice account, or on paper by the existing system's rules."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from aster_tui.aster.errors import AsterError
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.trader import Trader
from aster_tui.demo.strategy import Decision
from aster_tui.domain.documents import AgentDocument, PositionDocument, paper_unrealized
from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.symbols import SymbolRules, coin_of, round_down, round_nearest, symbol_of
from aster_tui.domain.trading import Order, Position, Side
from aster_tui.store.mongo import MongoWriter

HUNDRED = Decimal(100)


class Desk(Protocol):
    """Executes one agent's decisions."""

    agent: AgentDocument

    async def held(self) -> list[str]:
        """Coins the agent holds positions in."""

    async def execute(self, decision: Decision) -> None:
        """Carry a decision out."""

    async def watch(self) -> None:
        """Do what follows from what the market did: stops, targets, orphans."""

    async def close(self) -> None:
        """Close connections."""


def _now() -> int:
    return time.time_ns() // 1_000_000


class RealDesk:
    """Trades on a practice account: leverage, MARKET, then the protective orders, reduce-only."""

    def __init__(
        self,
        agent: AgentDocument,
        store: MongoWriter,
        marks: Mapping[str, Decimal],
        trader: Trader,
        rules: Mapping[str, SymbolRules],
    ) -> None:
        self.agent = agent
        self._store = store
        self._marks = marks
        self._rules = rules
        self._trader = trader
        self._number = 0
        self._run = format(_now() // 1000, "x")
        self._protected: set[str] = set()

    async def held(self) -> list[str]:
        """Coins of the account's positions."""
        return [coin_of(p.symbol) for p in await self._trader.positions()]

    async def execute(self, decision: Decision) -> None:
        """Open with protective orders, or cancel them and close."""
        symbol = symbol_of(decision.coin)
        if decision.signal == "close":
            await self._close(symbol)
            return
        rules, mark = self._rules[symbol], self._marks[symbol]
        side: Side = "BUY" if decision.signal == "long" else "SELL"
        quantity = round_down(decision.size_usd / mark, rules.market_step_size or rules.step_size)
        await self._trader.set_leverage(symbol, decision.leverage)
        filled = await self._send(symbol, side, "MARKET", quantity)
        away: Side = "SELL" if side == "BUY" else "BUY"
        for kind, price in (
            ("STOP_MARKET", decision.stop_loss),
            ("TAKE_PROFIT_MARKET", decision.profit_target),
        ):
            stop = round_nearest(price, rules.tick_size)
            await self._send(symbol, away, kind, filled.executed, stop_price=stop, reduce_only=True)
            self._protected.add(symbol)

    async def overreach(self) -> None:
        """Want more than the account can pay; the venue refuses (-2019)."""
        rules, mark = self._rules["BTCUSDT"], self._marks["BTCUSDT"]
        quantity = round_down(Decimal(90_000) / mark, rules.market_step_size or rules.step_size)
        try:
            await self._send("BTCUSDT", "BUY", "MARKET", quantity)
        except AsterError:
            return  # recorded: that is what it was for

    async def watch(self) -> None:
        """Cancel protective orders whose position is gone."""
        open_symbols = {p.symbol for p in await self._trader.positions()}
        for symbol in sorted(self._protected - open_symbols):
            # One cancel of weight 1; asking for the open orders of all symbols first would cost 40.
            await self._trader.cancel_all(symbol)
            self._protected.discard(symbol)

    async def close(self) -> None:
        """Close the connection to the exchange."""
        await self._trader.aclose()

    async def _close(self, symbol: str) -> None:
        position = next((p for p in await self._trader.positions() if p.symbol == symbol), None)
        if position is None:
            return
        await self._trader.cancel_all(symbol)
        await self._send(symbol, _closing(position), "MARKET", abs(position.quantity), reduce_only=True)

    async def _send(self, symbol: str, side: Side, kind: str, quantity: Decimal, **more: Any) -> Order:
        self._number += 1
        client_id = f"{self.agent.name[:12]}-{self._run}-{self._number}"
        request = OrderRequest(
            symbol=symbol, side=side, order_type=kind, quantity=quantity, client_order_id=client_id, **more
        )
        started, decided_at, mark = time.perf_counter(), _now(), self._marks[symbol]
        record: dict[str, Any] = {
            "clientOrderId": client_id,
            "agentId": self.agent.agent_id,
            "agentName": self.agent.name,
            "symbol": symbol,
            "side": side,
            "type": kind,
            "quantity": quantity,
            "markPrice": mark,
            "reduceOnly": request.reduce_only,
            "timestamp": decided_at,
        }
        if request.stop_price is not None:
            record["price"] = request.stop_price
        try:
            order = await self._trader.place_order(request)
        except AsterError as error:
            await self._store.upsert_order({**record, "status": "REJECTED", "error": str(error)})
            await self._store.insert_error(
                ErrorRaised(
                    _now(),
                    "exchange",
                    f"{error}: {side} {quantity} {symbol} {kind}",
                    agent=self.agent.name,
                    code=error.code,
                    remedy=error.remedy,
                )
            )
            raise
        latency = round((time.perf_counter() - started) * 1000)
        await self._store.upsert_order(
            {
                **record,
                "orderId": order.order_id,
                "status": order.status,
                "executed": order.executed,
                "averagePrice": order.average_price,
                "latencyMs": latency,
            }
        )
        return order


def _closing(position: Position) -> Side:
    return "SELL" if position.quantity > 0 else "BUY"


class PaperDesk:
    """Fills at the mark and writes what the existing system writes."""

    def __init__(
        self, agent: AgentDocument, store: MongoWriter, marks: Mapping[str, Decimal], initial: float
    ) -> None:
        self.agent = agent
        self._store = store
        self._marks = marks
        self._initial = Decimal(str(initial))
        self._trades = agent.total_trades
        self._won = round(agent.win_rate * agent.total_trades / HUNDRED)
        self._volume = agent.volume_24h

    async def held(self) -> list[str]:
        """Coins of the open documents."""
        return [p.coin for p in await self._store.open_positions(self.agent.agent_id)]

    async def execute(self, decision: Decision) -> None:
        """Open or close at the mark."""
        symbol = symbol_of(decision.coin)
        mark = self._marks[symbol]
        if decision.signal == "close":
            for position in await self._store.open_positions(self.agent.agent_id):
                if position.coin == decision.coin:
                    await self._leave(position, mark)
        else:
            await self._store.open_paper_position(self.agent, self._document(decision, mark), _now())
            self._volume += decision.size_usd
        await self._write_agent()

    async def watch(self) -> None:
        """Close what its stop or target says."""
        closed = False
        for position in await self._store.open_positions(self.agent.agent_id):
            mark = self._marks.get(symbol_of(position.coin))
            if mark is not None and _triggered(position, mark):
                await self._leave(position, mark)
                closed = True
        if closed:
            await self._write_agent()

    async def close(self) -> None:
        """Nothing of its own to close."""

    async def _leave(self, position: PositionDocument, mark: Decimal) -> None:
        earned = paper_unrealized(position, mark)
        await self._store.close_paper_position(self.agent, position, mark, earned, _now())
        self._trades += 1
        self._won += earned > 0
        self._volume += position.size_usd

    async def _write_agent(self) -> None:
        positions = await self._store.open_positions(self.agent.agent_id)
        unrealized = sum((paper_unrealized(p, self._marks[symbol_of(p.coin)]) for p in positions), Decimal(0))
        balance = self._initial + await self._store.exit_pnl(self.agent.agent_id) + unrealized
        earned = balance - self._initial
        figures = {
            "balance": float(balance),
            "pnlAbsolute": float(earned),
            "pnl": float(earned / self._initial * HUNDRED),
            "winRate": 100 * self._won / self._trades if self._trades else 50.0,
            "totalTrades": self._trades,
            "volume24h": float(self._volume),
        }
        await self._store.update_paper_agent(self.agent.agent_id, figures, positions, self._marks)

    def _document(self, decision: Decision, mark: Decimal) -> dict[str, Any]:
        return {
            "agentId": self.agent.agent_id,
            "agentName": self.agent.name,
            "coin": decision.coin,
            "signal": decision.signal,
            "entry_price": float(mark),
            "profit_target": float(decision.profit_target),
            "stop_loss": float(decision.stop_loss),
            "leverage": decision.leverage,
            "size_usd": float(decision.size_usd),
            "confidence": decision.confidence,
            "opened_at": _now(),
            "expected_duration": "",
            "status": "open",
            "pnl": 0.0,
            "pnlAbsolute": 0.0,
            "trade_type": "entry",
            "aiReason": decision.justification,
            "orderType": "market",
        }


def _triggered(position: PositionDocument, mark: Decimal) -> bool:
    long = position.signal == "long"
    stop, target = position.stop_loss, position.profit_target
    stopped = stop > 0 and (mark <= stop if long else mark >= stop)
    reached = target > 0 and (mark >= target if long else mark <= target)
    return stopped or reached

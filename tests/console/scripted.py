"""A fleet made up for the console's tests: the same at every run, changed by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aster_tui.domain.views import (
    AgentView,
    ConsoleView,
    ErrorView,
    FeedView,
    FleetSnapshot,
    OrderView,
    PositionView,
    RequestView,
    SyncView,
)

if TYPE_CHECKING:  # 20 ms, and the bench that starts a console on this fleet counts each of them
    from aster_tui.domain.audit import AuditLine
    from aster_tui.domain.commands import Asked, Command
    from aster_tui.domain.symbols import SymbolRules

D = Decimal
NOW = 1_790_000_000_000
AGENTS = {
    "NeuralSniper": "momentum",
    "QuantumVortex": "mean reversion",
    "VoltCrane": "breakout",
    "DataSage": "statistical arbitrage",
    "DeepRipple": "market making",
    "NeuralStream": "machine learning",
    "NovaHawk": "trend following",
    "PhantomLens": "volatility",
}
NAMES, STRATEGIES = list(AGENTS), list(AGENTS.values())
PRICES = {"BTCUSDT": (D("64012.4"), 1, 3), "ETHUSDT": (D("3101.92"), 2, 3), "ASTERUSDT": (D("1.2340"), 4, 0)}


def agent(number: int, **changes: Any) -> AgentView:
    """One of the eight; the first three are real."""
    real = number < 3
    view = AgentView(
        key=f"a{number}",
        name=NAMES[number % 8],
        strategy=STRATEGIES[number % 8],
        mode="real" if real else "paper",
        account=f"0x{number:040x}" if real else None,
        balance=D(1000) + D(number) * D("17.31"),
        pnl_absolute=D(number) * D("17.31"),
        pnl_percent=D(number) * D("1.731") - 2,
        paper_balance=None,
        positions=1,
        open_orders=2 if real else 0,
        sync=SyncView("in-sync" if real else "never", NOW - 2000 if real else None),
        last_error=None,
    )
    return replace(view, **changes)


def position(number: int, **changes: Any) -> PositionView:
    """A position; symbols, sides and owners take turns."""
    symbol = list(PRICES)[number % 3]
    price, price_places, quantity_places = PRICES[symbol]
    owner = number % 8
    view = PositionView(
        key=f"p{number}",
        agent_id=f"a{owner}",
        agent=NAMES[owner],
        mode="real" if owner < 3 else "paper",
        symbol=symbol,
        side="short" if number % 2 else "long",
        quantity=D(number + 1) / 100 if quantity_places else D(number + 1) * 10,
        entry_price=price,
        mark_price=price,
        unrealized_pnl=D(number) - 5,
        notional=D(100),
        leverage=5,
        stop_loss=price * D("0.98"),
        take_profit=price * D("1.02"),
        liquidation_price=None,
        opened_at=NOW - 60_000 * number,
        price_places=price_places,
        quantity_places=quantity_places,
    )
    return replace(view, **changes)


def order(number: int, **changes: Any) -> OrderView:
    """An order of the log; higher numbers are newer."""
    status = ("FILLED", "NEW", "NEW", "REJECTED", "CANCELED")[number % 5]
    view = OrderView(
        key=f"o{number}",
        at=NOW - 600_000 + number * 1000,
        agent=NAMES[number % 8],
        mode="real" if number % 8 < 3 else "paper",
        symbol="BTCUSDT",
        side="BUY" if number % 2 else "SELL",
        order_type=("MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET", "MARKET", "LIMIT")[number % 5],
        status=status,
        quantity=D("0.010"),
        executed=D("0.010") if status == "FILLED" else D(0),
        price=None if status == "REJECTED" else D("64012.4"),
        slippage_bp=D("0.8"),
        latency_ms=41,
        reduce_only=False,
        price_places=1,
    )
    return replace(view, **changes)


def rules() -> dict[str, SymbolRules]:
    """The filters of the three symbols, as the practice exchange has them."""
    from aster_tui.domain.symbols import SymbolRules

    return {
        symbol: SymbolRules(
            symbol=symbol,
            base_asset=symbol.removesuffix("USDT"),
            status="TRADING",
            tick_size=D(1).scaleb(-price_places),
            min_price=D(1).scaleb(-price_places),
            max_price=D(1_000_000),
            step_size=D(1).scaleb(-quantity_places),
            min_quantity=D(1).scaleb(-quantity_places),
            max_quantity=D(1_000_000),
            market_step_size=D(1).scaleb(-quantity_places),
            market_min_quantity=D(1).scaleb(-quantity_places),
            market_max_quantity=D(100_000),
            min_notional=D(5),
        )
        for symbol, (_, price_places, quantity_places) in PRICES.items()
    }


def error(number: int, **changes: Any) -> ErrorView:
    """A line of the errors pane."""
    view = ErrorView(
        key=f"e{number}",
        at=NOW - number * 1000,
        source="exchange",
        agent=NAMES[number % 8],
        code="-2019",
        message="the margin is too low (Margin is insufficient.)",
        remedy="lower the size or the leverage, or close something",
        count=1,
        raw='{"code":-2019}',
    )
    return replace(view, **changes)


def feeds(**states: Any) -> tuple[FeedView, ...]:
    """The feeds, live unless said otherwise."""
    names = ("exchange", "marks", "user:0x01…01", "user:0x02…02", "user:0x03…03", "mongo")
    return tuple(FeedView(n, states.get(n.split(":")[0], "live"), NOW - 400) for n in names)


def fleet(
    *, agents: int = 8, positions: int = 11, orders: int = 40, errors: int = 2, **changes: Any
) -> FleetSnapshot:
    """A whole snapshot."""
    snapshot = FleetSnapshot(
        version=1,
        at=NOW,
        network="PRACTICE",
        agents=tuple(agent(n) for n in range(agents)),
        positions=tuple(position(n) for n in range(positions)),
        orders=tuple(order(n) for n in reversed(range(orders))),
        errors=tuple(error(n) for n in range(errors)),
        feeds=feeds(),
        clock_offset_ms=4,
        round_trip_ms=12,
        weight_used=214,
        audit=tuple(audit_line(n) for n in reversed(range(4))),
        consoles=(
            ConsoleView("c1", "rosa", "desk-1", NOW - 600_000, NOW - 900, mine=True),
            ConsoleView("c2", "bo", "desk-2", NOW - 60_000, NOW - 2_100, armed=True),
        ),
    )
    return replace(snapshot, **changes)


def audit_line(number: int) -> AuditLine:
    """What the operator at the other desk did: asked and answered take turns."""
    from aster_tui.domain.audit import AuditLine

    answered = number % 2 == 1
    return AuditLine(
        seq=number + 1,
        at=NOW - 60_000 + number * 500,
        operator="bo",
        host="desk-2",
        source="console",
        request_id=f"r{number // 2}",
        phase="answered" if answered else "asked",
        title=f"{NAMES[number // 2]}: leverage 5 in BTCUSDT",
        words=f"aster-tui leverage --agent {NAMES[number // 2]} --symbol BTCUSDT 5",
        network="PRACTICE",
        outcome="done" if answered else "",
        answer="leverage 5 in BTCUSDT" if answered else "",
        hash=f"{number:064x}",
    )


def trading(**changes: Any) -> FleetSnapshot:
    """A fleet whose real agents can trade: filters, marks and balances are known and fresh."""
    told = fleet(
        rules=rules(),
        marks={symbol: price for symbol, (price, _, _) in PRICES.items()},
        marks_at=dict.fromkeys(PRICES, NOW),
    )
    able = tuple(replace(a, wallet_at=NOW, available=D(900)) for a in told.agents)
    return replace(told, **{"agents": able, **changes})


def answered(request_id: str, state: Any = "done", message: str = "", **document: Any) -> RequestView:
    """What a request came to."""
    return RequestView(request_id, "asked", "", state, NOW, NOW, message, document=document)


class Scripted:
    """An engine port that shows what it is given and remembers what it is asked."""

    failure: str | None = None

    def __init__(self, snapshot: FleetSnapshot | None = None) -> None:
        self._snapshot = snapshot or fleet()
        self._lock = threading.Lock()
        self.commands: list[Command] = []
        self.started = self.stopped = 0

    def snapshot(self) -> FleetSnapshot:
        return self._snapshot

    def show(self, **changes: Any) -> None:
        """Show another snapshot, from any thread."""
        with self._lock:
            self._snapshot = replace(self._snapshot, version=self._snapshot.version + 1, **changes)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def submit(self, command: Command) -> None:
        self.commands.append(command)

    @property
    def asked(self) -> list[Asked]:
        """What persons asked for, without the wrapping."""
        from aster_tui.domain.commands import Request

        return [c.asked for c in self.commands if isinstance(c, Request)]

    def start(self) -> None:
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1


class Moving(Scripted):
    """Changes ``cells`` cells ``hertz`` times a second on a thread of its own, as an engine does.

    ``beats`` are the gaps of that thread in ms: what a stalled terminal must not lengthen.
    """

    def __init__(self, *, cells: int = 200, hertz: float = 10.0, rows: int = 100) -> None:
        super().__init__(fleet(positions=rows, orders=100))
        self._cells, self._pause = cells, 1 / hertz
        self._ended = threading.Event()
        self.beats: list[float] = []

    def start(self) -> None:
        super().start()
        threading.Thread(target=self._move, daemon=True).start()

    def stop(self) -> None:
        super().stop()
        self._ended.set()

    def _move(self) -> None:
        turn, last = 0, time.monotonic()
        while not self._ended.wait(self._pause):
            now = time.monotonic()
            self.beats.append((now - last) * 1000)
            last = now
            turn += 1
            changed = list(self._snapshot.positions)
            for step in range(self._cells // 2):  # a mark and a PnL each
                number = step % len(changed)
                p = changed[number]
                move = D((turn * 7 + step * 3) % 19 - 9)
                changed[number] = replace(
                    p,
                    mark_price=p.entry_price + move * D(10) ** -p.price_places,
                    unrealized_pnl=move * D("0.37"),
                )
            self.show(positions=tuple(changed))

"""What the exchange did to an account by itself, said aloud: liquidation, auto-deleveraging, margin calls."""

from __future__ import annotations

from aster_tui.domain.events import Event, MarginCall, OrderUpdate
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import Order
from aster_tui.engine.core import Core

LOOK = "look at the account at once: positions were closed by the exchange, not by the agent"
_WHAT = {"liquidation": "LIQUIDATION", "adl": "AUTO-DELEVERAGING"}


class Alarms:
    """Listens to the engine's events."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._told: set[tuple[int, str]] = set()

    def listen(self, event: Event) -> None:
        """Raise what must not be missed."""
        if isinstance(event, OrderUpdate) and event.order.forced is not None:
            self._forced(event.account, event.order)
        elif isinstance(event, MarginCall):
            self._called(event)

    def _forced(self, account: str, order: Order) -> None:
        if not order.executed or (order.order_id, order.status) in self._told:
            return
        self._told.add((order.order_id, order.status))
        done = f"{plain(order.executed)} of {plain(order.quantity)}"
        price = f" at {plain(order.average_price)}" if order.average_price else ""
        what = _WHAT[order.forced or ""]
        side = "sold" if order.side == "SELL" else "bought"
        self._raise(account, f"{what}: the exchange {side} {done} {order.symbol}{price}", LOOK)

    def _called(self, event: MarginCall) -> None:
        rows = ", ".join(f"{p.symbol} {plain(p.quantity)}" for p in event.positions) or "its positions"
        message = f"MARGIN CALL: near liquidation with {rows}"
        self._raise(event.account, message, "close something, or add balance, before the exchange closes it")

    def _raise(self, account: str, message: str, remedy: str) -> None:
        agents = self._core.state.agents_of(account)
        name = "+".join(a.name for a in agents) or f"account {account[:6]}…{account[-4:]}"
        self._core.problem(
            "exchange", f"{name}: {message}", agent=agents[0].name if agents else None, remedy=remedy
        )

"""The stream events this client reads, and the domain events they become. Source: user data streams and
mark-price stream of the venue's futures v3 documents."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import Field

from aster_tui.aster.models import Number, Wire
from aster_tui.domain.events import (
    AccountUpdate,
    Event,
    LeverageChanged,
    MarginCall,
    MarkPrices,
    OrderUpdate,
    PositionChange,
    PressedPosition,
)
from aster_tui.domain.trading import Order, PositionSide, Side


class _Order(Wire):
    symbol: str = Field(alias="s")
    client_order_id: str = Field(alias="c")
    side: Side = Field(alias="S")
    order_type: str = Field(alias="o")
    original_type: str = Field(alias="ot", default="")
    time_in_force: str = Field(alias="f", default="GTC")
    quantity: Number = Field(alias="q")
    price: Number = Field(alias="p", default=Decimal(0))
    average_price: Number = Field(alias="ap", default=Decimal(0))
    stop_price: Number = Field(alias="sp", default=Decimal(0))
    execution: str = Field(alias="x")
    status: str = Field(alias="X")
    order_id: int = Field(alias="i")
    executed: Number = Field(alias="z")
    commission: Number = Field(alias="n", default=Decimal(0))
    realized: Number = Field(alias="rp", default=Decimal(0))
    reduce_only: bool = Field(alias="R", default=False)
    close_position: bool = Field(alias="cp", default=False)
    position_side: PositionSide = Field(alias="ps", default="BOTH")
    time: int = Field(alias="T", default=0)
    trade_id: int = Field(alias="t", default=0)
    last_executed: Number = Field(alias="l", default=Decimal(0))


class OrderTradeUpdate(Wire):
    """ORDER_TRADE_UPDATE."""

    at: int = Field(alias="E")
    o: _Order

    def event(self, account: str) -> OrderUpdate:
        """In the domain's names. A triggered stop reports as MARKET; its original type says what it was."""
        o = self.o
        order = Order(
            symbol=o.symbol,
            order_id=o.order_id,
            client_order_id=o.client_order_id,
            side=o.side,
            order_type=o.original_type or o.order_type,
            status=o.status,
            quantity=o.quantity,
            executed=o.executed,
            price=o.price,
            average_price=o.average_price,
            stop_price=o.stop_price,
            time_in_force=o.time_in_force,
            reduce_only=o.reduce_only,
            close_position=o.close_position,
            position_side=o.position_side,
            updated_at=o.time or self.at,
            realized_pnl=o.realized,
            commission=o.commission,
        )
        return OrderUpdate(account, self.at, order, o.execution, o.trade_id, o.last_executed)


class _Balance(Wire):
    asset: str = Field(alias="a")
    wallet: Number = Field(alias="wb")


class _Position(Wire):
    symbol: str = Field(alias="s")
    quantity: Number = Field(alias="pa")
    entry_price: Number = Field(alias="ep")
    side: PositionSide = Field(alias="ps", default="BOTH")


class _Account(Wire):
    reason: str = Field(alias="m", default="")
    balances: list[_Balance] = Field(alias="B", default_factory=list)
    positions: list[_Position] = Field(alias="P", default_factory=list)


class AccountUpdateEvent(Wire):
    """ACCOUNT_UPDATE: only what changed; funding on cross margin has balances only."""

    at: int = Field(alias="E")
    a: _Account

    def event(self, account: str) -> AccountUpdate:
        """In the domain's names."""
        changes = tuple(PositionChange(p.symbol, p.quantity, p.entry_price, p.side) for p in self.a.positions)
        return AccountUpdate(
            account, self.at, self.a.reason, {b.asset: b.wallet for b in self.a.balances}, changes
        )


class _Leverage(Wire):
    symbol: str = Field(alias="s")
    leverage: int = Field(alias="l")


class AccountConfigUpdate(Wire):
    """ACCOUNT_CONFIG_UPDATE: a leverage (``ac``) or an account mode (``ai``)."""

    at: int = Field(alias="E")
    ac: _Leverage | None = None

    def event(self, account: str) -> LeverageChanged | None:
        """The leverage change, if it is one."""
        if self.ac is None:
            return None
        return LeverageChanged(account, self.at, self.ac.symbol, self.ac.leverage)


class _Pressed(Wire):
    symbol: str = Field(alias="s")
    quantity: Number = Field(alias="pa")
    mark: Number = Field(alias="mp", default=Decimal(0))
    maintenance: Number = Field(alias="mm", default=Decimal(0))


class MarginCallEvent(Wire):
    """MARGIN_CALL: the positions that are near their liquidation."""

    at: int = Field(alias="E")
    positions: list[_Pressed] = Field(alias="p", default_factory=list)

    def event(self, account: str) -> MarginCall:
        """In the domain's names."""
        rows = (PressedPosition(p.symbol, p.quantity, p.mark, p.maintenance) for p in self.positions)
        return MarginCall(account, self.at, tuple(rows))


class MarkPriceEvent(Wire):
    """One element of ``!markPrice@arr@1s``."""

    at: int = Field(alias="E")
    symbol: str = Field(alias="s")
    price: Number = Field(alias="p")


#: Known events that change nothing this program keeps.
IGNORED = frozenset({"TRADE_LITE", "STRATEGY_UPDATE", "GRID_UPDATE"})


def user_event(kind: str, data: dict[str, Any], account: str) -> Event | None:
    """The domain event of a user-stream frame; None for one that changes nothing.

    Raises:
        KeyError: the kind is not known.
        pydantic.ValidationError: a field this client uses is missing or malformed.
    """
    if kind == "ORDER_TRADE_UPDATE":
        return OrderTradeUpdate.model_validate(data).event(account)
    if kind == "ACCOUNT_UPDATE":
        return AccountUpdateEvent.model_validate(data).event(account)
    if kind == "ACCOUNT_CONFIG_UPDATE":
        return AccountConfigUpdate.model_validate(data).event(account)
    if kind == "MARGIN_CALL":
        return MarginCallEvent.model_validate(data).event(account)
    if kind in IGNORED:
        return None
    raise KeyError(kind)


def mark_prices(rows: list[Any]) -> MarkPrices:
    """The mark prices of one frame. Prices that are not above zero are left out."""
    events = [MarkPriceEvent.model_validate(row) for row in rows]
    return MarkPrices(
        max((e.at for e in events), default=0), {e.symbol: e.price for e in events if e.price > 0}
    )

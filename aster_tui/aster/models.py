"""The REST answers this client reads: strict on the fields it uses, blind to all others."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from aster_tui.domain.symbols import SymbolRules
from aster_tui.domain.trading import Order, Position, PositionSide, Side


def _number(value: Any) -> Any:
    """Numbers come as strings, seldom as JSON numbers, and as "" where there is none."""
    if isinstance(value, bool):
        raise ValueError("not a number")
    return "0" if value in ("", None) else value


#: A finite number of the wire.
Number = Annotated[Decimal, BeforeValidator(_number), Field(allow_inf_nan=False)]


class Wire(BaseModel):
    """Base of all wire models."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class ServerTime(Wire):
    """GET time."""

    server_time: int = Field(alias="serverTime")


class OrderAnswer(Wire):
    """An order of POST, GET, DELETE order and openOrders."""

    symbol: str
    order_id: int = Field(alias="orderId")
    client_order_id: str = Field(alias="clientOrderId")
    side: Side
    order_type: str = Field(alias="type")
    status: str
    quantity: Number = Field(alias="origQty")
    executed: Number = Field(alias="executedQty")
    price: Number = Decimal(0)
    average_price: Number = Field(alias="avgPrice", default=Decimal(0))
    stop_price: Number = Field(alias="stopPrice", default=Decimal(0))
    time_in_force: str = Field(alias="timeInForce", default="GTC")
    reduce_only: bool = Field(alias="reduceOnly", default=False)
    close_position: bool = Field(alias="closePosition", default=False)
    position_side: PositionSide = Field(alias="positionSide", default="BOTH")
    update_time: int = Field(alias="updateTime", default=0)

    def order(self) -> Order:
        """In the domain's names."""
        return Order(
            symbol=self.symbol,
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            side=self.side,
            order_type=self.order_type,
            status=self.status,
            quantity=self.quantity,
            executed=self.executed,
            price=self.price,
            average_price=self.average_price,
            stop_price=self.stop_price,
            time_in_force=self.time_in_force,
            reduce_only=self.reduce_only,
            close_position=self.close_position,
            position_side=self.position_side,
            updated_at=self.update_time,
        )


class PositionAnswer(Wire):
    """A row of positionRisk; zero rows occur."""

    symbol: str
    quantity: Number = Field(alias="positionAmt")
    entry_price: Number = Field(alias="entryPrice")
    mark_price: Number = Field(alias="markPrice", default=Decimal(0))
    liquidation_price: Number = Field(alias="liquidationPrice", default=Decimal(0))
    leverage: Number = Decimal(0)
    position_side: PositionSide = Field(alias="positionSide", default="BOTH")
    update_time: int = Field(alias="updateTime", default=0)

    def position(self) -> Position:
        """In the domain's names."""
        return Position(
            symbol=self.symbol,
            quantity=self.quantity,
            entry_price=self.entry_price,
            position_side=self.position_side,
            leverage=int(self.leverage),
            liquidation_price=self.liquidation_price,
            mark_price=self.mark_price,
            updated_at=self.update_time,
        )


class BalanceAnswer(Wire):
    """A row of GET balance. In multi-assets mode ``available`` is shared: never sum it over assets."""

    asset: str
    balance: Number
    available: Number = Field(alias="availableBalance")


class AccountAnswer(Wire):
    """GET accountWithJoinMargin, the totals."""

    wallet_balance: Number = Field(alias="totalWalletBalance")
    unrealized: Number = Field(alias="totalUnrealizedProfit")
    available: Number = Field(alias="availableBalance")
    can_trade: bool = Field(alias="canTrade", default=True)


class MarkPriceAnswer(Wire):
    """A row of premiumIndex."""

    symbol: str
    mark_price: Number = Field(alias="markPrice")
    time: int = 0


class LeverageAnswer(Wire):
    """POST leverage."""

    symbol: str
    leverage: int


class ListenKeyAnswer(Wire):
    """POST listenKey."""

    listen_key: str = Field(alias="listenKey", min_length=1)


class Filter(Wire):
    """One filter of a symbol; which fields are there depends on its type."""

    filter_type: str = Field(alias="filterType")
    min_price: Number | None = Field(alias="minPrice", default=None)
    max_price: Number | None = Field(alias="maxPrice", default=None)
    tick_size: Number | None = Field(alias="tickSize", default=None)
    min_qty: Number | None = Field(alias="minQty", default=None)
    max_qty: Number | None = Field(alias="maxQty", default=None)
    step_size: Number | None = Field(alias="stepSize", default=None)
    notional: Number | None = None
    multiplier_up: Number | None = Field(alias="multiplierUp", default=None)
    multiplier_down: Number | None = Field(alias="multiplierDown", default=None)
    limit: int | None = None


class SymbolAnswer(Wire):
    """A symbol of exchangeInfo."""

    symbol: str
    base_asset: str = Field(alias="baseAsset")
    status: str
    filters: list[Filter]

    def rules(self) -> SymbolRules:
        """Its filters in the domain's names.

        Raises:
            ValueError: a filter this client depends on is missing.
        """
        by_type = {f.filter_type: f for f in self.filters}
        price, lot = self._of(by_type, "PRICE_FILTER"), self._of(by_type, "LOT_SIZE")
        market = by_type.get("MARKET_LOT_SIZE", lot)
        notional, percent = by_type.get("MIN_NOTIONAL"), by_type.get("PERCENT_PRICE")
        orders, stops = by_type.get("MAX_NUM_ORDERS"), by_type.get("MAX_NUM_ALGO_ORDERS")
        return SymbolRules(
            symbol=self.symbol,
            base_asset=self.base_asset,
            status=self.status,
            tick_size=_required(price.tick_size, self.symbol, "tickSize"),
            min_price=price.min_price or Decimal(0),
            max_price=price.max_price or Decimal(0),
            step_size=_required(lot.step_size, self.symbol, "stepSize"),
            min_quantity=lot.min_qty or Decimal(0),
            max_quantity=_required(lot.max_qty, self.symbol, "maxQty"),
            market_step_size=market.step_size or _required(lot.step_size, self.symbol, "stepSize"),
            market_min_quantity=market.min_qty or Decimal(0),
            market_max_quantity=market.max_qty or _required(lot.max_qty, self.symbol, "maxQty"),
            min_notional=notional.notional if notional and notional.notional else Decimal(0),
            percent_up=percent.multiplier_up if percent else None,
            percent_down=percent.multiplier_down if percent else None,
            max_orders=orders.limit if orders and orders.limit else 200,
            max_algo_orders=stops.limit if stops and stops.limit else 100,
        )

    def _of(self, by_type: dict[str, Filter], name: str) -> Filter:
        if name not in by_type:
            raise ValueError(f"{self.symbol} has no {name}")
        return by_type[name]


def _required(value: Decimal | None, symbol: str, name: str) -> Decimal:
    if value is None:
        raise ValueError(f"{symbol} has no {name}")
    return value


class RateLimit(Wire):
    """A row of exchangeInfo's rateLimits."""

    kind: Literal["REQUEST_WEIGHT", "ORDERS"] | str = Field(alias="rateLimitType")
    interval: str
    limit: int


class ExchangeInfoAnswer(Wire):
    """GET exchangeInfo."""

    limits: list[RateLimit] = Field(alias="rateLimits", default_factory=list)
    symbols: list[dict[str, Any]]


class UserTradeAnswer(Wire):
    """A row of userTrades: one fill. Prices and amounts in USDT, quantity in the base asset."""

    trade_id: int = Field(alias="id")
    order_id: int = Field(alias="orderId")
    symbol: str
    side: Side
    price: Number
    quantity: Number = Field(alias="qty")
    realized: Number = Field(alias="realizedPnl")
    commission: Number
    commission_asset: str = Field(alias="commissionAsset")
    maker: bool = False
    time: int


class IncomeAnswer(Wire):
    """A row of income: ``amount`` is signed, in ``asset``."""

    symbol: str = ""
    kind: str = Field(alias="incomeType")
    amount: Number = Field(alias="income")
    asset: str
    time: int
    transaction: str | int = Field(alias="tranId", default="")


class CommissionAnswer(Wire):
    """commissionRate: shares of the notional."""

    symbol: str
    maker: Number = Field(alias="makerCommissionRate")
    taker: Number = Field(alias="takerCommissionRate")


class PositionModeAnswer(Wire):
    """positionSide/dual."""

    hedge: bool = Field(alias="dualSidePosition")


class Bracket(Wire):
    """One leverage bracket: up to ``cap`` USDT of notional, ``leverage`` at most."""

    leverage: int = Field(alias="initialLeverage")
    floor: Number = Field(alias="notionalFloor")
    cap: Number = Field(alias="notionalCap")
    maintenance: Number = Field(alias="maintMarginRatio")


class BracketsAnswer(Wire):
    """leverageBracket of one symbol."""

    symbol: str
    brackets: tuple[Bracket, ...]


class DepthAnswer(Wire):
    """depth: (price, quantity) pairs, best first."""

    bids: tuple[tuple[Number, Number], ...]
    asks: tuple[tuple[Number, Number], ...]


#: The venue's candles are lists; these are the places this client uses.
CANDLE = ("opened", "open", "high", "low", "close", "volume", "closed")


class Candle(Wire):
    """One candle: times in Unix ms, prices in USDT, volume in the base asset."""

    opened: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    closed: int


class DayTickerAnswer(Wire):
    """ticker/24hr."""

    symbol: str
    last: Number = Field(alias="lastPrice")
    open: Number = Field(alias="openPrice")
    high: Number = Field(alias="highPrice")
    low: Number = Field(alias="lowPrice")
    volume: Number
    quote_volume: Number = Field(alias="quoteVolume")
    change_percent: Number = Field(alias="priceChangePercent")


class PriceAnswer(Wire):
    """ticker/price."""

    symbol: str
    price: Number


class BookTickerAnswer(Wire):
    """ticker/bookTicker."""

    symbol: str
    bid: Number = Field(alias="bidPrice")
    bid_quantity: Number = Field(alias="bidQty")
    ask: Number = Field(alias="askPrice")
    ask_quantity: Number = Field(alias="askQty")


class AggTradeAnswer(Wire):
    """A row of aggTrades."""

    price: Number = Field(alias="p")
    quantity: Number = Field(alias="q")
    time: int = Field(alias="T")
    buyer_made: bool = Field(alias="m")


class FundingAnswer(Wire):
    """A row of fundingRate."""

    symbol: str
    rate: Number = Field(alias="fundingRate")
    time: int = Field(alias="fundingTime")

"""The published payload examples read as they should."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aster_tui.aster import models
from aster_tui.aster.stream_models import mark_prices, user_event
from aster_tui.domain.events import AccountUpdate, LeverageChanged, OrderUpdate

D = Decimal
WIRE: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "wire.json").read_text(), parse_float=Decimal
)
EVENTS = {
    "order": WIRE["Event: Order Update"],
    "account": WIRE["Event: Balance and Position Update"],
}


@pytest.mark.parametrize("name", ["POST /fapi/v3/order", "GET /fapi/v3/order", "DELETE /fapi/v3/order"])
def test_orders(name: str) -> None:
    order = models.OrderAnswer.model_validate(WIRE[name]).order()
    assert order.stop_price == D(9300)
    assert order.order_type == "TRAILING_STOP_MARKET"


def test_positions_of_both_modes() -> None:
    for rows in WIRE["GET /fapi/v3/positionRisk"]:
        for row in rows:
            position = models.PositionAnswer.model_validate(row).position()
            assert position.leverage == 10
            assert position.quantity == D(row["positionAmt"])


def test_balances_and_account() -> None:
    row = models.BalanceAnswer.model_validate(WIRE["GET /fapi/v3/balance"][0])
    assert (row.balance, row.available) == (D("122607.35137903"), D("23.72469206"))
    account = models.AccountAnswer.model_validate(WIRE["GET /fapi/v3/accountWithJoinMargin"])
    assert account.wallet_balance == D("23.72469206")


def test_exchange_info() -> None:
    info = models.ExchangeInfoAnswer.model_validate(WIRE["GET /fapi/v3/exchangeInfo"])
    rules = models.SymbolAnswer.model_validate(info.symbols[0]).rules()
    assert rules.tick_size > 0
    assert rules.step_size > 0


def test_an_order_event() -> None:
    event = user_event("ORDER_TRADE_UPDATE", EVENTS["order"], "0xA")
    assert isinstance(event, OrderUpdate)
    assert (event.at, event.execution, event.order.order_id) == (1568879465651, "NEW", 8886774)
    assert event.order.stop_price == D("7103.04")


def test_an_account_event_with_fields_nobody_documents() -> None:
    data = json.loads(json.dumps(EVENTS["account"]))
    data["a"]["P"][0]["ma"] = "USDT"
    event = user_event("ACCOUNT_UPDATE", data, "0xA")
    assert isinstance(event, AccountUpdate)
    assert event.wallets["USDT"] == D("122624.12345678")
    assert [c.quantity for c in event.positions] == [D(0), D(20), D(-10)]


def test_funding_has_balances_only() -> None:
    data = {
        "e": "ACCOUNT_UPDATE",
        "E": 5,
        "a": {"m": "FUNDING_FEE", "B": [{"a": "USDT", "wb": "1", "cw": "1"}]},
    }
    event = user_event("ACCOUNT_UPDATE", data, "0xA")
    assert isinstance(event, AccountUpdate)
    assert event.positions == ()


def test_leverage_and_mode_changes() -> None:
    leverage, mode = WIRE["Event: Account Configuration Update previous Leverage Update"]
    assert user_event("ACCOUNT_CONFIG_UPDATE", leverage, "0xA") == LeverageChanged(
        "0xA", 1611646737479, "BTCUSDT", 25
    )
    assert user_event("ACCOUNT_CONFIG_UPDATE", mode, "0xA") is None


def test_mark_prices() -> None:
    prices = mark_prices(WIRE["Mark Price Stream for All market"])
    assert prices.prices == {"BTCUSDT": D("11185.87786614")}


@pytest.mark.parametrize("value", [None, "NaN", "Infinity", "many", True, [1]])
def test_a_number_that_is_none_is_not_taken(value: Any) -> None:
    data = json.loads(json.dumps(EVENTS["order"], default=str))
    data["o"]["q"] = value if value is not None else {}
    with pytest.raises(ValidationError):
        user_event("ORDER_TRADE_UPDATE", data, "0xA")

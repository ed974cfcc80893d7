"""A practice exchange, a database and a worker's settings between them: what tests of trading begin with."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import PreparedOrder, Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.config import Settings
from aster_tui.domain.keys import PrivateKey
from aster_tui.domain.trading import Order, Side
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from tests import rig

D = Decimal
LOOSE = {"orders_per_minute": 0, "duplicate_seconds": 0, "max_positions": 20, "max_order_percent": 20}


@dataclass
class Desk:
    """A practice exchange, a database and the settings of a worker between them."""

    exchange: PracticeExchange
    database: Any
    settings: Settings
    environment: dict[str, str]
    agents: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, account: dict[str, str] | None = None, **more: Any) -> None:
        document = rig.agent_document(name, account, **more)
        self.agents[name] = str(self.database.agents.insert_one(document).inserted_id)
        if account is not None:
            self.environment |= rig.keys(**{name: account})

    def decide(self, name: str, **arguments: Any) -> ObjectId:
        document = {
            "agentId": self.agents[name],
            "agentName": name,
            "decision": {"trade_signal_args": arguments},
            "timestamp": time.time_ns() // 1_000_000,
        }
        found: ObjectId = self.database.decisions.insert_one(document).inserted_id
        return found

    def decision(self, key: ObjectId) -> dict[str, Any]:
        found: dict[str, Any] = self.database.decisions.find_one({"_id": key})
        return found

    async def ended(self, key: ObjectId) -> dict[str, Any]:
        await rig.until(lambda: "finishedAt" in self.decision(key), f"decision {self.decision(key)} ends")
        return self.decision(key)

    def amount(self, account: dict[str, str], symbol: str) -> Decimal:
        return self.exchange.exchange.accounts[account["user"].lower()].position(symbol).amount

    def open_orders(self, account: dict[str, str]) -> list[Any]:
        return [*self.exchange.exchange.books[account["user"].lower()].open.values()]


def first(desk: Desk, name: str = "Real", **more: Any) -> dict[str, str]:
    """An agent on the first account that is free."""
    account: dict[str, str] = desk.exchange.ready_document()["accounts"][len(desk.agents)]
    desk.add(name, account, **more)
    return account


@asynccontextmanager
async def trader(desk: Desk, account: dict[str, str]) -> AsyncIterator[Trader]:
    """Somebody else who trades on the account, with the user's own key."""
    signer = Signer(PrivateKey.parse(account["user_private_key"]), 1666)
    venue = Venue(desk.exchange.rest_url, desk.exchange.ws_url, 1666)
    client = Trader(venue, Wallet(account["user"], signer), nonces=NonceSource())
    try:
        yield client
    finally:
        await client.aclose()


def market(side: Side, quantity: str, name: str, **more: Any) -> OrderRequest:
    return OrderRequest("BTCUSDT", side, "MARKET", name, quantity=D(quantity), **more)


class Held:
    """Holds the first market order that leaves for an account until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
        self.there, self.go = threading.Event(), threading.Event()
        really = Trader.send_order

        async def send(client: Trader, prepared: PreparedOrder) -> Order:
            its = client.wallet is not None and client.wallet.user.lower() == user.lower()
            if its and prepared.request.order_type == "MARKET" and not self.there.is_set():
                self.there.set()
                await asyncio.to_thread(self.go.wait, rig.PATIENCE)
            return await really(client, prepared)

        monkeypatch.setattr(Trader, "send_order", send)


@pytest.fixture
async def desk(tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any) -> AsyncIterator[Desk]:
    async with PracticeExchange(PracticeOptions(accounts=3, volatility=D(0))) as exchange:
        chosen = rig.settings(
            tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database, **LOOSE
        )
        yield Desk(exchange, raw_database, chosen, {})


LONG = {"coin": "BTC", "signal": "long", "size_usd": 180.0, "leverage": 5}
PROTECTED = {**LONG, "stop_loss": 95000.0, "profit_target": 99000.0}
#: Of a worker that died.
CLAIM = {"owner": "dead", "epoch": 1, "at": 1}

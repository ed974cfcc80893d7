"""A practice exchange, a database and an engine between them: what tests of acting stand on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from aster_tui.config import Settings
from aster_tui.domain.commands import Asked, Request
from aster_tui.domain.ticket import Ticket
from aster_tui.domain.trading import Side
from aster_tui.domain.views import RequestView
from aster_tui.engine.thread import EngineThread
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from tests import rig

D = Decimal


@dataclass
class Floor:
    """A practice exchange, a database and an engine between them."""

    exchange: PracticeExchange
    database: Any
    settings: Settings
    environment: dict[str, str]
    agents: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, number: int | None = None, **more: Any) -> None:
        account = self.accounts[number] if number is not None else None
        document = rig.agent_document(name, account, **more)
        self.agents[name] = str(self.database.agents.insert_one(document).inserted_id)
        if account is not None:
            self.environment |= rig.keys(**{name: account})
            for symbol in ("BTCUSDT", "ETHUSDT"):  # the venue's own default is above the cap
                self.exchange.exchange.accounts[account["user"].lower()].leverages[symbol] = 5

    @property
    def accounts(self) -> list[dict[str, str]]:
        return self.exchange.ready_document()["accounts"]

    def amount(self, number: int, symbol: str) -> Decimal:
        user = self.accounts[number]["user"].lower()
        return self.exchange.exchange.accounts[user].position(symbol).amount

    def open_orders(self, number: int) -> list[Any]:
        return [*self.exchange.exchange.books[self.accounts[number]["user"].lower()].open.values()]

    def practice(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = f"{self.exchange.rest_url}/practice/{path}"
        done = httpx.post(url, json=body) if body is not None else httpx.get(url)
        found: dict[str, Any] = done.json()
        return found

    async def requests(self, path: str) -> int:
        found: int = (await self.state())["requests"].get(path, 0)
        return found

    async def state(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.practice, "state")

    async def fault(self, name: str, value: float) -> None:
        await asyncio.to_thread(self.practice, "faults", {name: value})


@pytest.fixture
async def floor(
    tmp_path: Path, mongo_uri: str, mongo_database: str, raw_database: Any
) -> AsyncIterator[Floor]:
    async with PracticeExchange(PracticeOptions(accounts=3, volatility=D(0))) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        yield Floor(exchange, raw_database, chosen, {})


async def ready(engine: EngineThread, *names: str) -> None:
    for name in names:
        await rig.until(lambda n=name: (a := rig.agent(engine, n)) and a.wallet_at, f"{name} is read")  # type: ignore[misc]
    await rig.until(lambda: engine.snapshot().rules and engine.snapshot().marks, "rules and marks")


async def ask(engine: EngineThread, asked: Asked, source: str = "command") -> RequestView:
    """Ask for something, and what was answered."""
    request = Request(secrets.token_hex(6), asked, source)
    engine.submit(request)

    def ended() -> RequestView | None:
        found = (r for r in engine.snapshot().requests if r.request_id == request.request_id)
        return next((r for r in found if r.state != "running"), None)

    view: RequestView = await rig.until(ended, f"{asked} is answered", 40)
    return view


def market(side: Side = "BUY", quantity: str = "0.001", **more: Any) -> Ticket:
    return Ticket("BTCUSDT", side, "market", quantity=D(quantity), **more)

"""A client of the practice exchange that shares none of this project's code."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
from eth_account import Account
from eth_account.messages import encode_typed_data

from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange

D = Decimal


def sign(message: str, key: str, chain_id: int = 1666) -> str:
    domain = {
        "name": "AsterSignTransaction",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": "0x" + "0" * 40,
    }
    encoded = encode_typed_data(domain, {"Message": [{"name": "msg", "type": "string"}]}, {"msg": message})
    return bytes(Account.sign_message(encoded, key).signature).hex()


class Client:
    """A client of its own: aiohttp, and eth-account's signatures."""

    def __init__(self, exchange: PracticeExchange, session: aiohttp.ClientSession) -> None:
        self.exchange, self.session = exchange, session
        self.account = exchange.ready_document()["accounts"][0]
        self.nonce = time.time_ns() // 1000

    def string(self, **params: str) -> str:
        self.nonce += 1
        identity = {"nonce": str(self.nonce), "user": self.account["user"], "signer": self.account["signer"]}
        return urlencode({**params, **identity})

    def signed(self, **params: str) -> str:
        string = self.string(**params)
        return f"{string}&signature=0x{sign(string, self.account['signer_private_key'])}"

    async def raw(self, method: str, path: str, string: str, *, query: bool = False) -> tuple[int, Any]:
        url = f"{self.exchange.rest_url}{path}"
        if method == "GET" or query:
            from yarl import URL

            request = self.session.request(method, URL(f"{url}?{string}", encoded=True))
        else:
            request = self.session.request(
                method, url, data=string, headers={"Content-Type": "application/x-www-form-urlencoded"}
            )
        async with request as answer:
            return answer.status, await answer.json()

    async def ask(self, method: str, path: str, **params: str) -> Any:
        status, body = await self.raw(method, path, self.signed(**params))
        assert status == 200, body
        return body

    async def state(self) -> Any:
        async with self.session.get(f"{self.exchange.rest_url}/practice/state") as answer:
            return await answer.json()


@asynccontextmanager
async def practice(**options: Any) -> AsyncIterator[Client]:
    chosen = PracticeOptions(**{"accounts": 2, "volatility": D(0), **options})
    async with PracticeExchange(chosen) as exchange, aiohttp.ClientSession() as session:
        yield Client(exchange, session)


ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "MARKET",
    "quantity": "0.010",
    "newOrderRespType": "RESULT",
}
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}

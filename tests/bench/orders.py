"""Orders on the same practice exchange: our client against ccxt's asynchronous one, in turns.

``cpu_ms`` is this process's own processor time per order, from the call to the parsed answer: what the
client costs, whatever the exchange takes.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey

SYMBOL = "BTC/USDT:USDT"


def measure(orders: int = 150, rounds: int = 3) -> dict[str, float]:
    """Medians over the rounds."""
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "aster_tui",
            "practice",
            "--port",
            "0",
            "--accounts",
            "1",
            "--balance",
            "1000000",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        return asyncio.run(_measure(json.loads(running.stdout.readline()), orders, rounds))
    finally:
        running.terminate()
        running.wait(10)


async def _measure(ready: dict[str, Any], orders: int, rounds: int) -> dict[str, float]:
    ours, place_ours = _ours(ready)
    theirs, place_theirs = await _theirs(ready)
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "ccxt": []}
    try:
        for place in (place_ours, place_theirs):
            await _run(place, 10)
        for _ in range(rounds):
            found["ours"].append(await _run(place_ours, orders))
            found["ccxt"].append(await _run(place_theirs, orders))
    finally:
        await ours.aclose()
        await theirs.close()
    cpu = {name: statistics.median(c for c, _ in rows) for name, rows in found.items()}
    rate = {name: statistics.median(r for _, r in rows) for name, rows in found.items()}
    return {
        "cpu_ms": round(cpu["ours"], 3),
        "ccxt_cpu_ms": round(cpu["ccxt"], 3),
        "cpu_ratio": round(cpu["ccxt"] / cpu["ours"], 2),
        "orders_per_s": round(rate["ours"]),
        "ccxt_orders_per_s": round(rate["ccxt"]),
        "rate_ratio": round(rate["ours"] / rate["ccxt"], 2),
    }


async def _run(place: Callable[[int], Awaitable[None]], orders: int) -> tuple[float, float]:
    busy, started = time.process_time(), time.perf_counter()
    for number in range(orders):
        await place(number)
    elapsed = time.perf_counter() - started
    return (time.process_time() - busy) * 1000 / orders, orders / elapsed


def _ours(ready: dict[str, Any]) -> tuple[Trader, Callable[[int], Awaitable[None]]]:
    (account,) = ready["accounts"]
    signer = Signer(PrivateKey.parse(account["signer_private_key"]), ready["chain_id"])
    venue = Venue(ready["rest"], ready["ws"], ready["chain_id"])
    client = Trader(venue, Wallet(account["user"], signer), nonces=NonceSource())
    stamp = time.time_ns()

    async def place(number: int) -> None:
        name = f"bench-{stamp % 10**9}-{time.perf_counter_ns() % 10**12}"
        side: Any = "SELL" if number % 2 else "BUY"
        await client.place_order(OrderRequest("BTCUSDT", side, "MARKET", name, quantity=Decimal("0.001")))

    return client, place


async def _theirs(ready: dict[str, Any]) -> tuple[Any, Callable[[int], Awaitable[None]]]:
    from ccxt.async_support import aster

    (account,) = ready["accounts"]
    client = aster(
        {
            "walletAddress": account["user"],
            "privateKey": account["user_private_key"],
            "enableRateLimit": False,
            "options": {"builderFee": False, "defaultType": "swap"},
        }
    )
    for name in client.urls["api"]:
        client.urls["api"][name] = f"{ready['rest']}/{'api' if name.startswith('sapi') else 'fapi'}"
    await client.load_markets()

    async def place(number: int) -> None:
        await client.create_order(SYMBOL, "market", "sell" if number % 2 else "buy", 0.001)

    return client, place


if __name__ == "__main__":
    print(json.dumps(measure()))

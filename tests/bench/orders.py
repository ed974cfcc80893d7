"""Orders on the same practice exchange: our client against ccxt's asynchronous one, in turns.

Both are this process's own processor time per order, so what the client costs, whatever the exchange takes:
``to_socket_ms`` from the call to the bytes on the socket, ``cpu_ms`` from the call to the parsed answer.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from asyncio import selector_events
from collections.abc import Awaitable, Callable
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey

SYMBOL = "BTC/USDT:USDT"


class Written:
    """Knows when, in this process's processor time, the first bytes went to a socket."""

    def __init__(self) -> None:
        self.at = 0.0
        plain = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
        for name in ("write", "writelines"):
            setattr(plain, name, self._stamped(getattr(plain, name)))

    def _stamped(self, write: Any) -> Any:
        def stamped(transport: Any, data: Any) -> None:
            self.at = self.at or time.process_time()
            write(transport, data)

        return stamped


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one client, per order: times in ms, and orders a second."""

    to_socket: float
    cpu: float
    rate: float


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
        running.wait(60)


async def _measure(ready: dict[str, Any], orders: int, rounds: int) -> dict[str, float]:
    ours, place_ours = _ours(ready)
    theirs, place_theirs = await _theirs(ready)
    written = Written()
    found: dict[str, list[Round]] = {"ours": [], "ccxt": []}
    try:
        for place in (place_ours, place_theirs):
            await _run(place, 10, written)
        for _ in range(rounds):
            found["ours"].append(await _run(place_ours, orders, written))
            found["ccxt"].append(await _run(place_theirs, orders, written))
    finally:
        await ours.aclose()
        await theirs.close()
    ours_found, theirs_found = (
        Round(*(statistics.median(values) for values in zip(*map(astuple, found[name]), strict=True)))
        for name in ("ours", "ccxt")
    )
    return {
        "to_socket_ms": round(ours_found.to_socket, 3),
        "ccxt_to_socket_ms": round(theirs_found.to_socket, 3),
        "to_socket_ratio": round(theirs_found.to_socket / ours_found.to_socket, 2),
        "cpu_ms": round(ours_found.cpu, 3),
        "ccxt_cpu_ms": round(theirs_found.cpu, 3),
        "cpu_ratio": round(theirs_found.cpu / ours_found.cpu, 2),
        "orders_per_s": round(ours_found.rate),
        "ccxt_orders_per_s": round(theirs_found.rate),
        "rate_ratio": round(ours_found.rate / theirs_found.rate, 2),
    }


async def _run(place: Callable[[int], Awaitable[None]], orders: int, written: Written) -> Round:
    busy, started, to_socket = time.process_time(), time.perf_counter(), 0.0
    for number in range(orders):
        called, written.at = time.process_time(), 0.0
        await place(number)
        to_socket += written.at - called
    elapsed, busy = time.perf_counter() - started, time.process_time() - busy
    return Round(to_socket * 1000 / orders, busy * 1000 / orders, orders / elapsed)


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

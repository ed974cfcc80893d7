"""Twenty accounts, a hundred positions, sixty open orders, 50 ms to the exchange: ``aster-tui close-all`` as
a process, against a script that does the same with ccxt's synchronous client, one request after the other.

``flat_ms`` is from the begin to the second verification of the last account, as the command's document says;
``process_ms`` the whole process with its start. That everything is flat is read from the exchange itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey
from aster_tui.engine.flatten.drill import resting_order

ACCOUNTS, POSITIONS, ORDERS, LATENCY_MS = 20, 5, 3, 50


def measure(rounds: int = 3) -> dict[str, float]:
    """Medians over the rounds; the script runs once."""
    ours: list[dict[str, Any]] = []
    for _ in range(rounds):
        with _exchange() as ready:
            ours.append(_close_all(ready))
            _check(ready)
    with _exchange() as ready:
        theirs = _script(ready)
        _check(ready)
    flat = statistics.median(row["flat_ms"] for row in ours)
    return {
        "flat_ms": round(flat),
        "process_ms": round(statistics.median(row["process_ms"] for row in ours)),
        "ccxt_ms": round(theirs),
        "ratio": round(theirs / flat, 1),
    }


@contextmanager
def _exchange() -> Iterator[dict[str, Any]]:
    """An exchange with all its positions and orders, at its distance."""
    command = [sys.executable, "-m", "aster_tui", "practice", "--port", "0"]
    command += ["--accounts", str(ACCOUNTS), "--positions", str(POSITIONS)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        asyncio.run(_rest_all(ready))
        _post(ready, "faults", {"latency-ms": LATENCY_MS})
        yield ready
    finally:
        running.terminate()
        running.wait(60)


async def _rest_all(ready: dict[str, Any]) -> None:
    """Three open orders per account: a stop, and orders that add risk."""
    venue, nonces = Venue(ready["rest"], ready["ws"], ready["chain_id"]), NonceSource()
    for account in ready["accounts"]:
        signer = Signer(PrivateKey.parse(account["signer_private_key"]), ready["chain_id"])
        client = Trader(venue, Wallet(account["user"], signer), nonces=nonces)
        rules = (await client.exchange_info()).rules
        held = (await client.positions())[:ORDERS]
        for number, position in enumerate(held):
            await client.place_order(resting_order(number, position, rules[position.symbol]))
        await client.aclose()


def _close_all(ready: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        env = {n: v for n, v in os.environ.items() if not n.startswith(("ASTER_TUI_", "AGENT_", "MONGODB_"))}
        env |= {
            "ASTER_TUI_REST_URL": ready["rest"],
            "ASTER_TUI_WS_URL": ready["ws"],
            "ASTER_TUI_CHAIN_ID": str(ready["chain_id"]),
            "ASTER_TUI_STATE_DIR": str(Path(folder) / "state"),
        }
        for account in ready["accounts"]:
            env[f"AGENT_{account['name'].upper()}_USER"] = account["user"]
            env[f"AGENT_{account['name'].upper()}_PRIVATE_KEY"] = account["signer_private_key"]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "aster_tui", "close-all", "--yes", "--json"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        elapsed = (time.perf_counter() - started) * 1000
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["flat"]
    assert sum(a["positions_before"] for a in told["accounts"]) == ACCOUNTS * POSITIONS
    return {"flat_ms": told["elapsed_ms"], "process_ms": elapsed}


def _script(ready: dict[str, Any]) -> float:
    """Cancel all, positions, and reduce-only market closes, one by one; ms without loading the markets."""
    import ccxt

    clients = []
    for account in ready["accounts"]:
        client = ccxt.aster(
            {
                "walletAddress": account["user"],
                "privateKey": account["user_private_key"],
                "enableRateLimit": False,
                "options": {
                    "builderFee": False,
                    "defaultType": "swap",
                    "fetchOpenOrders": {"warnIfNoSymbol": False},
                },
            }
        )
        for name in client.urls["api"]:
            client.urls["api"][name] = f"{ready['rest']}/{'api' if name.startswith('sapi') else 'fapi'}"
        if clients:
            client.set_markets(clients[0].markets, clients[0].currencies)
        else:
            client.load_markets()
        clients.append(client)
    started = time.perf_counter()
    for client in clients:
        for symbol in {order["symbol"] for order in client.fetch_open_orders()}:
            client.cancel_all_orders(symbol)
        for position in client.fetch_positions():
            if position["contracts"]:
                side = "sell" if position["side"] == "long" else "buy"
                client.create_order(
                    position["symbol"], "market", side, position["contracts"], None, {"reduceOnly": True}
                )
    return (time.perf_counter() - started) * 1000


def _check(ready: dict[str, Any]) -> None:
    with urllib.request.urlopen(f"{ready['rest']}/practice/state") as answer:
        accounts = json.loads(answer.read())["accounts"]
    assert len(accounts) == ACCOUNTS
    assert not any(a["positions"] or a["open_orders"] for a in accounts.values()), "it is not flat"


def _post(ready: dict[str, Any], path: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{ready['rest']}/practice/{path}", data=json.dumps(body).encode(), method="POST"
    )
    urllib.request.urlopen(request).close()


if __name__ == "__main__":
    print(json.dumps(measure()))

"""The demo's host process: a MongoDB, a practice exchange, a decision maker and a worker, until standard
input ends.

``python -m aster_tui.demo.host --folder F`` prints one JSON line when everything is served: the addresses
and the environment a real installation would have, or ``{"error": …}`` in one line for people. The keys
in it are the practice exchange's own and worth nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from aster_tui import logs
from aster_tui.config import Settings
from aster_tui.demo import fleet, lapses
from aster_tui.demo.decider import Decider
from aster_tui.demo.seeding import seed_database
from aster_tui.domain.views import FleetSnapshot
from aster_tui.engine.thread import EngineThread
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.mongod import LocalMongod, MongodMissing


def main(argv: list[str] | None = None) -> int:
    """Run the host."""
    parser = argparse.ArgumentParser(prog="aster-tui demo host")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--haste", type=float, default=1.0, help="how many times faster the lapses come")
    arguments = parser.parse_args(argv)
    # The console ends this process by closing its standard input; a Ctrl-C in the terminal is not for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        # Apart from the console's log, which is the operator's.
        close_log = logs.configure(arguments.folder / "host")
        try:
            with _database(arguments.folder) as (uri, name):
                asyncio.run(_serve(arguments, uri, name))
        finally:
            close_log()
    except MongodMissing as error:
        _say({"error": str(error)})
        return 5
    except Exception as error:
        _say({"error": f"the demo could not start: {type(error).__name__}: {error}"})
        raise
    finally:
        shutil.rmtree(arguments.folder, ignore_errors=True)
    return 0


@contextmanager
def _database(folder: Path) -> Iterator[tuple[str, str]]:
    """A database of the demo's own: a private mongod, or a passing database on a given server."""
    data = folder / "db"
    data.mkdir(parents=True)
    try:
        mongod = LocalMongod(data, socket=True)
        mongod.start()
    except MongodMissing:
        uri = os.environ.get("MONGODB_URI")
        if not uri:
            raise
        # Never the operator's own database: one with a name of its own, dropped at the end.
        name = f"aster_demo_{secrets.token_hex(4)}"
        try:
            yield uri, name
        finally:
            _drop(uri, name)
        return
    try:
        yield mongod.uri, "asterroyale"
    finally:
        mongod.stop()


def _drop(uri: str, name: str) -> None:
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=3000) as client:
        client.drop_database(name)


async def _serve(arguments: argparse.Namespace, uri: str, database: str) -> None:
    real = fleet.real_count(arguments.agents)
    ended = _standard_input_ended()
    async with PracticeExchange(PracticeOptions(seed=arguments.seed, accounts=max(1, real))) as exchange:
        document = exchange.ready_document()
        accounts = document["accounts"]
        await asyncio.to_thread(
            seed_database, uri, database, seed=arguments.seed, count=arguments.agents, accounts=accounts
        )
        environment = fleet.environment(arguments.agents, accounts)
        worker = _worker(arguments.folder, document, uri, database, environment)
        worker.start()
        decider = Decider(
            document,
            uri,
            database,
            seed=arguments.seed,
            unlucky=fleet.unlucky(arguments.agents),
            haste=arguments.haste,
        )
        deciding = asyncio.create_task(decider.run())
        _say(
            {
                "rest": document["rest"],
                "ws": document["ws"],
                "chain_id": document["chain_id"],
                "mongodb_uri": uri,
                "mongodb_database": database,
                "environment": environment,
            }
        )
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({deciding, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if deciding.done() and not waiting.done():
            error = deciding.exception()
            print(f"the decision maker ended: {error!r}", file=sys.stderr, flush=True)
            await waiting  # the servers go on: the console still shows them
        deciding.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await deciding
        # While the exchange and the database are still there: what is under way is finished first.
        await asyncio.to_thread(worker.stop)


def _worker(
    folder: Path, exchange: Mapping[str, Any], uri: str, database: str, environment: Mapping[str, str]
) -> EngineThread:
    """The worker of ``aster-tui worker``, on a thread of its own and in the console's state folder, as on a
    machine where both run. Its settings are the demo's alone."""
    settings = Settings(
        profile="practice",
        rest_url=exchange["rest"],
        ws_url=exchange["ws"],
        chain_id=exchange["chain_id"],
        mongodb_uri=SecretStr(uri),
        mongodb_database=database,
        state_dir=folder / "state",
        sync_seconds=5,
        deny_symbols=lapses.DENIED,
        orders_per_minute=lapses.ORDERS_PER_MINUTE,
        max_positions=lapses.MOST_POSITIONS,
        stale_price_seconds=lapses.STALE_PRICE_SECONDS,
        stale_balance_seconds=lapses.STALE_BALANCE_SECONDS,
        # What goes wrong here goes wrong on purpose: its agents stay real.
        fall_back_to_paper=False,
    )

    async def make() -> Any:
        from aster_tui.engine.engine import Engine

        return Engine(settings, environment, working=True)

    return EngineThread(make, FleetSnapshot(network="PRACTICE"))


def _standard_input_ended() -> asyncio.Event:
    """Set when the console closed the pipe or died."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):
            while sys.stdin.buffer.read(4096):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True, name="stdin").start()
    return ended


def _say(document: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the console may be gone already
        print(json.dumps(document), flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the reader of standard input may still be blocked in a read

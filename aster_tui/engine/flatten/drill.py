"""Rehearses a close-all: a practice exchange of its own, an incident, and the command as it would be typed.

Nothing of this installation is in it but the program: the exchange is a process that ends with the drill, the
keys are its own, and settings, state and agents of the operator are not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.drill import FAULTS, LATENCY_MS, Drill, Incident, as_data, from_data
from aster_tui.domain.keys import PrivateKey
from aster_tui.domain.symbols import SymbolRules, round_down, round_up
from aster_tui.domain.trading import Position, Side
from aster_tui.engine.clock import now_ms

FILE = "drills.jsonl"
START_SECONDS, LOOK_SECONDS, DEADLINE_SECONDS = 20.0, 0.03, 60.0
#: USDT of each account: little enough that the market can come close to liquidating it.
THIN_BALANCE = 60
#: How much of its notional the account in the worst position has left, near liquidation.
NEAR = Decimal("0.03")
FARTHEST = Decimal("0.4")
_FOREIGN = ("ASTER_TUI_", "AGENT_", "SHARED_ASTER_", "MONGODB_")


class DrillProblem(Exception):
    """The drill could not be held. For people."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to rehearse."""

    incident: Incident = "none"
    accounts: int = 3
    positions: int = 5
    seed: int = 1


async def hold_drill(asked: Asked, state_folder: Path, say: Callable[[str], None]) -> Drill:
    """Hold a drill and keep its result in the state folder.

    Raises:
        DrillProblem: it could not be held, or its result not be kept.
    """
    with tempfile.TemporaryDirectory(prefix="aster-drill-") as folder:
        async with _exchange(asked) as ready:
            ground = _Ground(asked, ready, Path(folder))
            orders = await ground.arrange()
            say(f"{asked.accounts} accounts, {len(await ground.held())} positions, {orders} open orders")
            drill = await ground.close_all(orders, say)
    try:
        _keep(state_folder, drill)
    except OSError as error:
        raise DrillProblem(f"the drill cannot be kept in {state_folder / FILE}: {error.strerror}") from None
    return drill


def earlier_drills(state_folder: Path) -> list[Drill]:
    """What was rehearsed before, oldest first; a line that is none is left out."""
    found = []
    try:
        lines = (state_folder / FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):
            found.append(from_data(json.loads(line)))
    return found


def _keep(state_folder: Path, drill: Drill) -> None:
    state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(state_folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(as_data(drill)) + "\n")


@asynccontextmanager
async def _exchange(asked: Asked) -> AsyncIterator[dict[str, Any]]:
    """A practice exchange as a process, which ends with us."""
    command = ["-m", "aster_tui", "practice", "--port", "0", "--exit-with-stdin", "--seed", str(asked.seed)]
    command += ["--accounts", str(asked.accounts), "--positions", str(asked.positions)]
    if asked.incident == "liquidation-near":
        command += ["--balance", str(THIN_BALANCE)]
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        assert running.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await running.stdout.readline()
        except TimeoutError:
            raise DrillProblem("the practice exchange did not start in time") from None
        if not line:
            assert running.stderr is not None
            words = (await running.stderr.read()).decode(errors="replace").strip()
            raise DrillProblem(f"the practice exchange did not start: {words[-300:]}")
        yield json.loads(line)
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


class _Ground:
    """The exchange of one drill, and what is done to it."""

    def __init__(self, asked: Asked, ready: dict[str, Any], folder: Path) -> None:
        self._asked, self._ready, self._folder = asked, ready, folder

    async def arrange(self) -> int:
        """Open orders, the incident and the distance; how many orders."""
        orders = sum([await self._rest(account) for account in self._ready["accounts"]])
        if self._asked.incident == "liquidation-near":
            await self._squeeze()
        await self._post("faults", {"latency-ms": LATENCY_MS, **FAULTS.get(self._asked.incident, {})})
        return orders

    async def held(self) -> list[Mapping[str, Any]]:
        """Every position at the exchange."""
        return [p for account in (await self._state()).values() for p in account["positions"]]

    async def close_all(self, orders: int, say: Callable[[str], None]) -> Drill:
        """Run the command, and watch the exchange meanwhile."""
        before = len(await self.held())
        with self._terminal() as stderr, self._database() as uri:
            began, at = time.monotonic(), now_ms()
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "aster_tui", "close-all", "--yes", "--json"),
                *("--deadline", str(DEADLINE_SECONDS)),
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=self._environment(uri),
                cwd=self._folder,
                limit=2**24,
            )
            watching = asyncio.create_task(self._watch(began, say))
            try:
                assert running.stdout is not None
                out = await running.stdout.read()
                code = await running.wait()
            finally:
                if running.returncode is None:
                    running.kill()
                    await running.wait()
            process_ms = _ms(began)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(watching), 1.0)
            watching.cancel()
        closed_ms, flat_ms = self._seen
        told = _document(out, code)
        accounts = await self._state()
        left = [f"{p['symbol']} {p['positionAmt']}" for a in accounts.values() for p in a["positions"]]
        left += [f"order {number}" for a in accounts.values() for number in a["open_orders"]]
        closed = sum(account["positions_before"] for account in told.get("accounts", ()))
        return Drill(
            at=at,
            incident=self._asked.incident,
            accounts=self._asked.accounts,
            positions=self._asked.positions,
            orders=orders,
            seed=self._asked.seed,
            ok=code == 0 and bool(told.get("flat")) and not left,
            exit_code=code,
            closed_ms=closed_ms,
            flat_ms=flat_ms,
            verified_ms=int(told.get("elapsed_ms", 0)),
            process_ms=process_ms,
            rounds=max((account["rounds"] for account in told.get("accounts", ())), default=0),
            liquidated=max(0, before - closed),
            left=tuple(left),
            message=str(told.get("message", "")),
        )

    # The exchange

    async def _rest(self, account: Mapping[str, str]) -> int:
        """A stop and an order that adds risk, where there are positions for them."""
        signer = Signer(PrivateKey.parse(account["signer_private_key"]), self._ready["chain_id"])
        venue = Venue(self._ready["rest"], self._ready["ws"], self._ready["chain_id"])
        client = Trader(venue, Wallet(account["user"], signer), nonces=NonceSource())
        try:
            rules = (await client.exchange_info()).rules
            held = (await client.positions())[:2]
            for number, position in enumerate(held):
                await client.place_order(resting_order(number, position, rules[position.symbol]))
        finally:
            await client.aclose()
        return len(held)

    async def _squeeze(self) -> None:
        """Move every price as far as the account in the worst position can just bear."""
        accounts = [a for a in (await self._state()).values() if a["positions"]]
        if not accounts:
            return

        def left(account: Mapping[str, Any], move: Decimal) -> Decimal:
            """What it has left after a move, as a share of its notional."""
            rows = [(Decimal(p["positionAmt"]), Decimal(p["entryPrice"])) for p in account["positions"]]
            notional = sum((abs(amount) * entry for amount, entry in rows), Decimal(0))
            profit = sum((amount * entry * move for amount, entry in rows), Decimal(0))
            return (Decimal(account["balance"]) + profit) / notional

        steps = [Decimal(n) / 200 for n in range(1, int(FARTHEST * 200))]
        moves = [sign * step for step in steps for sign in (1, -1)]
        near = [m for m in moves if min(left(a, m) for a in accounts) > NEAR]
        move = min(near, key=lambda m: min(left(a, m) for a in accounts), default=Decimal(0))
        symbols = {p["symbol"]: Decimal(p["entryPrice"]) for a in accounts for p in a["positions"]}
        for symbol, entry in symbols.items():
            await self._post("price", {"symbol": symbol, "price": str(entry * (1 + move))})

    async def _watch(self, began: float, say: Callable[[str], None]) -> None:
        """When the exchange had no position any more, and when it had no order either."""
        closed: int | None = None
        self._seen: tuple[int | None, int | None] = (None, None)
        while True:
            accounts = (await self._state()).values()
            if closed is None and not any(account["positions"] for account in accounts):
                closed = _ms(began)
                self._seen = (closed, None)
                say(f"{closed} ms: every position is closed")
            if closed is not None and not any(account["open_orders"] for account in accounts):
                self._seen = (closed, _ms(began))
                say(f"{self._seen[1]} ms: flat, by the exchange's own state")
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._ask("state"))["accounts"]
        return found

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        await self._ask(path, json.dumps(body).encode())

    async def _ask(self, path: str, data: bytes | None = None) -> Any:
        def ask() -> Any:
            request = urllib.request.Request(f"{self._ready['rest']}/practice/{path}", data=data)
            with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
                return json.loads(answer.read())

        try:
            return await asyncio.to_thread(ask)
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise DrillProblem(f"the practice exchange cannot be asked: {error}") from None

    # The command's surroundings

    def _environment(self, uri: str) -> dict[str, str]:
        home = str(self._folder)
        found = {n: v for n, v in os.environ.items() if not n.upper().startswith(_FOREIGN)}
        found |= {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home}
        found |= {
            "ASTER_TUI_PROFILE": "practice",
            "ASTER_TUI_REST_URL": self._ready["rest"],
            "ASTER_TUI_WS_URL": self._ready["ws"],
            "ASTER_TUI_CHAIN_ID": str(self._ready["chain_id"]),
            "ASTER_TUI_STATE_DIR": str(self._folder / "state"),
        }
        for account in self._ready["accounts"]:
            found[f"AGENT_{account['name'].upper()}_USER"] = account["user"]
            found[f"AGENT_{account['name'].upper()}_PRIVATE_KEY"] = account["signer_private_key"]
        return {**found, "MONGODB_URI": uri} if uri else found

    @contextmanager
    def _terminal(self) -> Iterator[int]:
        """Where the command speaks: to nobody, or to something that is full and not read."""
        if self._asked.incident != "terminal-hung":
            yield asyncio.subprocess.DEVNULL
            return
        reading, writing = os.pipe()
        try:
            os.set_blocking(writing, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writing, b"." * 4096)
            fcntl.fcntl(writing, fcntl.F_SETFL, fcntl.fcntl(writing, fcntl.F_GETFL) & ~os.O_NONBLOCK)
            yield writing
        finally:
            os.close(reading)
            os.close(writing)

    @contextmanager
    def _database(self) -> Iterator[str]:
        """The address of a database: none, or one that takes connections and never answers."""
        if self._asked.incident != "database-gone":
            yield ""
            return
        with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
            yield f"mongodb://127.0.0.1:{server.getsockname()[1]}/asterroyale"


def resting_order(number: int, position: Position, rules: SymbolRules) -> OrderRequest:
    """An order that rests beside a position: for the first one (number 0) a stop, else one that adds risk,
    both too far from the mark to fill."""
    name, mark = f"drill-{number}-{os.urandom(4).hex()}", position.mark_price
    if number == 0:
        side: Side = "SELL" if position.quantity > 0 else "BUY"
        stop = round_down(mark * Decimal("0.5" if side == "SELL" else "1.5"), rules.tick_size)
        return OrderRequest(
            position.symbol,
            side,
            "STOP_MARKET",
            name,
            quantity=abs(position.quantity),
            stop_price=stop,
            reduce_only=True,
        )
    price = round_down(mark * Decimal("0.86"), rules.tick_size)
    quantity = round_up(Decimal(6) / price, rules.step_size)
    return OrderRequest(position.symbol, "BUY", "LIMIT", name, quantity=quantity, price=price)


def _document(out: bytes, code: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        return {"message": f"the command gave no document, exit code {code}"}
    return found


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)

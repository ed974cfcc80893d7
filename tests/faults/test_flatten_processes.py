"""Close-all as a process that is killed, hung up on, doubled, and put beside what hangs: it ends flat."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from aster_tui.store.mongod import LocalMongod
from tests.faults.flatten_crasher import WINDOW_S
from tests.flatten_rig import arrange, held, resting
from tests.test_cli import CLEAN

D = Decimal
PATIENCE = 60.0


def practice(**more: Any) -> PracticeExchange:
    most = {"weight_limit": 10**9, "order_limit": 10**9}
    options: dict[str, Any] = {"volatility": D(0), "balance": D(10**6), "accounts": 3, **most, **more}
    return PracticeExchange(PracticeOptions(**options))


def environment(exchange: PracticeExchange, state: Path, **more: str) -> dict[str, str]:
    ready = exchange.ready_document()
    found = {
        **CLEAN,
        "ASTER_TUI_REST_URL": ready["rest"],
        "ASTER_TUI_WS_URL": ready["ws"],
        "ASTER_TUI_CHAIN_ID": str(ready["chain_id"]),
        "ASTER_TUI_STATE_DIR": str(state),
        **more,
    }
    for account in ready["accounts"]:
        found[f"AGENT_{account['name'].upper()}_USER"] = account["user"]
        found[f"AGENT_{account['name'].upper()}_PRIVATE_KEY"] = account["signer_private_key"]
    return found


async def started(
    env: Mapping[str, str], cwd: Path, *arguments: str, **more: Any
) -> asyncio.subprocess.Process:
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aster_tui",
        "close-all",
        "--yes",
        "--json",
        *arguments,
        env=env,
        cwd=cwd,
        **options,
    )


async def ended(running: asyncio.subprocess.Process) -> tuple[int, dict[str, Any]]:
    async with asyncio.timeout(PATIENCE):
        out, errors = await running.communicate()
    assert running.returncode is not None
    assert out, (errors or b"").decode()
    return running.returncode, json.loads(out)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def fill(exchange: PracticeExchange, seed: int, *, positions: int = 4, orders: int = 5) -> None:
    for number, account in enumerate(exchange.ready_document()["accounts"]):
        rng = random.Random(seed * 100 + number)
        arrange(exchange, account["user"], rng, hedge=number % 2 == 1, positions=positions, orders=orders)


@pytest.mark.parametrize("mode", ["one-way", "hedge"])
@pytest.mark.parametrize("moment", ["before", "written", "answered"])
async def test_killed_at_every_step_and_begun_again_it_ends_flat(
    tmp_path: Path, moment: str, mode: str
) -> None:
    async with practice(accounts=1, nonce_window_s=WINDOW_S) as exchange:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.flatten_crasher", str(tmp_path), moment, mode),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = await running.communicate(json.dumps(exchange.ready_document()).encode())
        assert running.returncode == 0, errors.decode()
        assert json.loads(out)["steps"] >= 8
        (book,) = exchange.exchange.books.values()
        assert all(o.reduces for o in book.by_id.values() if o.client_id.startswith("at-"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
async def test_a_signal_in_the_middle_changes_nothing(tmp_path: Path, number: signal.Signals) -> None:
    async with practice(faults={"latency-ms": 150}) as exchange:
        fill(exchange, 1)
        running = await started(environment(exchange, tmp_path / "state"), tmp_path)
        await until(lambda: exchange._api.requests["POST /fapi/v3/batchOrders"])
        running.send_signal(number)
        code, told = await ended(running)
        assert (code, told["flat"]) == (0, True)
        assert not any(held(exchange).values())
        assert not resting(exchange)


async def test_two_interrupts_stop_it_and_what_is_left_is_named(tmp_path: Path) -> None:
    async with practice(accounts=1, faults={"latency-ms": 100, "http503": 0.9}) as exchange:
        fill(exchange, 2)
        running = await started(environment(exchange, tmp_path / "state"), tmp_path)
        await until(lambda: sum(exchange._api.requests.values()) > 4)
        running.send_signal(signal.SIGINT)
        await asyncio.sleep(0.1)
        running.send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)
        exchange._faults.set({"http503": 0})
        code, told = await ended(running)
        assert code in (1, 4)
        assert "it was interrupted" in told["accounts"][0]["error"]
        (left,) = held(exchange).values()
        assert {
            (r["symbol"], r["position_side"]): D(r["position_amt"]) for r in told["accounts"][0]["remaining"]
        } == left


async def test_a_terminal_that_stopped_reading_holds_nothing_up(tmp_path: Path) -> None:
    async with practice() as exchange:
        fill(exchange, 3)
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):  # until it is full; nobody reads it
            while True:
                os.write(writing, b"." * 512)
        os.set_blocking(writing, True)
        running = await started(environment(exchange, tmp_path / "state"), tmp_path, stderr=writing)
        os.close(writing)
        try:
            code, told = await ended(running)
        finally:
            os.close(reading)
        assert (code, told["flat"]) == (0, True)
        assert told["elapsed_ms"] < 10_000


async def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    async with practice(faults={"latency-ms": 40}) as exchange:
        fill(exchange, 4)
        legs = sum(len(legs) for legs in held(exchange).values())
        env = environment(exchange, tmp_path / "state")
        both = await asyncio.gather(*(started(env, tmp_path) for _ in range(2)))
        ends = await asyncio.gather(*(ended(one) for one in both))
        assert [(code, told["flat"]) for code, told in ends] == [(0, True), (0, True)]
        assert not any(held(exchange).values())
        assert not resting(exchange)
        ours = [
            order
            for book in exchange.exchange.books.values()
            for order in book.by_id.values()
            if order.client_id.startswith("at-")
        ]
        assert sum(1 for order in ours if order.executed) == legs
        assert all(order.reduces for order in ours)


HUNG = """
import asyncio, fcntl, os, signal, sys
from pathlib import Path
from aster_tui.store.journal import Journal
async def main():
    state = Path(sys.argv[1])
    journal = Journal(state)
    await journal.open()
    journal._files._own._database.execute("begin immediate")
    (state / "nonces").mkdir(exist_ok=True)
    for signer in sys.argv[2:]:
        descriptor = os.open(state / "nonces" / signer, os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    print("hung", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
asyncio.run(main())
"""


@contextmanager
def hung_console(exchange: PracticeExchange, state: Path) -> Iterator[None]:
    """A process that was stopped in the middle of a write, with every lock of the state folder."""
    signers = [account["signer"].lower() for account in exchange.ready_document()["accounts"]]
    running = subprocess.Popen([sys.executable, "-c", HUNG, str(state), *signers], stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == b"hung\n"
        yield
    finally:
        running.kill()
        running.wait()


async def test_beside_a_hung_console_that_holds_every_lock(tmp_path: Path) -> None:
    async with practice() as exchange:
        fill(exchange, 5)
        state = tmp_path / "state"
        state.mkdir()
        with hung_console(exchange, state):
            code, told = await ended(await started(environment(exchange, state), tmp_path))
        assert (code, told["flat"]) == (0, True)
        assert not told["journal"], "every process writes to a file of its own"
        assert told["elapsed_ms"] < 15_000
        assert not any(held(exchange).values())


SITE = """
import socket, threading, types, sys
real = socket.getaddrinfo
def getaddrinfo(host, *arguments, **more):
    if host == "silent.example":
        threading.Event().wait()
    return real(host, *arguments, **more)
socket.getaddrinfo = getaddrinfo
keyring = types.ModuleType("keyring")
keyring.get_password = lambda service, name: threading.Event().wait()
sys.modules["keyring"] = keyring
"""


async def test_a_name_server_and_a_keyring_that_never_answer(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    async with practice() as exchange:
        fill(exchange, 9)
        env = environment(exchange, tmp_path / "state", PYTHONPATH=f"{tmp_path / 'site'}:{os.getcwd()}")
        first, *_ = exchange.ready_document()["accounts"]
        name = first["name"].upper()
        asking = {n: v for n, v in env.items() if n != f"AGENT_{name}_PRIVATE_KEY"}
        asking[f"AGENT_{name}_KEYRING"] = "1"
        code, told = await ended(await started(asking, tmp_path, "--deadline", "3"))
        assert code == 1
        errors = {a["account"]: a["error"] for a in told["accounts"]}
        assert "not found by the deadline" in errors.pop(first["user"])
        assert set(errors.values()) == {""}
        assert [user for user, legs in held(exchange).items() if legs] == [first["user"].lower()]

        deaf = {**env, "ASTER_TUI_REST_URL": "http://silent.example:1"}
        code, told = await ended(await started(deaf, tmp_path, "--deadline", "1"))
        assert code == 5
        assert all("cannot be reached" in a["error"] for a in told["accounts"])


async def test_a_state_folder_that_cannot_be_written(tmp_path: Path) -> None:
    async with practice() as exchange:
        fill(exchange, 6)
        (tmp_path / "file").write_text("in the way")
        env = environment(exchange, tmp_path / "file" / "state")
        code, told = await ended(await started(env, tmp_path))
        assert (code, told["flat"]) == (0, True)
        assert "NOT halted on this machine" in told["halt"]
        assert told["journal"]
        assert any("incident report was not written" in note for note in told["notes"])


async def test_a_database_that_hangs(tmp_path: Path) -> None:
    folder = tmp_path / "mongo"
    folder.mkdir()
    with LocalMongod(folder) as mongod:
        pid = mongod.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            async with practice() as exchange:
                fill(exchange, 7)
                env = environment(exchange, tmp_path / "state", MONGODB_URI=mongod.uri)
                began = time.monotonic()
                code, told = await ended(await started(env, tmp_path))
                assert (code, told["flat"]) == (0, True)
                assert told["elapsed_ms"] < 10_000
                assert time.monotonic() - began < 30
                assert any("only it knows" in note for note in told["notes"])
                assert not any(held(exchange).values())
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("seed", range(4))
async def test_bad_days_as_processes(tmp_path: Path, seed: int) -> None:
    faults = {"http503": 0.1, "503-after": 0.15, "lost-reply": 0.15, "html500": 0.1, "latency-ms": 20.0}
    async with practice(accounts=4, nonce_window_s=WINDOW_S) as exchange:
        fill(exchange, 10 + seed, positions=6, orders=6)
        if seed % 2:
            exchange.exchange.statuses["BTCUSDT"] = "CLOSE"
        exchange._faults.set(faults)
        env = environment(exchange, tmp_path / "state", ASTER_TUI_NONCE_WINDOW_S=str(WINDOW_S))
        code, told = await ended(await started(env, tmp_path, "--deadline", "15"))
        left = held(exchange)
        assert code == (0 if told["flat"] else code)
        assert code in (0, 1, 4)
        if code == 0:
            assert not any(left.values())
            assert not resting(exchange)
        for account in told["accounts"]:
            rows = {(r["symbol"], r["position_side"]): D(r["position_amt"]) for r in account["remaining"]}
            assert rows == left[account["account"].lower()], account["error"]

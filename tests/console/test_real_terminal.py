"""The program itself in a real terminal, on a real exchange and database: what an operator does in a day, and
the terminal that goes in the middle of each."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from aster_tui.store.audit import chains
from tests import rig
from tests.console.pty_terminal import Terminal
from tests.floor import Floor

D = Decimal
Step = Callable[["Session"], Awaitable[None]]


class Session:
    """The program on a pty, driven without holding up the exchange that lives in this process."""

    def __init__(self, term: Terminal, floor: Floor) -> None:
        self.term, self.floor = term, floor

    def press(self, *keys: str) -> None:
        """Type, key by key."""
        for key in keys:
            self.term.press(key)

    async def until(self, *words: str, gone: str = "") -> str:
        """Read until all of these are on the screen."""
        wanted = lambda text: all(w in text for w in words) and (not gone or gone not in text)  # noqa: E731
        return await asyncio.to_thread(self.term.until, wanted, 90.0)

    async def follow(self, condition: Callable[[], Any], what: str) -> None:
        """Read on until something holds elsewhere."""
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen:\n{self.term.text()}")
            await asyncio.to_thread(self.term.read)

    def paper(self, name: str) -> bool:
        """Whether an agent trades on paper, by its document."""
        return bool(self.floor.database.agents.find_one({"name": name})["isPaperTrading"])


@pytest.fixture
def session(floor: Floor, mongo_uri: str, mongo_database: str, tmp_path: Any) -> Iterator[Session]:
    """The program, started, in a terminal of 80 by 24."""
    floor.add("Real", 0)
    account = floor.accounts[1]
    floor.add(
        "Zed",
        None,
        isPaperTrading=True,
        asterUserAddress=account["user"],
        asterSignerAddress=account["signer"],
    )
    floor.environment |= rig.keys(Zed=account)
    with opened(floor, mongo_uri, mongo_database, tmp_path) as term:
        yield Session(term, floor)


@contextmanager
def opened(floor: Floor, mongo_uri: str, mongo_database: str, tmp_path: Any) -> Iterator[Terminal]:
    """The program on a pty, with settings that point at the floor."""
    before = dict(os.environ)
    os.environ.update(
        {
            "ASTER_TUI_PROFILE": "practice",
            "ASTER_TUI_REST_URL": floor.exchange.rest_url,
            "ASTER_TUI_WS_URL": floor.exchange.ws_url,
            "ASTER_TUI_CHAIN_ID": "1666",
            "ASTER_TUI_MONGODB_DATABASE": mongo_database,
            "ASTER_TUI_STATE_DIR": str(floor.settings.state_folder),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "MONGODB_URI": mongo_uri,
            **floor.environment,
        }
    )
    try:
        term = Terminal([sys.executable, "-m", "aster_tui"], 80, 24)
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        yield term
    finally:
        term.close()


async def begun(session: Session) -> None:
    """Until everything is known."""
    await session.until("Agents 2", "● REAL", "mongo ●", "user ●")


async def first_frame(session: Session) -> None:
    """Something stands on the screen, and nothing is known yet."""
    await session.until("PRACTICE", "Agents", "ctrl+x CLOSE ALL")


# Each step of the day: up to its middle, where what was asked for is under way, and on to its end.


async def arm(session: Session) -> None:
    if "ARMED" not in session.term.text():
        session.press("a")
    await session.until("ARMED")


async def flip(session: Session) -> None:
    await arm(session)
    session.press("j", "m")
    await session.until("✓ Zed test order", "8 of 8 checks")
    session.press(*"Zed", "\r")


async def order(session: Session) -> None:
    await arm(session)
    session.press("o", *"btc", "\r", "\r", "\r")
    await session.until("symbol      BTCUSDT")
    session.press(*"0.001")
    await place(session)


async def place(session: Session) -> None:
    session.press("\x13")
    await session.until("place this order?")
    while "place this order?" in session.term.text():
        await asyncio.sleep(0.4)  # whoever reads a question takes a moment, and longer on a slow line
        session.press("y")
        await asyncio.to_thread(session.term.read, 0.4)


async def try_order(session: Session) -> None:
    session.press("o", *"btc", "\r", "\r", "\r")
    await session.until("symbol      BTCUSDT")
    session.press(*"0.001", "\x14")


async def sync(session: Session) -> None:
    session.press("S")


async def narrow(session: Session) -> None:
    session.press("/", *"zed")


async def close_all(session: Session) -> None:
    session.press("\x18")
    await session.until("type flat and enter")
    session.press(*"flat", "\r")
    await session.until("closing EVERYTHING")


async def test_a_whole_day_by_keys(session: Session) -> None:
    floor = session.floor
    await begun(session)
    await narrow(session)
    await session.until("hides 1")
    session.press("\x1b")
    await session.until("Agents 2", gone="hides 1")
    await sync(session)
    await session.until("1 of 1 agents synced")
    await arm(session)
    await try_order(session)
    await session.until("TEST ✓")
    assert await floor.requests("POST /fapi/v3/order/test") == 1
    await place(session)
    await session.until("✓ FILLED: 0.001 BTCUSDT")
    assert floor.amount(0, "BTCUSDT") == D("0.001")
    session.press("\x1b")
    await session.until("Agents 2", gone="order ticket")
    await flip(session)
    await session.until("Zed trades for REAL")
    assert not session.paper("Zed")
    session.press("\x1b")
    await session.until("Agents 2", gone="REAL trading")
    await close_all(session)
    await session.until(" FLAT ", "verified at the exchange")
    assert floor.amount(0, "BTCUSDT") == 0
    session.press("\x1b")
    await session.until("Agents 2", gone="CLOSE ALL ──")
    session.press("5")
    await session.until("$ aster-tui")
    session.press("q")
    assert await asyncio.to_thread(session.term.wait) == 0
    ((_, lines, wrong),) = chains(floor.settings.state_folder)
    assert wrong == ""
    assert {line.phase for line in lines} == {"asked", "answered"}


async def test_the_terminal_goes_at_the_first_frame(session: Session) -> None:
    """The engine is just being started: it ends in order, and has asked for nothing but reads."""
    await first_frame(session)
    session.term.process.send_signal(signal.SIGHUP)
    assert await asyncio.to_thread(session.term.wait, 60.0) == 128 + signal.SIGHUP
    asked = (await session.floor.state())["requests"]
    assert not [r for r in asked if "order" in r.lower() and not r.startswith("GET")]
    assert "Traceback" not in session.term.raw.decode(errors="replace")


@pytest.mark.parametrize(
    "step", [begun, arm, flip, order, try_order, sync, narrow, close_all], ids=lambda step: step.__name__
)
async def test_the_terminal_goes_in_the_middle(session: Session, step: Step) -> None:
    """Whatever was asked for is done or not done, and known: nothing is half there, and nothing spins."""
    await begun(session)
    await step(session)
    session.term.process.send_signal(signal.SIGHUP)
    began = time.monotonic()
    code = await asyncio.to_thread(session.term.wait, 60.0)
    assert code == 128 + signal.SIGHUP
    assert time.monotonic() - began < 45
    floor = session.floor
    amount = floor.amount(0, "BTCUSDT")
    assert amount in (D(0), D("0.001"))
    assert await floor.requests("POST /fapi/v3/order") <= 1
    kept = [*chains(floor.settings.state_folder)]
    assert all(wrong == "" for _, _, wrong in kept)
    lines = [line for _, chain, _ in kept for line in chain]
    asked = {line.request_id for line in lines if line.phase == "asked"}
    answered = {line.request_id for line in lines if line.phase == "answered"}
    assert asked == answered
    if step is close_all:
        assert [line.outcome for line in lines if line.phase == "answered"] == ["done"]
    if step in (order, close_all):
        assert await floor.requests("POST /fapi/v3/order/test") == 0


async def test_a_line_that_drops_in_mid_close_all_breaks_off_nothing(session: Session) -> None:
    """What is said on the way out goes to a terminal that is gone: the close-all ends, and so says the
    code."""
    await begun(session)
    await order(session)
    await session.follow(lambda: session.floor.amount(0, "BTCUSDT") == D("0.001"), "the fill")
    session.press("\x1b")
    await session.until("Agents 2", gone="order ticket")
    await session.floor.fault("latency-ms", 700)
    await close_all(session)
    session.term.hang_up()
    assert await asyncio.to_thread(session.term.process.wait, 60.0) == 128 + signal.SIGHUP
    assert session.floor.amount(0, "BTCUSDT") == 0

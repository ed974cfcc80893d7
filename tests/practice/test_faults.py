"""Every fault of the command's contract: from the start, begun and ended while the exchange runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from aster_tui.practice.faults import FAULTS
from tests.practice.client import ORDER, Client, practice

Seen = Callable[[Client], Awaitable[bool]]


async def slow(client: Client) -> bool:
    began = time.monotonic()
    await client.raw("GET", "/fapi/v3/ping", "")
    return time.monotonic() - began >= 0.3


def answers(status: int, *, executed: bool) -> Seen:
    """An order is answered with this status, and was or was not executed."""

    async def seen(client: Client) -> bool:
        before = (await client.state())["executed_orders"]
        url = f"{client.exchange.rest_url}/fapi/v3/order"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        async with client.session.post(url, data=client.signed(**ORDER), headers=kind) as answer:
            found = answer.status
            html = answer.content_type == "text/html"
        assert html == (status == 500 and found == 500)
        after = (await client.state())["executed_orders"]
        assert after - before == (executed if found == status else 1)
        return found == status

    return seen


async def dies(client: Client) -> bool:
    before = (await client.state())["executed_orders"]
    try:
        await client.raw("POST", "/fapi/v3/order", client.signed(**ORDER))
        died = False
    except aiohttp.ClientError:
        died = True
    assert (await client.state())["executed_orders"] == before + 1
    return died


async def refused_by_limit(client: Client) -> bool:
    return (await client.raw("GET", "/fapi/v3/ping", ""))[0] == 429


async def heard(client: Client) -> list[str]:
    """What a user's stream tells of one order, until it says no more."""
    key = (await client.ask("POST", "/fapi/v3/listenKey"))["listenKey"]
    async with client.session.ws_connect(f"{client.exchange.ws_url}/ws/{key}") as socket:
        await client.ask("POST", "/fapi/v3/order", **ORDER)
        found = []
        while True:
            try:
                event = json.loads((await socket.receive(0.8)).data)
            except TimeoutError:
                return found
            found.append(event.get("o", {}).get("x", "account"))


def tells(*events: str) -> Seen:
    async def seen(client: Client) -> bool:
        found = await heard(client)
        assert found in ([*events], ["NEW", "TRADE", "account"])
        return found == [*events]

    return seen


async def dropped(client: Client) -> bool:
    async with client.session.ws_connect(f"{client.exchange.ws_url}/ws/!bookTicker") as socket:
        try:
            async with asyncio.timeout(1.5):
                while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
        except TimeoutError:
            return False
        return True


async def skewed(client: Client) -> bool:
    now = (await client.raw("GET", "/fapi/v3/time", ""))[1]["serverTime"]
    return bool(now - time.time() * 1000 > 50_000)


async def limited(client: Client) -> bool:
    for _ in range(70):  # 40 of 2,400 each
        if (await client.raw("GET", "/fapi/v3/openOrders", client.signed()))[0] == 429:
            return True
    return False


#: Name: its value, and whether it is seen at work.
WORK: dict[str, tuple[float, Seen]] = {
    "latency-ms": (300, slow),
    "http503": (1, answers(503, executed=False)),
    "503-after": (1, answers(503, executed=True)),
    "lost-reply": (1, dies),
    "html500": (1, answers(500, executed=False)),
    "429": (1, refused_by_limit),
    "ws-drop-seconds": (0.3, dropped),
    "ws-silent": (1, tells()),
    "ws-duplicate": (1, tells("NEW", "NEW", "TRADE", "TRADE", "account", "account")),
    "ws-reorder": (1, tells("TRADE", "NEW", "account")),
    "ws-loss": (1, tells()),
    "clock-skew-ms": (60_000, skewed),
    "limits": (1, limited),
}


def test_every_fault_is_among_them() -> None:
    assert set(WORK) == set(FAULTS)


@pytest.mark.parametrize("name", sorted(WORK))
async def test_from_the_start_until_it_is_ended(name: str) -> None:
    value, seen = WORK[name]
    async with practice(faults={name: value}) as client:
        assert await seen(client)
        await tell(client, {name: None})
        if name != "limits":  # the address may be banned by now; the ban is over, too
            assert not await seen(client)
        assert (await client.raw("GET", "/fapi/v3/ping", ""))[0] == 200


@pytest.mark.parametrize("name", sorted(WORK))
async def test_begun_while_it_runs_and_ended_by_0(name: str) -> None:
    value, seen = WORK[name]
    async with practice() as client:
        if name != "limits":
            assert not await seen(client)
        assert await tell(client, {name: value}) == {name: value}
        assert await seen(client)
        assert await tell(client, {name: 0}) == {name: 0}
        assert (await client.raw("GET", "/fapi/v3/ping", ""))[0] == 200


async def tell(client: Client, faults: dict[str, Any]) -> Any:
    async with client.session.post(f"{client.exchange.rest_url}/practice/faults", json=faults) as answer:
        assert answer.status == 200
        return await answer.json()


def test_the_command_takes_them_all() -> None:
    named = [f"--fault={name}={value}" for name, (value, _) in WORK.items()]
    command = [sys.executable, "-m", "aster_tui", "practice", "--port", "0", "--no-funding", *named]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        assert json.loads(running.stdout.readline())["rest"]
    finally:
        running.terminate()
        running.wait(60)

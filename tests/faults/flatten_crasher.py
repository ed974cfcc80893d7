"""Runs close-alls that kill themselves with SIGKILL at one step each, and another after each: for the crash
test.

``python -m tests.faults.flatten_crasher STATE_DIR MOMENT one-way|hedge < ready.json``: for n = 1, 2, … a
child opens positions and orders, begins a close-all and dies at its n-th step, until one lives to the end.
After each death another close-all is run, and must prove that all is flat. Says how many steps there were.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.aster import http
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue
from aster_tui.engine.flatten.account import AccountRun
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.engine.flatten.run import FlattenRun
from aster_tui.store.journal import Journal
from tests.flatten_rig import target

WINDOW_S = 2
MOST_STEPS = 60
D = Decimal


class Killer:
    """Kills the process at the n-th step: ``before`` it does anything, when its request is ``written`` to the
    socket, or when it was ``answered`` and nothing was done with that yet."""

    def __init__(self, moment: str, step: int) -> None:
        self._moment, self._step, self._count = moment, step, 0

    def arm(self) -> None:
        carry, exchange, tell = AccountRun._carry, http._Connection.exchange, AccountRun._tell

        async def carried(run: AccountRun, step: Any) -> None:
            self._at("before")
            await carry(run, step)

        async def exchanged(connection: Any, data: bytes, timeout_s: float) -> Any:
            sending = asyncio.create_task(exchange(connection, data, timeout_s))
            await asyncio.sleep(0)
            if b"signature=" in data:
                self._at("written")
            return await sending

        def told(run: AccountRun, step: Any, answer: Any) -> None:
            self._at("answered")
            tell(run, step, answer)

        AccountRun._carry = carried  # type: ignore[method-assign]
        http._Connection.exchange = exchanged  # type: ignore[method-assign]
        AccountRun._tell = told  # type: ignore[method-assign]

    def _at(self, moment: str) -> None:
        if moment == self._moment:
            self._count += 1
            if self._count == self._step:
                os.kill(os.getpid(), signal.SIGKILL)


def venue(ready: dict[str, Any]) -> Venue:
    return Venue(ready["rest"], ready["ws"], ready["chain_id"], nonce_window_s=WINDOW_S)


async def arrange(ready: dict[str, Any], state: Path, *, hedge: bool) -> None:
    """Two positions, their stops, and an order that adds risk."""
    (account,) = ready["accounts"]
    nonces = NonceSource(state / "nonces")
    client = Trader(venue(ready), target(account).open_wallet(), nonces=nonces)
    await client.exchange_info()
    await client.set_hedge_mode(hedge)
    name = os.urandom(6).hex()
    for number, (symbol, side, quantity, stop) in enumerate(
        (("BTCUSDT", "BUY", "0.01", "80000"), ("ETHUSDT", "SELL", "0.3", "4000"))
    ):
        where: Any = ("LONG" if side == "BUY" else "SHORT") if hedge else "BOTH"
        closing: Any = "SELL" if side == "BUY" else "BUY"
        more: dict[str, Any] = {"quantity": D(quantity), "position_side": where}
        orders = (
            OrderRequest(symbol, side, "MARKET", f"{name}-{number}-e", **more),  # type: ignore[arg-type]
            OrderRequest(
                symbol,
                closing,
                "STOP_MARKET",
                f"{name}-{number}-s",
                stop_price=D(stop),
                reduce_only=not hedge,
                **more,
            ),
        )
        for order in orders:
            await client.place_order(order)
    risk = OrderRequest(
        "SOLUSDT",
        "BUY",
        "LIMIT",
        f"{name}-r",
        quantity=D(1),
        price=D(150),
        position_side="LONG" if hedge else "BOTH",
    )
    await client.place_order(risk)
    await client.aclose()
    nonces.close()


async def flatten(ready: dict[str, Any], state: Path) -> bool:
    run = FlattenRun(
        venue(ready),
        NonceSource(state / "nonces", insists=True),
        [target(ready["accounts"][0])],
        book=FlattenBook(Journal(state), opens=True),
        deadline_s=20,
    )
    report = await run.run()
    if not report.flat:
        print(report.message, report.accounts[0].error, file=sys.stderr)
    return report.flat


def left(ready: dict[str, Any]) -> list[Any]:
    with urllib.request.urlopen(f"{ready['rest']}/practice/state") as answer:
        (account,) = json.loads(answer.read())["accounts"].values()
    return [*account["positions"], *account["open_orders"]]


def child(work: Any) -> int:
    """How a forked child that does this ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if asyncio.run(work) else 1)
    work.close()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    ready, state, moment, mode = json.load(sys.stdin), Path(sys.argv[1]), sys.argv[2], sys.argv[3]

    async def begin(step: int) -> bool:
        await arrange(ready, state, hedge=mode == "hedge")
        Killer(moment, step).arm()
        return await flatten(ready, state)

    for step in range(1, MOST_STEPS):
        ended = child(begin(step))
        if ended == 0:
            if left(ready):
                sys.exit(f"it says flat, and there is {left(ready)}")
            print(json.dumps({"steps": step - 1}))
            return
        if ended != -signal.SIGKILL:
            sys.exit(f"step {step}: it ended with {ended}")
        if child(flatten(ready, state)) != 0:
            sys.exit(f"killed at step {step}: the close-all after it did not end flat")
        if left(ready):
            sys.exit(f"killed at step {step}: it says flat, and there is {left(ready)}")
    sys.exit("no close-all lived to the end")


if __name__ == "__main__":
    main()

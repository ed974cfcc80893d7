"""Places orders and kills itself with SIGKILL at one await point of each: run by the crash test.

``python -m tests.faults.crasher STATE_DIR MOMENT < ready.json``: for n = 1, 2, … a forked child places an
order and dies at its n-th await point, until one lives to the end. Says how many there were.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine, Generator
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey
from aster_tui.engine.trade.desk import OrderDesk, OrderFor, intended
from aster_tui.store.journal import Journal

WINDOW_S = 1
MOST_POINTS = 200


class KilledAt:
    """Awaits a coroutine, and kills the process at its n-th await point.

    ``suspend``: when it begins to wait, with what it asked for under way; ``resume``: when it has what it
    waited for, and did nothing with it yet.
    """

    def __init__(self, running: Coroutine[Any, Any, Any], point: int, moment: str) -> None:
        self._running, self._point, self._moment = running, point, moment

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, count = self._running.__await__(), 0
        value: Any = None
        thrown: BaseException | None = None
        while True:
            try:
                waited = steps.throw(thrown) if thrown is not None else steps.send(value)
            except StopIteration as done:
                return done.value
            count += 1
            if count == self._point and self._moment == "suspend":
                os.kill(os.getpid(), signal.SIGKILL)
            value = thrown = None
            try:
                value = yield waited
            except BaseException as error:  # a cancellation, for whoever awaits in there
                thrown = error
            if count == self._point and self._moment == "resume":
                os.kill(os.getpid(), signal.SIGKILL)


def client_of(ready: dict[str, Any], state: Path) -> Trader:
    (account,) = ready["accounts"]
    signer = Signer(PrivateKey.parse(account["signer_private_key"]), ready["chain_id"])
    venue = Venue(ready["rest"], ready["ws"], ready["chain_id"], nonce_window_s=WINDOW_S)
    return Trader(venue, Wallet(account["user"], signer), nonces=NonceSource(state / "nonces"))


async def order(ready: dict[str, Any], state: Path, point: int, moment: str) -> None:
    client = client_of(ready, state)
    journal = Journal(state)
    await journal.open()
    desk = OrderDesk(journal)
    request = OrderRequest(
        "BTCUSDT", "BUY" if point % 2 else "SELL", "MARKET", f"{moment}-{point}", quantity=Decimal("0.001")
    )
    whose = OrderFor(ready["accounts"][0]["user"], "id", "Agent", "entry")
    # place() shields this from whoever waits for it; all of the order's life is in it.
    prepared = client.prepare_order(request)
    await KilledAt(desk.carry(client, prepared, intended(prepared, whose)), point, moment)
    await journal.close()
    await client.aclose()


def main() -> None:
    ready, state, moment = json.load(sys.stdin), Path(sys.argv[1]), sys.argv[2]
    for point in range(1, MOST_POINTS):
        child = os.fork()
        if child == 0:
            asyncio.run(order(ready, state, point, moment))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            print(json.dumps({"points": point - 1}))
            return
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit("a child ended otherwise")
    sys.exit("no child lived to the end")


if __name__ == "__main__":
    main()

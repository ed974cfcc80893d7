"""Two thousand orders through an exchange that fails in every way at once: none doubled, none forgotten.

What the client calls placed is compared with what the exchange executed, order by order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from decimal import Decimal

from aster_tui.aster.errors import AnswerError, AsterError, OutcomeUnknown, Unreachable
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.streams import UserStream
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.events import Event, OrderUpdate
from aster_tui.domain.keys import PrivateKey
from aster_tui.engine.trade.outcomes import Resolver
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange

D = Decimal
ORDERS, AT_ONCE, WINDOW_S = 2_000, 80, 3
FAULTS = {
    "503-after": 0.08,
    "lost-reply": 0.08,
    "http503": 0.08,
    "html500": 0.05,
    "latency-ms": 2,
    "ws-duplicate": 0.2,
    "ws-reorder": 0.2,
    "ws-loss": 0.3,
}


class Desk:
    """Sends orders and keeps what became of each, in the client's own words."""

    def __init__(self, exchange: PracticeExchange) -> None:
        (account,) = exchange.ready_document()["accounts"]
        signer = Signer(PrivateKey.parse(account["signer_private_key"]), 1666)
        venue = Venue(exchange.rest_url, exchange.ws_url, 1666, nonce_window_s=WINDOW_S)
        self.client = Trader(venue, Wallet(account["user"], signer), nonces=NonceSource())
        self.words: dict[str, str] = {}
        self._resolving: dict[str, Resolver] = {}
        self.stream = UserStream(
            self.client,
            account=account["user"],
            on_event=self._event,
            on_state=lambda state, detail: None,
            on_connected=lambda: None,
            on_heard=lambda: None,
            on_problem=lambda message, raw: None,
        )

    def _event(self, event: Event) -> None:
        if isinstance(event, OrderUpdate):
            resolver = self._resolving.get(event.order.client_order_id)
            if resolver is not None:
                resolver.tell(event.order)

    async def order(self, number: int) -> None:
        name = f"storm-{number}"
        side = "BUY" if number % 2 else "SELL"
        prepared = self.client.prepare_order(
            OrderRequest("BTCUSDT", side, "MARKET", name, quantity=D("0.001"))  # type: ignore[arg-type]
        )
        try:
            await self.client.send_order(prepared)
        except OutcomeUnknown:
            resolver = self._resolving[name] = Resolver(self.client, prepared)
            done = await resolver.run()
            self.words[name] = f"{done.word} after doubt"
        except (AnswerError, Unreachable) as error:
            self.words[name] = f"refused {error.code}"
        else:
            self.words[name] = "placed"


async def test_two_thousand_orders_in_a_storm() -> None:
    options = PracticeOptions(
        accounts=1,
        balance=D(10**7),
        volatility=D(0),
        nonce_window_s=WINDOW_S,
        faults=FAULTS,
        depth=D(10**6),
        weight_limit=10**9,
        order_limit=10**9,
    )
    async with PracticeExchange(options) as exchange:
        desk = Desk(exchange)
        streaming = asyncio.create_task(desk.stream.run())
        async with asyncio.timeout(30):
            while desk.client.order_limit != 10**9:  # the storm disturbs this, too
                with contextlib.suppress(AsterError):
                    await desk.client.exchange_info()
        waiting = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with waiting:
                await desk.order(number)

        async with asyncio.timeout(110):
            await asyncio.gather(*(one(number) for number in range(ORDERS)))
        streaming.cancel()
        await asyncio.gather(streaming, return_exceptions=True)
        await desk.client.aclose()

        (book,) = exchange.exchange.books.values()
        executed = Counter(order.client_id for order in book.by_id.values() if order.executed)
        called_placed = {name for name, word in desk.words.items() if word.startswith("placed")}
        told = Counter(word for word in desk.words.values())
        print(dict(told))
        assert len(desk.words) == ORDERS
        assert max(executed.values()) == 1, "an order was doubled"
        assert set(executed) == called_placed
        assert exchange.exchange.executed_orders == len(called_placed)
        assert told["placed after doubt"] > 100
        assert told["never-placed after doubt"] > 100
        assert not [word for word in told if word.startswith("unknown")]

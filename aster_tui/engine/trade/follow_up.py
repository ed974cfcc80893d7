"""What the streams did not tell of our orders: asked for.

A process that was away, or a stream that was silent, leaves orders in the journal that look open although
they ended, and fills whose fees nobody knows. The exchange is asked for them whenever an account is synced.
"""

from __future__ import annotations

from collections import Counter

from aster_tui.aster.errors import AnswerError
from aster_tui.aster.rest import Observer
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.trading import Order
from aster_tui.engine.core import now_ms
from aster_tui.engine.trade.desk import OrderDesk
from aster_tui.engine.trade.ledger import Ledger

#: Younger news may still be on its way.
SETTLED_MS = 3_000
#: Fills are looked for so often; those of long ago are not told any more.
FILL_TRIES, FILL_DAYS = 3, 6
DAY_MS = 24 * 3_600_000
NO_SUCH_ORDER = -2013


class FollowUp:
    """Asks for the orders of one agent at a time."""

    def __init__(self, desk: OrderDesk, ledger: Ledger) -> None:
        self._desk, self._ledger = desk, ledger
        self._tried: Counter[str] = Counter()

    async def agent(self, client: Observer, agent_id: str) -> None:
        """Bring the journal up to the exchange's word (weight 1 per symbol with open orders, and what is
        missing).

        Raises:
            AsterError, StoreError: it is tried again by the next sync.
        """
        await self._ledger.refresh()
        before = now_ms() - SETTLED_MS
        mine = [r for r in self._ledger.of_agent(agent_id) if r.updated_at < before]
        for symbol in sorted({r.symbol for r in mine if r.state == "open"}):
            live = {o.client_order_id: o for o in await client.open_orders(symbol)}
            for record in (r for r in mine if r.state == "open" and r.symbol == symbol):
                order = live.get(record.client_order_id) or await _asked(client, record)
                if order is not None and (order.status, order.executed) != (record.status, record.executed):
                    await self._desk.told(order)
        await self._ledger.refresh()
        await self._fills(client, agent_id, before)

    async def _fills(self, client: Observer, agent_id: str, before: int) -> None:
        """The fills that were not told, with their fees."""
        oldest = now_ms() - FILL_DAYS * DAY_MS
        missing = [
            r
            for r in self._ledger.of_agent(agent_id)
            if r.traded < r.executed
            and oldest < r.intent_at
            and r.updated_at < before
            and self._tried[r.client_order_id] < FILL_TRIES
        ]
        for symbol in sorted({r.symbol for r in missing}):
            here = {r.order_id: r for r in missing if r.symbol == symbol}
            self._tried.update(r.client_order_id for r in here.values())
            since = min(r.intent_at for r in here.values()) - SETTLED_MS
            for trade in await client.user_trades(symbol, since=since):
                record = here.get(trade.order_id)
                if record is not None:
                    await self._desk.filled(record.client_order_id, trade)


async def _asked(client: Observer, record: OrderRecord) -> Order | None:
    try:
        return await client.order(record.symbol, client_order_id=record.client_order_id)
    except AnswerError as error:
        if error.number == NO_SUCH_ORDER:  # unfilled ones vanish after a week
            return None
        raise

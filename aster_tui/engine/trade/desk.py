"""The order desk: the one way an order leaves. Written down, sent once, and followed until it is certain.

Nothing is ever sent again. What cannot be known from the answer is found out (:mod:`.outcomes`); what was
left unresolved by a process that died is found out before anything new of that account is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from aster_tui.aster.errors import AnswerError, AsterError, OutcomeUnknown, Unreachable
from aster_tui.aster.models import UserTradeAnswer
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.trader import PreparedOrder, Trader
from aster_tui.domain.events import OrderUpdate
from aster_tui.domain.lifecycle import OrderRecord, told_of
from aster_tui.domain.outcomes import Done
from aster_tui.domain.trading import Order
from aster_tui.engine.clock import now_ms
from aster_tui.engine.trade.intents import OrderFor, intended
from aster_tui.engine.trade.outcomes import Resolver
from aster_tui.store.journal import Journal

__all__ = ["Forbidden", "OrderDesk", "OrderFor", "Sent", "intended", "recover_all"]

log = structlog.get_logger(__name__)

Word = Literal["placed", "refused", "unsent", "never-placed"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an order, for certain. ``error`` says why it was not placed."""

    word: Word
    record: OrderRecord
    error: AsterError | None = None

    @property
    def placed(self) -> bool:
        """Whether the exchange has, or had, it."""
        return self.word == "placed"


class Forbidden(AsterError):
    """This process may not send the order any more (it lost its lease, or a person halted it)."""


class OrderDesk:
    """Sends orders for any account.

    Args:
        journal: where each order is written down first.
        on_record: told each order's record as it changes.
    """

    def __init__(self, journal: Journal, on_record: Callable[[OrderRecord], None] | None = None) -> None:
        self._journal = journal
        self._on_record = on_record or (lambda record: None)
        self._resolving: dict[str, Resolver] = {}
        self._running: set[asyncio.Task[Sent]] = set()

    async def place(
        self,
        client: Trader,
        request: OrderRequest,
        whose: OrderFor,
        permit: Callable[[], None] | None = None,
    ) -> Sent:
        """Place an order; returns when it is certain what became of it.

        Args:
            permit: asked at the last moment before the first byte leaves; raises Forbidden to stop it.

        Raises:
            InvalidOrder: refused here, before it was written down.
            StoreError: it could not be written down, so it was not sent.
        """
        prepared = client.prepare_order(request, whose.mark_price)
        # Whoever waits may be stopped; what was begun is followed to its end all the same.
        task = asyncio.create_task(self.carry(client, prepared, intended(prepared, whose), permit))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def close(self, patience_s: float) -> None:
        """Wait for what is under way; what takes longer is found out at the next start."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience_s)
        for task in self._running:
            task.cancel()

    async def carry(
        self,
        client: Trader,
        prepared: PreparedOrder,
        record: OrderRecord,
        permit: Callable[[], None] | None = None,
    ) -> Sent:
        """Write a signed order down, send it, and follow it until it is certain. Raises what :meth:`place`
        raises."""
        await self._journal.intend(record)
        self._on_record(record)
        try:
            if permit is not None:
                permit()
            order = await client.send_order(prepared)
        except OutcomeUnknown as error:
            await self._note(record, "unknown", error)
            return await self._resolve(client, record, prepared, error)
        except (Unreachable, Forbidden) as error:
            return Sent("unsent", await self._note(record, "unsent", error), error)
        except AsterError as error:
            if isinstance(error, AnswerError) and error.meaning.certain:
                return Sent("refused", await self._note(record, "refused", error), error)
            # An answer nobody here can read proves nothing.
            await self._note(record, "unknown", error)
            return await self._resolve(client, record, prepared, error)
        after = await self._journal.append(record.client_order_id, "answered", now_ms(), told_of(order))
        self._on_record(after)
        return Sent("placed", after)

    async def recover(self, client: Trader, record: OrderRecord) -> Sent:
        """Find out what became of an order that a process left unresolved."""
        request = OrderRequest(
            record.symbol,
            record.side,
            record.order_type,
            record.client_order_id,
            quantity=record.quantity,
        )
        prepared = PreparedOrder(request, record.nonce, "")
        return await self._resolve(client, record, prepared, None)

    async def tell(self, update: OrderUpdate) -> None:
        """The user stream told of an order (any order: those of others are ignored)."""
        order = update.order
        resolver = self._resolving.get(order.client_order_id)
        if resolver is not None:
            resolver.tell(order)
        if await self._journal.order(order.client_order_id) is None:
            return
        if update.trade_id:
            fill = {
                "trade_id": update.trade_id,
                "commission": str(order.commission),
                "realized": str(order.realized_pnl),
                "quantity": str(update.traded),
            }
            await self._journal.append(order.client_order_id, "fill", update.at, fill)
        after = await self._journal.append(order.client_order_id, "update", update.at, told_of(order))
        self._on_record(after)

    async def told(self, order: Order) -> None:
        """The exchange told of an order in an answer."""
        if await self._journal.order(order.client_order_id) is not None:
            name, at = order.client_order_id, order.updated_at or now_ms()
            self._on_record(await self._journal.append(name, "update", at, told_of(order)))

    async def filled(self, client_order_id: str, trade: UserTradeAnswer) -> None:
        """The exchange told of a fill in an answer; one that is known already changes nothing."""
        data = {
            "trade_id": trade.trade_id,
            "commission": str(trade.commission),
            "realized": str(trade.realized),
            "quantity": str(trade.quantity),
        }
        self._on_record(await self._journal.append(client_order_id, "fill", trade.time, data))

    async def _resolve(
        self, client: Trader, record: OrderRecord, prepared: PreparedOrder, error: AsterError | None
    ) -> Sent:
        name = record.client_order_id
        resolver = self._resolving[name] = Resolver(client, prepared, sent_at=record.intent_at)
        try:
            done: Done = await resolver.run()
        finally:
            del self._resolving[name]
        told = told_of(done.order) if done.order is not None else {"word": done.word}
        # Shielded by the journal: what is certain now is written down even if we are being stopped.
        after = await self._journal.append(name, "resolved", now_ms(), told)
        self._on_record(after)
        return Sent("placed" if done.order is not None else "never-placed", after, error)

    async def _note(
        self, record: OrderRecord, kind: Literal["unknown", "unsent", "refused"], error: AsterError
    ) -> OrderRecord:
        data = {"code": error.code, "message": error.message, "raw": error.raw}
        after = await self._journal.append(record.client_order_id, kind, now_ms(), data)
        self._on_record(after)
        return after


async def recover_all(
    desk: OrderDesk,
    journal: Journal,
    client_of: Callable[[str], Trader | None],
) -> list[Sent]:
    """Resolve everything that processes of this machine left behind, accounts in parallel.

    Args:
        client_of: the client of an account; None leaves its orders for a later time.
    """
    taken = [(record, client_of(record.account)) for record in await journal.take_over()]
    return list(
        await asyncio.gather(
            *(desk.recover(client, record) for record, client in taken if client is not None)
        )
    )

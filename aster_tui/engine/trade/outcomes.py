"""Finds out what became of an order whose answer was lost: the state machine of the domain, carried out."""

from __future__ import annotations

import asyncio

import structlog

from aster_tui.aster.errors import AnswerError, AsterError
from aster_tui.aster.trader import PreparedOrder, Trader
from aster_tui.domain.outcomes import LONGEST_ASK_MS, Ask, Done, Fence, FenceAnswer, Outcome
from aster_tui.domain.trading import Order
from aster_tui.engine.clock import now_ms

log = structlog.get_logger(__name__)

NO_SUCH_ORDER = -2013


class Resolver:
    """One order of unknown outcome.

    :meth:`tell` hands it what the user stream says meanwhile; :meth:`run` ends when the exchange made it
    certain, and goes on for as long as the exchange does not answer: nothing else may end it.

    Args:
        sent_at: when it was sent at the latest, local Unix ms (default: now).
    """

    def __init__(self, client: Trader, prepared: PreparedOrder, *, sent_at: int | None = None) -> None:
        self._client = client
        self._prepared = prepared
        self._told = asyncio.Event()
        self.outcome = Outcome(
            client_order_id=prepared.request.client_order_id,
            nonce=prepared.nonce,
            window_ms=client.venue.nonce_window_s * 1000,
            sent_at=self._server_now() if sent_at is None else sent_at + client.clock_offset_ms,
        )

    def tell(self, order: Order) -> None:
        """The user stream told of an order (any order: others are ignored)."""
        known = self.outcome
        self.outcome = known.found(order)
        if self.outcome is not known:
            self._told.set()

    async def run(self) -> Done:
        """Fence and ask until it is certain; gives the end."""
        while True:
            step = self.outcome.next()
            if isinstance(step, Done):
                log.info(
                    "outcome known",
                    client_order_id=self.outcome.client_order_id,
                    word=step.word,
                    notes=self.outcome.notes,
                )
                return step
            if isinstance(step, Fence):
                self.outcome = self.outcome.fenced(await self._fence(step.nonce))
            else:
                await self._wait(step)
                await self._ask()

    async def _fence(self, nonce: int) -> FenceAnswer:
        try:
            return await self._client.fence(nonce)
        except AsterError as error:
            log.warning("a fence was refused", error=error.message, code=error.code)
            return "lost"

    async def _wait(self, step: Ask) -> None:
        """Until the time to ask, or until the stream tells."""
        self._told.clear()
        # Never longer than between two questions, whatever the machine's clock was set to.
        seconds = min(step.at - self._server_now(), LONGEST_ASK_MS) / 1000
        if seconds > 0 and self.outcome.word == "unknown":
            try:
                async with asyncio.timeout(seconds):
                    await self._told.wait()
            except TimeoutError:
                return

    async def _ask(self) -> None:
        if self.outcome.word != "unknown":
            return
        request = self._prepared.request
        if self._server_now() >= self.outcome.closes_at and not await self._measured():
            return
        before = self._server_now()
        try:
            order = await self._client.order(request.symbol, client_order_id=request.client_order_id)
        except AnswerError as error:
            if error.number == NO_SUCH_ORDER:
                self.outcome = self.outcome.not_found(before)
                return
            self._unanswered(before, error)
        except AsterError as error:
            self._unanswered(before, error)
        else:
            self.outcome = self.outcome.found(order)

    async def _measured(self) -> bool:
        """Before an answer may prove that the order cannot come any more, the exchange's own clock says so:
        this machine's may have been set meanwhile."""
        before = self._server_now()
        try:
            await self._client.measure_clock()
        except AsterError as error:
            self._unanswered(before, error)
            return False
        return True

    def _unanswered(self, before: int, error: AsterError) -> None:
        log.warning("an order could not be asked for", error=error.message, code=error.code)
        self.outcome = self.outcome.no_answer(before)

    def _server_now(self) -> int:
        return now_ms() + self._client.clock_offset_ms

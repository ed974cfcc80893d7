"""What positions were paid, or paid, as funding: read from the exchange into the journal.

It is part of what reality costs: a paper account has none. The stream tells only the balance, so the
account's income is asked for; on a shared account a payment is divided by the agents' parts of the position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from aster_tui.aster.errors import AsterError
from aster_tui.aster.models import IncomeAnswer
from aster_tui.aster.trader import Trader
from aster_tui.domain.events import AccountUpdate, Event
from aster_tui.domain.shares import divided
from aster_tui.domain.trading import ZERO, account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.trade.ledger import Ledger
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal

KIND, ASSET = "FUNDING_FEE", "USDT"
#: Asked for this often, and this soon after the stream told that something was paid.
ASK_SECONDS, SOON_SECONDS, LOOK_SECONDS = 600.0, 2.0, 1.0
TURN, TURN_MS = "funding", 30_000


class Funding:
    """Of all accounts that can be read.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
    """

    def __init__(
        self, core: Core, journal: Journal, ledger: Ledger, client_of: Callable[[str], Trader | None]
    ) -> None:
        self._core, self._journal, self._ledger, self._client_of = core, journal, ledger, client_of
        self._due: dict[str, float] = {}

    def listen(self, event: Event) -> None:
        """Take an event of the engine."""
        if isinstance(event, AccountUpdate) and event.reason == KIND:
            self._due[account_key(event.account)] = asyncio.get_running_loop().time() + SOON_SECONDS

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            for account in [*self._core.state.accounts]:
                client = self._client_of(account)
                if client is not None and now >= self._due.get(account, 0):
                    self._due[account] = now + ASK_SECONDS
                    await self._read(client, account)
            await asyncio.sleep(LOOK_SECONDS)

    async def _read(self, client: Trader, account: str) -> None:
        try:
            if not await self._journal.take_turn(TURN, now_ms(), TURN_MS):
                return  # another process of this machine does it
            rows = await client.income(kind=KIND, limit=1000)
            await self._ledger.refresh()
            first = min((r.intent_at for r in self._ledger.of_account(account)), default=None)
            for row in rows:
                # What was paid before our first order there is of positions that are none of ours.
                if first is not None and row.asset == ASSET and row.time >= first:
                    await self._keep(account, row)
        except (AsterError, StoreError):
            return  # the feeds and the journal say what is wrong; it is asked for again

    async def _keep(self, account: str, row: IncomeAnswer) -> None:
        payment = f"{account}/{row.transaction or f'{row.time}/{row.symbol}/{row.amount}'}"
        if payment in self._ledger.funded:
            return
        parts = {name: str(amount) for name, amount in self._parts(account, row).items()}
        data = {"payment": payment, "account": account, "symbol": row.symbol, "amount": str(row.amount)}
        await self._journal.note("funding", row.time, {**data, "parts": parts})
        await self._ledger.refresh()

    def _parts(self, account: str, row: IncomeAnswer) -> dict[str, Decimal]:
        """Whose it is, by agents' names."""
        agents = self._core.state.agents_of(account)
        if len(agents) == 1:
            return {agents[0].name: row.amount}
        shares = self._ledger.shares()
        held = {a.name: s.quantity for a in agents if (s := shares.get((a.agent_id, row.symbol))) is not None}
        return divided(row.amount, held) if sum(held.values(), ZERO) else {}

"""What the exchange lets each account's signer do: everything, only reduce, or nothing.

Learned from its refusals and asked for now and then, so that a revoked key stops an agent once, with one
clear reason, and not order by order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aster_tui.aster.errors import AnswerError, AsterError
from aster_tui.aster.trader import Trader
from aster_tui.domain.trading import account_key
from aster_tui.engine.core import Core

#: How often an account is asked, and one that may not do everything.
ASK_SECONDS, ASK_AGAIN_SECONDS, LOOK_SECONDS = 60.0, 5.0, 1.0
ONLY_REDUCE = -4087
CANNOT_TRADE = "the account may not open positions now"


@dataclass(frozen=True, slots=True)
class Permission:
    """Why nothing may be sent, and why nothing that adds risk; empty where it may."""

    nothing: str = ""
    opening: str = ""
    remedy: str = ""


FREE = Permission()


class Permissions:
    """Of all accounts.

    Args:
        client_of: the trading client of an account, None while it cannot be used.
    """

    def __init__(self, core: Core, client_of: Callable[[str], Trader | None]) -> None:
        self._core = core
        self._client_of = client_of
        self._known: dict[str, Permission] = {}
        self._asked_at: dict[str, float] = {}

    def of(self, account: str) -> Permission:
        """What is known of an account."""
        return self._known.get(account_key(account), FREE)

    def learn(self, account: str, error: AsterError | None) -> None:
        """Take what a refusal says of the signer; other errors say nothing of it."""
        if not isinstance(error, AnswerError) or not error.key_problem:
            return
        words = f"{error.message} ({error.code})"
        if error.number == ONLY_REDUCE:
            self._known[account_key(account)] = Permission(opening=words, remedy=error.remedy)
        else:
            self._known[account_key(account)] = Permission(words, words, error.remedy)

    async def ask(self, account: str) -> None:
        """Ask the exchange now (weight 5); what cannot be asked changes nothing."""
        key, client = account_key(account), self._client_of(account)
        if client is None:
            return
        self._asked_at[key] = asyncio.get_running_loop().time()
        try:
            found = await client.account()
        except AsterError as error:
            self.learn(account, error)
            return
        if found.can_trade:
            self._known.pop(key, None)
            return
        known = self.of(account)
        remedy = "check the account and its signer's permissions at the exchange"
        self._known[key] = Permission(opening=known.opening or CANNOT_TRADE, remedy=known.remedy or remedy)

    async def run(self) -> None:
        """Ask for every account whose time has come, until cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            due = [a for a in self._core.state.accounts if self._due(a, now)]
            await asyncio.gather(*(self.ask(account) for account in due))
            await asyncio.sleep(LOOK_SECONDS)

    def _due(self, account: str, now: float) -> bool:
        every = ASK_SECONDS if self.of(account) == FREE else ASK_AGAIN_SECONDS
        return now - self._asked_at.get(account, -every) >= every

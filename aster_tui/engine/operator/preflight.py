"""The preflight: all that trading for real needs, checked one by one, with what to do about each. Places
nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from aster_tui.aster.errors import AnswerError, AsterError, InvalidOrder
from aster_tui.aster.gate import Priority
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.config import Settings
from aster_tui.domain.client_ids import client_order_id
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import AccountSnapshot
from aster_tui.domain.safeguards import Limits
from aster_tui.domain.symbols import SymbolRules, round_up
from aster_tui.domain.trading import ZERO, Side
from aster_tui.engine.key_sources import KeyProblem
from aster_tui.engine.keys import check_signer, find_keys
from aster_tui.store.base import StoreError, StoreReader

CHECK_SECONDS = 15.0
#: What the exchange is asked to test, where it trades it.
TEST_SYMBOL = "BTCUSDT"
_LACKS_MONEY = frozenset({-2018, -2019})


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``agent`` is empty where it is about no single agent."""

    name: str
    agent: str
    ok: bool
    message: str
    remedy: str = ""


Say = Callable[[Check], None]


class Checker:
    """Checks a whole installation, or what one agent needs.

    Args:
        environment: the variables that name addresses and keys.
        on_check: told each check as it is made.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        store: StoreReader | None,
        limits: Limits,
        *,
        nonces: NonceSource,
        on_check: Say = lambda check: None,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._store = store
        self._limits = limits
        self._nonces = nonces
        self._on_check = on_check
        self._venue = Venue(
            settings.rest_url,
            settings.ws_url,
            settings.chain_id,
            settings.nonce_window_s,
            settings.signature_scheme,
        )

    async def general(self) -> list[Check]:
        """What all agents need: exchange, clock, database, safeguards."""
        public = Trader(self._venue, nonces=self._nonces, priority=Priority.ORDERS)
        try:
            return [
                await self._one("exchange", "", lambda: self._exchange(public)),
                await self._one("clock", "", lambda: self._clock(public)),
                await self._one("database", "", self._database),
                await self._one("safeguards", "", self._safeguards),
            ]
        finally:
            await public.aclose()

    async def agent(self, agent: AgentDocument) -> list[Check]:
        """What one agent needs: key, account, position mode, and a test order that the exchange takes."""
        found: list[Check] = []
        client: list[Trader] = []
        try:
            found.append(await self._one("key", agent.name, lambda: self._key(agent, client)))
            if not client:
                return found
            trader = client[0]
            seen: list[AccountSnapshot] = []
            found.append(await self._one("account", agent.name, lambda: self._account(trader, seen)))
            found.append(await self._one("position mode", agent.name, lambda: self._mode(trader)))
            found.append(await self._one("test order", agent.name, lambda: self._test(agent, trader)))
            return found
        finally:
            for trader in client:
                await trader.aclose()

    async def _one(self, name: str, agent: str, ask: Callable[[], Awaitable[tuple[bool, str, str]]]) -> Check:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                ok, message, remedy = await ask()
        except TimeoutError:
            ok, message, remedy = False, "no answer in time", "check the network"
        except (AsterError, StoreError) as error:
            code = getattr(error, "code", "")
            ok, message, remedy = False, f"{error}{f' ({code})' if code else ''}", error.remedy
        check = Check(name, agent, ok, message, remedy)
        self._on_check(check)
        return check

    async def _exchange(self, public: Trader) -> tuple[bool, str, str]:
        await public.ping()
        return True, f"{self._settings.rest_url} answers", ""

    async def _clock(self, public: Trader) -> tuple[bool, str, str]:
        clock = await public.measure_clock()
        words = f"{clock.offset_ms:+d} ms from the exchange's, measured over {clock.round_trip_ms} ms"
        # Nonces follow the exchange's time; a clock that is this far off breaks everything else.
        if abs(clock.offset_ms) > self._settings.nonce_window_s * 500:
            return False, words, "set this machine's clock (NTP)"
        return True, words, ""

    async def _database(self) -> tuple[bool, str, str]:
        if self._store is None:
            return False, "no database is configured", "set MONGODB_URI in the environment or in .env.local"
        trip = await self._store.ping()
        return True, f"MongoDB answers in {trip:.0f} ms", ""

    async def _safeguards(self) -> tuple[bool, str, str]:
        limits = self._limits
        words = (
            f"order {limits.order_percent} % of balance, {limits.max_positions} positions, exposure"
            f" {limits.exposure_percent} %, leverage {limits.max_leverage}, daily loss"
            f" {limits.daily_loss_percent} %, {limits.orders_per_minute} orders a minute"
        )
        off = [
            name
            for name, value in (
                ("daily_loss_percent", limits.daily_loss_percent),
                ("orders_per_minute", limits.orders_per_minute),
                ("price_collar_percent", limits.collar_percent),
            )
            if not value
        ]
        if off:
            return False, f"{words}; switched off: {', '.join(off)}", f"set {off[0]} above zero"
        return True, words, ""

    async def _key(self, agent: AgentDocument, client: list[Trader]) -> tuple[bool, str, str]:
        try:
            keys = await asyncio.to_thread(find_keys, agent, self._environment, self._settings.state_folder)
            signer = Signer(keys.key, self._venue.chain_id)
            check_signer(agent.name, keys.signer, signer.address)
        except KeyProblem as problem:
            return False, str(problem), "see the README, Configuration: an agent's wallet"
        wallet = Wallet(keys.user, signer)
        client.append(Trader(self._venue, wallet, nonces=self._nonces, priority=Priority.ORDERS))
        return True, f"signer {signer.address} for account {keys.user}, from {keys.source}", ""

    async def _account(self, client: Trader, seen: list[AccountSnapshot]) -> tuple[bool, str, str]:
        snapshot = await client.account_snapshot(open_orders=False)
        seen.append(snapshot)
        words = f"{snapshot.wallet_balance:.2f} USDT, {len(snapshot.positions)} positions"
        if snapshot.wallet_balance <= 0:
            return False, words, "the account is empty: deposit USDT, or check that it is the right account"
        return True, words, ""

    async def _mode(self, client: Trader) -> tuple[bool, str, str]:
        hedged = await client.hedge_mode()
        return True, "hedge mode: orders name their position side" if hedged else "one-way mode", ""

    async def _test(self, agent: AgentDocument, client: Trader) -> tuple[bool, str, str]:
        info, marks = await asyncio.gather(client.exchange_info(), client.mark_prices())
        rules = _testable(info.rules, self._limits)
        if rules is None or not (mark := marks.prices.get(rules.symbol)):
            return False, "there is no symbol to test an order with", "check allow_symbols and the exchange"
        side: Side = "BUY"
        request = OrderRequest(
            rules.symbol,
            side,
            "MARKET",
            client_order_id(agent.agent_id, "operator", 0, secrets.token_hex(8)),
            quantity=_smallest(rules, mark),
            position_side="LONG" if await client.hedge_mode() else "BOTH",
        )
        try:
            await client.test_order(request)
        except InvalidOrder as error:
            return False, str(error), error.remedy
        except AnswerError as error:
            if error.number in _LACKS_MONEY:
                return False, f"the smallest order was refused: {error} ({error.code})", "deposit USDT"
            raise
        return True, f"the exchange takes a test order in {rules.symbol}; nothing was placed", ""


def _testable(rules: Mapping[str, SymbolRules], limits: Limits) -> SymbolRules | None:
    """The symbol to test with: a usual one where it is allowed, else the first that is."""
    allowed = [
        r
        for s, r in sorted(rules.items())
        if r.trading and s not in limits.deny and (not limits.allow or s in limits.allow)
    ]
    return next((r for r in allowed if r.symbol == TEST_SYMBOL), allowed[0] if allowed else None)


def _smallest(rules: SymbolRules, mark: Decimal) -> Decimal:
    """The smallest quantity the symbol takes, a little above its smallest notional."""
    step = rules.market_step_size or rules.step_size
    least = max(rules.market_min_quantity, rules.min_quantity, ZERO)
    return max(least, round_up(rules.min_notional * Decimal("1.05") / mark, step))


def checks_document(checks: list[Check]) -> dict[str, Any]:
    """The ``doctor`` document."""
    bad = [c for c in checks if not c.ok]
    message = f"{len(checks) - len(bad)} of {len(checks)} checks passed"
    if bad:
        message += f"; {bad[0].agent + ': ' if bad[0].agent else ''}{bad[0].name}: {bad[0].message}"
    return {
        "ok": not bad,
        "code": "done" if not bad else "failed",
        "message": message,
        "checks": [asdict(c) for c in checks],
    }

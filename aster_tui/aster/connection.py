"""How requests are signed, sent and, when they only read, asked again. What they are is above this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import tenacity

from aster_tui.aster import legacy_signing
from aster_tui.aster.errors import AnswerError, AsterError, Unreachable
from aster_tui.aster.gate import Priority
from aster_tui.aster.nonces import SHARED, NonceSource
from aster_tui.aster.orders import checked_symbol
from aster_tui.aster.transport import Transport
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.symbols import SymbolRules

Parameters = Sequence[tuple[str, str]]

READ_TRIES = 3
NONCE_REFUSED = -4225


class Connection:
    """One client's connections, nonces and signatures. Signed requests need a wallet.

    Args:
        on_weight: told the used request weight after each answer.
        priority: what its reads are for; what changes something is never below the orders.

    ``rules`` are the symbols' filters, once somebody read or set them.
    """

    rules: Mapping[str, SymbolRules] | None = None

    def __init__(
        self,
        venue: Venue,
        wallet: Wallet | None = None,
        *,
        nonces: NonceSource = SHARED,
        timeout_s: float = 5.0,
        on_weight: Callable[[int], None] | None = None,
        priority: Priority = Priority.DISPLAY,
        read_tries: int = READ_TRIES,
    ) -> None:
        self.venue = venue
        self.wallet = wallet
        self._nonces = nonces
        self._timeout_s = timeout_s
        self._priority = priority
        self._read_tries = read_tries
        account = wallet.user.lower() if wallet is not None else ""
        self._transport = Transport(venue.rest_url, timeout_s, on_weight, account)

    @property
    def clock_offset_ms(self) -> int:
        """Server minus local time as last measured by any client that shares the nonces."""
        return self._nonces.offset_ms

    @property
    def order_limit(self) -> int:
        """Orders a minute and account that the venue takes, as last told."""
        return self._transport.gate.order_limit

    @property
    def weight_left(self) -> int:
        """Request weight that the present minute has left for this address, as far as is known here."""
        return self._transport.gate.left

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _wallet(self) -> Wallet:
        if self.wallet is None:
            raise AsterError("this needs a wallet, and none was given", remedy="set the agent's key")
        return self.wallet

    def _symbol(self, symbol: str) -> str:
        """The symbol: one that the venue named itself, whatever its letters, or one that could be.

        Raises:
            InvalidOrder: no exchange has a symbol of this form.
        """
        return symbol if self.rules is not None and symbol in self.rules else checked_symbol(symbol)

    def _nonce(self) -> int:
        try:
            return self._nonces.next(self._wallet().signer.address)
        except OSError as error:
            raise AsterError(
                f"no nonce could be taken, so nothing was sent: {error.strerror or error}",
                remedy="make the state folder writable (aster-tui paths)",
            ) from error

    def _signed_with(self, parameters: Parameters, nonce: int) -> str:
        """The string that is signed, with its signature: built once and sent as it is."""
        wallet = self._wallet()
        identity = [("nonce", str(nonce)), ("user", wallet.user), ("signer", wallet.signer.address)]
        if self.venue.signature_scheme == "legacy-abi":
            asked = legacy_signing.timed(parameters, nonce)
            signature = legacy_signing.sign(wallet.signer, wallet.user, asked, nonce)
            return urlencode([*asked, *identity, ("signature", signature)])
        string = urlencode([*parameters, *identity])
        return f"{string}&signature={wallet.signer.sign(string)}"

    async def _once(self, method: str, path: str, string: str, *, changes: bool) -> Any:
        return await self._transport.send(method, path, string, changes=changes, priority=self._priority)

    async def _signed(self, method: str, path: str, parameters: Parameters, *, changes: bool) -> Any:
        nonce = self._nonce()
        string = self._signed_with(parameters, nonce)
        return await self._explained(self._once(method, path, string, changes=changes), nonce)

    async def _explained(self, asking: Awaitable[Any], nonce: int) -> Any:
        try:
            return await asking
        except AnswerError as error:
            if error.number == NONCE_REFUSED:
                self._explain_nonce(error, nonce)
            raise

    def _explain_nonce(self, error: AnswerError, nonce: int) -> None:
        """Our nonce was among the newest of this machine and near server time, and was refused all the same:
        then somebody else signs with this signer."""
        near = self._nonces.knows_server_time or abs(self.clock_offset_ms) < self.venue.nonce_window_s * 500
        if near and self._nonces.is_recent(self._wallet().signer.address, nonce):
            error.message = f"{error.message}: another program seems to sign with this signer"
            error.remedy = (
                "use each signer on one machine only; approve a second API wallet for the other program"
            )

    async def _read(self, path: str, parameters: Parameters = ()) -> Any:
        string = urlencode(list(parameters))
        return await self._retrying(lambda: self._once("GET", path, string, changes=False))

    async def _signed_read(self, path: str, parameters: Parameters) -> Any:
        # Each try is signed anew: the venue refuses a nonce it has seen.
        return await self._retrying(lambda: self._signed("GET", path, parameters, changes=False))

    async def _retrying(self, ask: Callable[[], Any]) -> Any:
        if self._read_tries == 1:
            return await ask()
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Unreachable),
            stop=tenacity.stop_after_attempt(self._read_tries)
            | tenacity.stop_after_delay(2 * self._timeout_s),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )
        async for attempt in tries:
            with attempt:
                return await ask()
        raise AssertionError("unreachable: the last try raises")

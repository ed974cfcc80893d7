"""Where the exchange is and who signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aster_tui.aster.signing import Signer

SignatureScheme = Literal["eip712", "legacy-abi"]


@dataclass(frozen=True, slots=True)
class Venue:
    """One deployment of the exchange.

    ``chain_id`` is the EIP-712 chain id of every signature (1666 mainnet, 714 testnet); ``nonce_window_s``
    is how far a nonce may be from server time. ``signature_scheme`` is the typed message of 2026, or the
    one before it.
    """

    rest_url: str
    ws_url: str
    chain_id: int
    nonce_window_s: int = 10
    signature_scheme: SignatureScheme = "eip712"


@dataclass(frozen=True, slots=True)
class Wallet:
    """An account (``user``, the main wallet's address) and the API wallet that signs for it."""

    user: str
    signer: Signer

    def __repr__(self) -> str:
        return f"Wallet(user={self.user}, signer={self.signer.address})"

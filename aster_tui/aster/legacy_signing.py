"""The venue's signature scheme of 2025, still spoken by some deployments (``signature_scheme = legacy-abi``).

All parameters, with ``recvWindow`` and ``timestamp`` (ms), as a JSON object of strings with sorted keys and
no spaces; ``abi.encode(json, user, signer, nonce)``; keccak; EIP-191 personal-sign of the 32 bytes. Replaced
by the typed message on 2026-01-22.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from aster_tui.aster.signing import Signer, keccak

RECV_WINDOW_MS = 50_000
_TYPES = ("string", "address", "address", "uint256")


def timed(parameters: Sequence[tuple[str, str]], nonce: int) -> list[tuple[str, str]]:
    """The parameters with the two that the scheme adds; the timestamp is the nonce's moment."""
    return [*parameters, ("recvWindow", str(RECV_WINDOW_MS)), ("timestamp", str(nonce // 1000))]


def message_of(parameters: Sequence[tuple[str, str]]) -> str:
    """The JSON that is signed."""
    return json.dumps(dict(parameters), sort_keys=True, separators=(",", ":"))


def digest(message: str, user: str, signer: str, nonce: int) -> bytes:
    """The 32 bytes that are hashed once more, with the prefix of EIP-191, to be signed."""
    from eth_abi.abi import encode  # 50 ms to import, and only deployments of that age need it

    return keccak(encode(_TYPES, (message, user, signer, nonce)))


def sign(signer: Signer, user: str, parameters: Sequence[tuple[str, str]], nonce: int) -> str:
    """The signature over ``parameters`` (as :func:`timed` gives them)."""
    return signer.sign_bytes(digest(message_of(parameters), user, signer.address, nonce))

"""EIP-712 signatures of the exchange's ``Message(string msg)``, on the hot path.

The domain (``AsterSignTransaction``, version 1, the chain id, the zero address) and the type hash never
change, so they are hashed once; a signature is then two keccaks and one C call: about 22 µs, where
eth-account's typed-data path takes ten times that and 0.7 s to import.
:mod:`aster_tui.aster.reference_signing` is that path, to compare with.
"""

from __future__ import annotations

import coincurve
import sha3

from aster_tui.domain.keys import PrivateKey

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_MESSAGE_TYPE = b"Message(string msg)"
_PERSONAL = b"\x19Ethereum Signed Message:\n32"
DOMAIN_NAME, DOMAIN_VERSION = "AsterSignTransaction", "1"


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (not NIST's SHA3-256)."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


MESSAGE_TYPEHASH = keccak(_MESSAGE_TYPE)


def domain_separator(chain_id: int) -> bytes:
    """The hash of the signing domain of a chain id."""
    return keccak(
        keccak(_DOMAIN_TYPE)
        + keccak(DOMAIN_NAME.encode())
        + keccak(DOMAIN_VERSION.encode())
        + chain_id.to_bytes(32, "big")
        + bytes(32)
    )


def checksum_address(address: bytes) -> str:
    """The EIP-55 form of a 20-byte address."""
    digits = address.hex()
    hashed = keccak(digits.encode()).hex()
    return "0x" + "".join(
        d.upper() if int(h, 16) >= 8 else d for d, h in zip(digits, hashed[:40], strict=True)
    )


class Signer:
    """Signs messages with one key for one chain. Shows its address, never its key."""

    __slots__ = ("_key", "_prefix", "address")

    def __init__(self, key: PrivateKey, chain_id: int) -> None:
        self._key = coincurve.PrivateKey(key.reveal())
        self._prefix = b"\x19\x01" + domain_separator(chain_id)
        public = self._key.public_key.format(compressed=False)
        self.address = checksum_address(keccak(public[1:])[12:])

    def sign(self, message: str) -> str:
        """The signature of ``message``: ``0x`` and 65 bytes in hex (r, s, v with v 27 or 28)."""
        struct = keccak(MESSAGE_TYPEHASH + keccak(message.encode()))
        return self._signed(keccak(self._prefix + struct))

    def sign_bytes(self, digest: bytes) -> str:
        """The EIP-191 personal signature of 32 bytes."""
        return self._signed(keccak(_PERSONAL + digest))

    def _signed(self, digest: bytes) -> str:
        signature = self._key.sign_recoverable(digest, hasher=None)
        return f"0x{signature[:64].hex()}{signature[64] + 27:02x}"

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a signer is never pickled or copied: it holds a key")

"""A private key that shows nothing: not in text, logs, JSON, tracebacks with locals, copies or pickles."""

from __future__ import annotations

import re
from typing import Any, NoReturn, final

_FORM = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")
#: Order of secp256k1: a key is between 1 and this minus 1.
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@final
class PrivateKey:
    """32 secret bytes. Only :meth:`reveal` gives them, and only a signer should ask."""

    __slots__ = ("__secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _ORDER:
            raise ValueError("not a private key: 32 bytes are expected")
        self.__secret = bytes(secret)

    @classmethod
    def parse(cls, text: str) -> PrivateKey:
        """The key written as 64 hex digits, with or without ``0x``.

        Raises:
            ValueError: it is not one. The text says what is wrong and nothing of the value.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ValueError("not a private key: 64 hex digits are expected, with or without 0x")
        return cls(bytes.fromhex(found.group(1)))

    def reveal(self) -> bytes:
        """The secret bytes, for the signer."""
        return self.__secret

    def __repr__(self) -> str:
        return "PrivateKey(hidden)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and other.__secret == self.__secret

    def __hash__(self) -> int:
        # A constant would do; the class name keeps the secret out of every hash.
        return hash(PrivateKey)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a private key is never pickled or copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a private key is never pickled or copied")

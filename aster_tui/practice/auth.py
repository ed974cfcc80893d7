"""Who signed a request: EIP-712 recovery over the raw string, agents and nonces. No I/O.

Written apart from the client's signing code on purpose.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from dataclasses import dataclass

from _pysha3 import keccak_256
from coincurve import PrivateKey, PublicKey

from aster_tui.practice.errors import other, refuse

NONCES_KEPT = 100
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


def keccak(data: bytes) -> bytes:
    """Keccak-256, 32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest


_MESSAGE_TYPEHASH = keccak(b"Message(string msg)")


def domain_separator(chain_id: int) -> bytes:
    """The EIP-712 separator of the venue's signing domain on ``chain_id``."""
    return keccak(
        keccak(_DOMAIN_TYPE)
        + keccak(b"AsterSignTransaction")
        + keccak(b"1")
        + chain_id.to_bytes(32, "big")
        + bytes(32)
    )


def message_digest(separator: bytes, message: bytes) -> bytes:
    """The 32 bytes that are signed for ``message``."""
    return keccak(b"\x19\x01" + separator + keccak(_MESSAGE_TYPEHASH + keccak(message)))


def legacy_digest(params: dict[str, str]) -> bytes:
    """The 32 bytes that were signed before 2026: the parameters as sorted JSON, ABI-encoded with user, signer
    and nonce, hashed, and personal-signed."""
    from eth_abi.abi import encode

    if not params.get("timestamp") or not params.get("user"):
        raise refuse(-1102, "timestamp" if params.get("user") else "user")
    message = {k: v for k, v in params.items() if k not in ("user", "signer", "nonce")}
    text = json.dumps(message, sort_keys=True, separators=(",", ":"))
    parts = (text, params["user"], params["signer"], int(params["nonce"]))
    try:
        encoded = encode(("string", "address", "address", "uint256"), parts)
    except Exception as problem:  # eth-abi has a tree of its own for what is no address
        raise refuse(-1022) from problem
    return keccak(b"\x19Ethereum Signed Message:\n32" + keccak(encoded))


def address_of(key: PublicKey) -> str:
    """The lower-case address of a public key."""
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


def checksummed(address: str) -> str:
    """EIP-55 spelling of an address."""
    plain = address.lower().removeprefix("0x")
    digest = keccak(plain.encode()).hex()
    return "0x" + "".join(c.upper() if int(d, 16) > 7 else c for c, d in zip(plain, digest, strict=False))


def recover(digest: bytes, signature: str) -> str:
    """The lower-case address that made ``signature`` (65 bytes of hex, with or without 0x, any case, v in
    0, 1, 27, 28). -1022 when it is no signature at all."""
    text = signature[2:] if signature[:2] in ("0x", "0X") else signature
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise refuse(-1022) from None
    if len(raw) != 65 or len(text) != 130 or raw[64] not in (0, 1, 27, 28):
        raise refuse(-1022)
    try:
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] % 27]), digest, hasher=None)
    except Exception as problem:  # coincurve raises bare Exception and ValueError for numbers off the curve
        raise refuse(-1022) from problem
    return address_of(key)


def split_signature(raw: bytes) -> tuple[bytes, str]:
    """The signed message and the signature out of a raw query or form string.

    Every other byte stays as it came, wherever the signature stands. -1102 without a signature.
    """
    head, mark, tail = raw.rpartition(b"&signature=")
    if mark and tail and b"signature=" not in head and b"&" not in tail:
        return head, tail.decode("ascii", "replace")  # where it stands with everybody
    parts = raw.split(b"&")
    found = [part for part in parts if part.startswith(b"signature=")]
    if len(found) > 1:
        raise refuse(-1101)
    signature = found[0][len(b"signature=") :] if found else b""
    if not signature:
        raise refuse(-1102, "signature")
    message = b"&".join(part for part in parts if not part.startswith(b"signature="))
    return message, signature.decode("ascii", "replace")


class NonceCache:
    """The most recent nonces of one signer. "Recent" is by value, as the venue keeps them."""

    def __init__(self, kept: int = NONCES_KEPT) -> None:
        self._kept = kept
        self._nonces: list[int] = []

    def seen(self, nonce: int) -> bool:
        """Whether ``nonce`` is among those kept."""
        place = bisect_left(self._nonces, nonce)
        return place < len(self._nonces) and self._nonces[place] == nonce

    def use(self, nonce: int) -> None:
        """Takes ``nonce``; -4225 when it was used already or is older than all that a full cache keeps."""
        if self.seen(nonce):
            raise other(-4225, "Nonce Duplicated")
        if len(self._nonces) >= self._kept and nonce < self._nonces[0]:
            raise refuse(-4225)
        insort(self._nonces, nonce)
        if len(self._nonces) > self._kept:
            del self._nonces[0]


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """One account's addresses and keys; addresses EIP-55, keys 0x hex."""

    name: str
    user: str
    user_private_key: str
    signer: str
    signer_private_key: str

    def document(self) -> dict[str, str]:
        """The account in the ready document."""
        return {
            "name": self.name,
            "user": self.user,
            "user_private_key": self.user_private_key,
            "signer": self.signer,
            "signer_private_key": self.signer_private_key,
        }


_NAMES = (
    *("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett"),
    *("kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango"),
    *("uniform", "victor", "whiskey", "xray", "yankee", "zulu"),
)


def account_keys(seed: int, number: int) -> AccountKeys:
    """Name and keys of the account ``number`` (from 0): a function of the seed. Worth nothing anywhere."""
    name = _NAMES[number] if number < len(_NAMES) else f"agent{number + 1}"
    user, signer = (_derived_key(f"practice/{seed}/{number}/{role}") for role in ("user", "signer"))
    return AccountKeys(
        name=name,
        user=checksummed(address_of(user.public_key)),
        user_private_key="0x" + user.secret.hex(),
        signer=checksummed(address_of(signer.public_key)),
        signer_private_key="0x" + signer.secret.hex(),
    )


def _derived_key(label: str) -> PrivateKey:
    number = int.from_bytes(keccak(label.encode()), "big") % (CURVE_ORDER - 1) + 1
    return PrivateKey(number.to_bytes(32, "big"))


class Authenticator:
    """Signature, agent and nonce checks for one chain id."""

    def __init__(self, chain_id: int, nonce_window_us: int, scheme: str = "eip712") -> None:
        self._legacy = scheme == "legacy-abi"
        self._separator = domain_separator(chain_id)
        self._window_us = nonce_window_us
        self._masters: dict[str, str] = {}
        self._nonces: dict[str, NonceCache] = {}
        #: Users whose signers are refused as if they had never been approved.
        self.revoked: set[str] = set()

    def register(self, keys: AccountKeys) -> None:
        """Lets the account's API wallet, and the user's own key, sign for the user."""
        for signer in (keys.signer, keys.user):
            self._masters[signer.lower()] = keys.user.lower()

    def check(self, message: bytes, signature: str, params: dict[str, str], now_us: int) -> str:
        """The user (lower-case address) on whose behalf the request is. Raises -1102, -1022, -1021,
        -4225, or -1000 "No agent found". Only a request that passes all uses up its nonce."""
        for name in ("nonce", "signer"):
            if not params.get(name):
                raise refuse(-1102, name)
        nonce_text = params["nonce"]
        if not (nonce_text.isascii() and nonce_text.isdigit() and len(nonce_text) < 20):
            raise refuse(-1102, "nonce")
        digest = legacy_digest(params) if self._legacy else message_digest(self._separator, message)
        signer = recover(digest, signature)
        if signer != params["signer"].lower():
            raise refuse(-1022)
        user = self._masters.get(signer)
        if user is None or user in self.revoked or params.get("user", user).lower() != user:
            raise other(-1000, "No agent found")
        self._use_nonce(signer, int(nonce_text), now_us)
        return user

    def _use_nonce(self, signer: str, nonce: int, now_us: int) -> None:
        if nonce < now_us - self._window_us:
            raise refuse(-1021)
        if nonce > now_us + self._window_us:
            ahead = (nonce - now_us) // 1000
            raise other(-1021, f"Timestamp for this request was {ahead}ms ahead of the server's time.")
        self._nonces.setdefault(signer, NonceCache()).use(nonce)

"""Client order ids: how an order names the agent it is for, what it is for, and whose decision it was.

``at-<tag>-<purpose><epoch>-<unique>``: the tag is ten characters made from the agent's id, so that orders
on a shared account are told apart; the epoch is the sender's lease. At most 36 characters of the venue's
alphabet.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Literal

Purpose = Literal["entry", "stop", "target", "close", "operator", "flatten"]

_LETTERS: dict[Purpose, str] = {
    "entry": "e",
    "stop": "s",
    "target": "t",
    "close": "c",
    "operator": "o",
    "flatten": "f",
}
_PURPOSES = {letter: purpose for purpose, letter in _LETTERS.items()}
_PREFIX = "at"
_TAG, _UNIQUE = 10, 13
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
MOST_EPOCH = 36**5 - 1


@dataclass(frozen=True, slots=True)
class ClientId:
    """What an id says."""

    tag: str
    purpose: Purpose
    epoch: int


def agent_tag(agent_id: str) -> str:
    """Ten characters that stand for an agent."""
    return _hashed(f"agent/{agent_id}", _TAG)


def client_order_id(agent_id: str, purpose: Purpose, epoch: int, seed: str) -> str:
    """The id of an order; the same arguments give the same id.

    Args:
        seed: what makes it unique: a decision's id with its step, or something random.
    """
    if not 0 <= epoch <= MOST_EPOCH:
        raise ValueError("no such epoch")
    unique = _hashed(f"order/{agent_id}/{purpose}/{seed}", _UNIQUE)
    return f"{_PREFIX}-{agent_tag(agent_id)}-{_LETTERS[purpose]}{_base36(epoch)}-{unique}"


def parse_client_id(text: str) -> ClientId | None:
    """What an id says, None when it is not one of ours."""
    parts = text.split("-")
    if len(parts) != 4 or parts[0] != _PREFIX or len(parts[1]) != _TAG or len(parts[3]) != _UNIQUE:
        return None
    purpose = _PURPOSES.get(parts[2][:1])
    digits = parts[2][1:]
    if purpose is None or not 0 < len(digits) <= 5 or any(d not in _DIGITS for d in digits):
        return None
    return ClientId(parts[1], purpose, int(digits, 36))


def is_of_agent(text: str, agent_id: str) -> bool:
    """Whether an id says that its order is an agent's."""
    found = parse_client_id(text)
    return found is not None and found.tag == agent_tag(agent_id)


def _hashed(text: str, length: int) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:length]


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
        if not number:
            return digits

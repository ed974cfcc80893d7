"""The audit of what operators did: a chain in which each line holds the hash of the one before. Pure.

A line that was changed, left out or put in breaks the chain at that place; only the end can be cut off
unseen, which the copy in the database shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

#: The hash that the first line refers to.
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line. ``phase`` is ``asked`` before anything is done and ``answered`` after; ``words`` the command
    line that does the same, ``outcome`` the answer's word and ``answer`` its text; times in Unix ms."""

    seq: int
    at: int
    operator: str
    host: str
    source: str
    request_id: str
    phase: Literal["asked", "answered"]
    title: str
    words: str = ""
    network: str = ""
    outcome: str = ""
    answer: str = ""
    chain: str = ""
    previous: str = GENESIS
    hash: str = ""


def chained(line: AuditLine, before: AuditLine | None) -> AuditLine:
    """The line at its place behind another."""
    placed = replace(
        line,
        seq=before.seq + 1 if before is not None else 1,
        previous=before.hash if before is not None else GENESIS,
        hash="",
    )
    return replace(placed, hash=hash_of(placed))


def hash_of(line: AuditLine) -> str:
    """SHA-256 over everything else in a line."""
    content = {name: value for name, value in asdict(line).items() if name != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def broken(lines: Iterable[AuditLine]) -> tuple[int, str] | None:
    """The number of the first line that does not fit (1 is the first), and why; None of a sound chain."""
    before: AuditLine | None = None
    for number, line in enumerate(lines, start=1):
        if line.hash != hash_of(line):
            return number, "its content was changed"
        if line.previous != (before.hash if before is not None else GENESIS):
            return number, "it does not follow the line before it"
        if line.seq != number:
            return number, f"it is numbered {line.seq}"
        before = line
    return None


def to_json(line: AuditLine) -> str:
    """The line as the file has it."""
    return json.dumps(asdict(line), separators=(",", ":"), ensure_ascii=True)


def from_data(data: Mapping[str, Any]) -> AuditLine:
    """The line that :func:`to_json` wrote.

    Raises:
        ValueError: it is none.
    """
    known = {f.name for f in fields(AuditLine)}
    try:
        return AuditLine(**{name: value for name, value in data.items() if name in known})
    except TypeError as error:
        raise ValueError(f"not a line of an audit: {error}") from None

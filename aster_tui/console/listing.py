"""What of a list is shown and in which order: filters and sorting. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

View = TypeVar("View")

#: Names a filter's terms may begin with: ``agent:neural symbol:btc``.
FIELDS = ("agent", "symbol", "status", "side", "type", "mode", "code", "source")


@dataclass(frozen=True, slots=True)
class Filter:
    """Terms that must all be found, letter case aside; ``inverse`` shows what does not have them all.

    A term is a text, looked for in everything a row says, or ``field:text`` for one field.
    """

    terms: tuple[tuple[str, str], ...] = ()
    inverse: bool = False
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.terms)

    def shows(self, facts: Mapping[str, str]) -> bool:
        """Whether a row with these facts (lower case, by field; ``""`` has all of them) is shown."""
        if not self.terms:
            return True
        found = all(text in facts.get(field, "") for field, text in self.terms)
        return found != self.inverse


def parse_filter(text: str) -> Filter:
    """Read what the operator typed: ``btc``, ``!rejected``, ``agent:neural status:filled``.

    What is no field's name before a colon is text like any other.
    """
    typed = text.strip()
    inverse = typed.startswith("!")
    terms = []
    for word in typed.removeprefix("!").lower().split():
        field, colon, rest = word.partition(":")
        if colon and field in FIELDS:
            if rest:
                terms.append((field, rest))
        else:
            terms.append(("", word))
    return Filter(tuple(terms), inverse and bool(terms), typed)


def facts(**fields: str) -> dict[str, str]:
    """A row's facts in lower case; all of them together under the empty name."""
    low = {name: value.lower() for name, value in fields.items()}
    low[""] = "\n".join(low.values())
    return low


def ordered(views: Iterable[View], key: Callable[[View], Any], *, descending: bool) -> list[View]:
    """Sorted, with what is unknown (None) last in either direction. Equals stay in the list's own order."""
    known: list[View] = []
    unknown: list[View] = []
    for view in views:
        (unknown if key(view) is None else known).append(view)
    return sorted(known, key=key, reverse=descending) + unknown

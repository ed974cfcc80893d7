"""Rehearsals of a close-all: the incidents there are, and how one drill stands beside earlier ones. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Incident = Literal["none", "stream-silent", "503-storm", "database-gone", "terminal-hung", "liquidation-near"]
INCIDENTS: tuple[Incident, ...] = get_args(Incident)

#: What each incident is, for people.
WORDS: Mapping[Incident, str] = {
    "none": "nothing goes wrong",
    "stream-silent": "the streams are open and tell nothing",
    "503-storm": "the exchange answers every other request with an error, whether it carried it out or not",
    "database-gone": "MongoDB takes connections and never answers",
    "terminal-hung": "the terminal has stopped reading",
    "liquidation-near": "the market has gone against every position, close to liquidation",
}
#: The faults of the practice exchange in each.
FAULTS: Mapping[Incident, Mapping[str, float]] = {
    "stream-silent": {"ws-silent": 1},
    "503-storm": {"http503": 0.2, "503-after": 0.15, "lost-reply": 0.1, "html500": 0.05},
}
#: Distance to the exchange, ms.
LATENCY_MS = 50
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. ``at`` is Unix ms. ``closed_ms`` and ``flat_ms`` are from the start of the command until the
    exchange had no position, and no open order either (None: never); ``verified_ms`` is what the command says
    it took, ``process_ms`` the whole command. ``ok`` is whether it ended flat and said so."""

    at: int
    incident: Incident
    accounts: int
    positions: int
    orders: int
    seed: int
    ok: bool
    exit_code: int
    closed_ms: int | None
    flat_ms: int | None
    verified_ms: int
    process_ms: int
    rounds: int
    liquidated: int
    left: tuple[str, ...] = ()
    message: str = ""


def as_data(drill: Drill) -> dict[str, Any]:
    """A drill as JSON has it."""
    return {**asdict(drill), "left": list(drill.left)}


def from_data(data: Mapping[str, Any]) -> Drill:
    """The drill that :func:`as_data` wrote.

    Raises:
        ValueError: it is none.
    """
    names = {field.name for field in fields(Drill)}
    values: dict[str, Any] = {name: value for name, value in data.items() if name in names}
    values["left"] = tuple(values.get("left", ()))
    try:
        return Drill(**values)
    except TypeError as error:
        raise ValueError(f"not a drill: {error}") from None


def alike(drill: Drill, earlier: Iterable[Drill]) -> list[Drill]:
    """Earlier drills of the same incident and size, oldest first."""
    return [
        one
        for one in sorted(earlier, key=lambda one: one.at)
        if one.at < drill.at
        and (one.incident, one.accounts, one.positions) == (drill.incident, drill.accounts, drill.positions)
    ]


def beside(drill: Drill, earlier: Sequence[Drill]) -> str:
    """How a drill stands beside earlier ones like it, in one line."""
    times = [one.flat_ms for one in earlier if one.ok and one.flat_ms is not None]
    if not times:
        return "the first of its kind"
    middle = round(statistics.median(times))
    count = f"{len(times)} earlier one{'' if len(times) == 1 else 's'}"
    if drill.flat_ms is None:
        return f"{count}: flat after {middle} ms (median)"
    change = (drill.flat_ms - middle) / middle * 100
    return f"{change:+.0f} % against the median of {count} ({middle} ms)"

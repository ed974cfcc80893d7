"""What a practice exchange can be told to do wrong, at the start or while it runs."""

from __future__ import annotations

import random
from collections.abc import Mapping

from aster_tui.practice.errors import VenueError

#: Name → the least and the most its value may be. Those from 0 to 1 are probabilities.
FAULTS: Mapping[str, tuple[float, float]] = {
    "latency-ms": (0, 3_600_000),
    "http503": (0, 1),
    "503-after": (0, 1),
    "lost-reply": (0, 1),
    "html500": (0, 1),
    "429": (0, 1),
    "ws-drop-seconds": (0, 3_600),
    "ws-silent": (0, 1),
    "ws-duplicate": (0, 1),
    "ws-reorder": (0, 1),
    "ws-loss": (0, 1),
    "clock-skew-ms": (-3_600_000, 3_600_000),
    # The venue's limits refuse (429, then 418) instead of only counting. Off by default: many clients on one
    # machine share one address here, and would share its allowance.
    "limits": (0, 1),
}


class FaultError(ValueError):
    """No such fault, or no such value. One line."""


def _checked(name: str, value: object) -> float:
    if name not in FAULTS:
        raise FaultError(f"no such fault: {name}; there are {', '.join(FAULTS)}")
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultError(f"{name} takes a number")
    least, most = FAULTS[name]
    if not least <= value <= most:
        raise FaultError(f"{name} takes a number from {least:g} to {most:g}")
    return float(value)


class Faults:
    """The faults in force."""

    def __init__(self, seed: int, values: Mapping[str, float]) -> None:
        self._values: dict[str, float] = {}
        self._random = random.Random(f"{seed}/faults")
        self._refusals: list[tuple[str, VenueError]] = []
        self.set(values)

    def set(self, values: Mapping[str, object]) -> None:
        """Begin, change or (0 or None) end faults: all of them, or none where one is wrong.

        Raises:
            FaultError: unknown name, or a value out of range.
        """
        self._values |= {name: _checked(name, value) for name, value in values.items()}

    def value(self, name: str) -> float:
        """The amount of a fault, 0 when it is off."""
        return self._values.get(name, 0.0)

    def strikes(self, name: str) -> bool:
        """Whether a fault with a probability happens this time."""
        chance = self.value(name)
        return chance > 0 and self._random.random() < chance

    def refuse(self, error: VenueError, path: str, times: int) -> None:
        """Have the next requests to ``path`` ("METHOD /path", empty for any) refused in the venue's words."""
        self._refusals += [(path, error)] * times

    def refusal(self, path: str) -> VenueError | None:
        """The refusal a request meets, which is then used up."""
        for place, (wanted, error) in enumerate(self._refusals):
            if wanted in ("", path):
                del self._refusals[place]
                return error
        return None

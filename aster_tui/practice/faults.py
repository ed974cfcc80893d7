"""What a practice exchange can be told to do wrong, at the start or while it runs."""

from __future__ import annotations

import random
from collections.abc import Mapping

#: Name → whether its value is a probability (0 to 1) rather than an amount.
FAULTS: Mapping[str, bool] = {
    "latency-ms": False,
    "http503": True,
    "html500": True,
    "ws-drop-seconds": False,
    "ws-silent": True,
}
#: Faults of the design that this version does not have.
NOT_YET = ("503-after", "lost-reply", "429", "ws-duplicate", "ws-reorder", "ws-loss", "clock-skew-ms")


class FaultError(ValueError):
    """No such fault, or no such value. One line."""


class Faults:
    """The faults in force."""

    def __init__(self, seed: int, values: Mapping[str, float]) -> None:
        self._values: dict[str, float] = {}
        self._random = random.Random(f"{seed}/faults")
        for name, value in values.items():
            self.set(name, value)

    def set(self, name: str, value: object) -> None:
        """Begin, change or (0 or None) end a fault.

        Raises:
            FaultError: unknown name, or a value out of range.
        """
        if name in NOT_YET:
            raise FaultError(f"the fault {name} is not available in this version")
        if name not in FAULTS:
            raise FaultError(f"no such fault: {name}; there are {', '.join(FAULTS)}")
        if value is None:
            value = 0
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FaultError(f"{name} takes a number")
        most = 1.0 if FAULTS[name] else 3_600_000.0
        if not 0 <= value <= most:
            raise FaultError(f"{name} takes a number from 0 to {most:g}")
        self._values[name] = float(value)

    def value(self, name: str) -> float:
        """The amount of a fault, 0 when it is off."""
        return self._values.get(name, 0.0)

    def strikes(self, name: str) -> bool:
        """Whether a fault with a probability happens this time."""
        chance = self.value(name)
        return chance > 0 and self._random.random() < chance

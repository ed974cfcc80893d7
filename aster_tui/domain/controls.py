"""Whether an agent, or the fleet, may trade. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``REDUCING``: only what makes positions smaller; ``HALTED``: nothing automatic at all. Persons may always
#: reduce.
TradingState = Literal["ACTIVE", "REDUCING", "HALTED"]
STATES: tuple[TradingState, ...] = ("ACTIVE", "REDUCING", "HALTED")
#: The key of the fleet's control; an agent's is its id.
FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Control:
    """Whether an agent, or the fleet, may trade: set by a person, with a reason."""

    state: TradingState
    reason: str = ""
    by: str = ""
    at: int = 0

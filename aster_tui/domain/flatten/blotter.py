"""The closing orders of an account during a close-all, and what became of each. Pure."""

from __future__ import annotations

from dataclasses import replace

from aster_tui.domain.flatten.steps import (
    NEVER_PLACED,
    REFUSED,
    UNKNOWN,
    UNSENT,
    Close,
    CloseMade,
    Failure,
)
from aster_tui.domain.trading import Order


class Blotter:
    """Every closing order that was made, as they were made."""

    def __init__(self) -> None:
        self._made: dict[int, CloseMade] = {}

    def __bool__(self) -> bool:
        return bool(self._made)

    @property
    def made(self) -> tuple[CloseMade, ...]:
        """What became of each."""
        return tuple(self._made.values())

    def add(self, close: Close) -> None:
        """It is about to be sent."""
        self._made[close.number] = CloseMade(close)

    def told(self, close: Close, order: Order) -> None:
        """The exchange has it, and said how far it is."""
        self._made[close.number] = replace(
            self._made[close.number],
            status=order.status,
            executed=order.executed,
            average_price=order.average_price,
            order_id=order.order_id,
            words="",
        )

    def failed(self, close: Close, failure: Failure) -> None:
        """It was not taken, or nothing is known of it."""
        status = {"unknown": UNKNOWN, "unsent": UNSENT}.get(failure.kind, REFUSED)
        self._made[close.number] = replace(self._made[close.number], status=status, words=failure.words)

    def never_placed(self, close: Close) -> None:
        """It is certain that it never reached the exchange's book."""
        self._made[close.number] = replace(self._made[close.number], status=NEVER_PLACED)

"""When a close-all may say "flat": what happened is counted, and readings that showed nothing since. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: How many readings in a row must show nothing, each begun after the one before ended.
READINGS = 2


@dataclass(slots=True)
class Proof:
    """The proof that an account is flat.

    ``tick`` counts what happened, so that a reading begun before a change is never taken for news of it;
    ``changed`` is the tick of the last change, ``since`` the one from which on the next reading must begin
    to count, ``clean`` how many counted.
    """

    tick: int = 0
    changed: int = 0
    since: int = 0
    clean: int = 0

    @property
    def complete(self) -> bool:
        """Whether enough readings showed nothing."""
        return self.clean >= READINGS

    def ticked(self) -> int:
        """Something happens; its tick."""
        self.tick += 1
        return self.tick

    def mutated(self) -> None:
        """Something changed: what was verified before it counts no more."""
        self.changed = self.since = self.ticked()
        self.clean = 0

    def disproved(self) -> None:
        """The exchange told of something that is open."""
        self.clean = 0

    def read(self, begun: int) -> None:
        """Positions and orders show nothing, by readings of which the older began at this tick."""
        if begun >= self.since:
            self.clean += 1
            self.since = self.ticked()

"""A key held down, or pressed into a console that did not answer: one action, not fifty."""

from __future__ import annotations

#: Terminals begin to repeat a held key after 0.25 to 0.66 s and then some 30 times a second.
REPEAT_SECONDS = 0.7
#: Nobody presses one key twice within this; a key that stays down comes so often.
RAPID_SECONDS = 0.1


class HeldKey:
    """Tells whether the key that comes is the one before it, still held.

    Counted from the last repeat: a key that stays down never becomes a new press. Any other key between two
    presses makes the second one a press of its own.
    """

    def __init__(self) -> None:
        self._key = ""
        self._at = float("-inf")
        self.repeats = False
        #: Whether it certainly was not pressed anew.
        self.rapid = False

    def press(self, key: str, at: float) -> None:
        """A key came at ``at`` (seconds of a clock that only goes forward)."""
        since = at - self._at
        self.repeats = key == self._key and since < REPEAT_SECONDS
        self.rapid = self.repeats and since < RAPID_SECONDS
        self._key, self._at = key, at

"""A recording played back through the same reducer: forward, back, to any moment. Pure.

Going back begins at the nearest earlier state that was kept and applies forward from there.
"""

from __future__ import annotations

import copy
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from aster_tui.domain import fleet_views
from aster_tui.domain.events import Event
from aster_tui.domain.fleet import FleetState
from aster_tui.domain.recording import Header, RecordingError, line_time, read_event
from aster_tui.domain.views import FleetSnapshot

#: Lines packed together in memory, and events between two states that are kept.
BLOCK = 1_000
KEPT_EVERY = 20_000


class Tape:
    """The lines of a recording, packed; by number or by time."""

    def __init__(self, header: Header, lines: Iterable[str]) -> None:
        self.header = header
        self.count = 0
        self.end = header.started_at
        self._blocks: list[bytes] = []
        self._times: list[int] = []
        self._unpacked: tuple[int, list[str]] = (-1, [])
        block: list[str] = []
        for line in lines:
            at = line_time(line)
            if not block:
                self._times.append(at)
            block.append(line)
            self.count += 1
            self.end = max(self.end, at)
            if len(block) == BLOCK:
                self._pack(block)
                block = []
        if block:
            self._pack(block)

    @property
    def start(self) -> int:
        """When it begins, Unix ms."""
        return self.header.started_at

    def _pack(self, block: list[str]) -> None:
        self._blocks.append(zlib.compress("\n".join(block).encode(), 1))

    def _line(self, index: int) -> str:
        number = index // BLOCK
        if self._unpacked[0] != number:
            self._unpacked = (number, zlib.decompress(self._blocks[number]).decode().split("\n"))
        return self._unpacked[1][index % BLOCK]

    def time(self, index: int) -> int:
        """When the event with this number came."""
        return line_time(self._line(index))

    def event(self, index: int) -> Event:
        """The event with this number.

        Raises:
            RecordingError: its line cannot be read.
        """
        try:
            return read_event(self._line(index))
        except RecordingError as error:
            raise RecordingError(f"event {index + 1}: {error}") from None

    def first_after(self, at: int) -> int:
        """The number of the first event that came after a moment; ``count`` when none did."""
        number = max(0, bisect_right(self._times, at) - 1)
        for index in range(number * BLOCK, self.count):
            if self.time(index) > at:
                return index
        return self.count


class Player:
    """The fleet at one moment of a tape.

    ``position`` is how many events are applied, ``at`` the moment (Unix ms) that is shown.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.at = tape.start
        self.position = 0
        self._state = FleetState(
            network=tape.header.network,
            read_only=tape.header.read_only,
            initial_balance=tape.header.initial_balance,
        )
        self._kept: list[tuple[int, FleetState]] = [(0, fork(self._state))]

    @property
    def state(self) -> FleetState:
        """The reducer's state."""
        return self._state

    def aim(self, position: int) -> None:
        """Make ready to go to a position: one that lies behind begins at an earlier state."""
        if position < self.position:
            self.position, kept = next(item for item in reversed(self._kept) if item[0] <= position)
            self._state = fork(kept)

    def advance(self, position: int, *, most: int) -> bool:
        """Apply events up to a position, at most so many. Returns whether it is reached."""
        end = min(position, self.tape.count, self.position + most)
        while self.position < end:
            self._state.apply(self.tape.event(self.position))
            self.position += 1
            if self.position % KEPT_EVERY == 0 and self._kept[-1][0] < self.position:
                self._kept.append((self.position, fork(self._state)))
        return self.position >= min(position, self.tape.count)

    def go(self, at: int) -> None:
        """Go to a moment at once, however far that is."""
        position = self.tape.first_after(at)
        self.aim(position)
        self.advance(position, most=self.tape.count)
        self.at = at

    def snapshot(self) -> FleetSnapshot:
        """The fleet as it stood at this moment."""
        return fleet_views.snapshot(self._state, self.at, sync_stale_ms=self.tape.header.sync_stale_ms)


def fork(state: FleetState) -> FleetState:
    """A state that goes its own way from here. What cannot change is shared."""
    twin = FleetState(network=state.network, read_only=state.read_only, initial_balance=state.initial_balance)
    _fill(twin, state)
    return twin


def _fill(twin: Any, value: Any) -> None:
    """Give ``twin`` all that ``value`` knows. Parts stay the twin's own objects: its handlers are bound to
    them."""
    for name, item in vars(value).items():
        if name == "_handlers":
            continue
        if hasattr(item, "__dict__") and not isinstance(item, type):
            _fill(getattr(twin, name), item)
        else:
            setattr(twin, name, _copied(item))


def _copied(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | Decimal | tuple | frozenset):
        return value
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | set):
        return type(value)(_copied(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        if value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            return value
        twin = copy.copy(value)
        for field in fields(value):
            setattr(twin, field.name, _copied(getattr(value, field.name)))
        return twin
    raise TypeError(f"nobody said how to copy {type(value).__name__}: teach aster_tui.domain.replay")

"""Which rows of a history a request wants: by time, by number, and how many. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from aster_tui.practice.errors import refuse
from aster_tui.practice.orders import whole

Row = TypeVar("Row")
#: The longest span that may be asked for where the venue limits it.
WEEK_MS = 7 * 24 * 3_600_000


def page(
    params: Mapping[str, str],
    rows: Iterable[Row],
    at: Callable[[Row], int],
    *,
    most: int = 1000,
    number: Callable[[Row], int] | None = None,
    from_name: str = "fromId",
    longest_ms: int | None = None,
) -> list[Row]:
    """The rows (oldest first) between ``startTime`` and ``endTime`` (Unix ms, both included) and from the
    number ``from_name`` on: the first ``limit`` of them where a beginning is named, else the newest.

    Raises:
        VenueError: -1023 when the end is before the start, -1127 when the span is longer than ``longest_ms``,
            -1102 for what is no number.
    """
    start, end, first = (_given(params, name) for name in ("startTime", "endTime", from_name))
    if start is not None and end is not None:
        if start > end:
            raise refuse(-1023)
        if longest_ms is not None and end - start > longest_ms:
            raise refuse(-1127)
    limit = _given(params, "limit")
    count = max(1, min(500 if limit is None else limit, most))
    found = [
        row
        for row in rows
        if (start is None or at(row) >= start)
        and (end is None or at(row) <= end)
        and (first is None or number is None or number(row) >= first)
    ]
    begun = start is not None or (first is not None and number is not None)
    return found[:count] if begun else found[-count:]


def _given(params: Mapping[str, str], name: str) -> int | None:
    return whole(params, name) if name in params else None

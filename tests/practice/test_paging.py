"""Which rows of a history a request gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.practice.errors import VenueError
from aster_tui.practice.paging import WEEK_MS, page

times = st.lists(st.integers(0, 50), max_size=30).map(sorted)


@given(times, st.none() | st.integers(0, 60), st.none() | st.integers(0, 60), st.none() | st.integers(1, 40))
def test_the_first_from_a_beginning_and_otherwise_the_newest(
    at: list[int], start: int | None, end: int | None, limit: int | None
) -> None:
    named = {"startTime": start, "endTime": end, "limit": limit}
    params = {name: str(value) for name, value in named.items() if value is not None}
    if start is not None and end is not None and start > end:
        with pytest.raises(VenueError, match="-1023"):
            page(params, at, int)
        return
    within = [t for t in at if (start is None or t >= start) and (end is None or t <= end)]
    most = limit or 500
    assert page(params, at, int) == (within[:most] if start is not None else within[-most:])


def test_a_number_to_begin_with_a_span_too_long_and_what_is_no_number() -> None:
    rows = [(at, at * 10) for at in range(10)]
    found = page({"fromId": "50", "limit": "2"}, rows, lambda r: r[0], number=lambda r: r[1])
    assert found == [(5, 50), (6, 60)]
    span = {"startTime": "0", "endTime": str(WEEK_MS + 1)}
    assert page(span, rows, lambda r: r[0]) == rows
    with pytest.raises(VenueError, match="-1127"):
        page(span, rows, lambda r: r[0], longest_ms=WEEK_MS)
    for name in ("startTime", "endTime", "limit"):
        with pytest.raises(VenueError, match="-1102"):
            page({name: "soon"}, rows, lambda r: r[0])

"""A moment of a recording, as people write it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_OFFSET = re.compile(r"([+-])(?:(\d+)(ms|s|m|h)?|(\d+):(\d{2})(?::(\d{2}))?)")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, None: 1000}
HOW = "write 14:51:07, 2026-11-24 14:51:07, +90s or +1:30 from the start, -30s from the end, or Unix ms"


class MomentError(Exception):
    """What was written is no moment of the recording. The text is one line for people."""


def parse_moment(text: str, start: int, end: int) -> int:
    """Unix ms of a moment between ``start`` and ``end``: a local time of day, a date and time, ``+90s`` from
    the start, ``-30s`` from the end, Unix ms, or ``start`` and ``end``.

    Raises:
        MomentError: it is none, or not within the recording.
    """
    word = text.strip()
    at = _read(word, start, end)
    if at is None:
        raise MomentError(f"{word[:40]!r} is no time: {HOW}")
    if not start <= at <= end + 999:  # what is shown as the last second is within
        raise MomentError(f"{word} is not in the recording: it goes from {_said(start)} to {_said(end)}")
    return min(at, end)


def _read(word: str, start: int, end: int) -> int | None:
    if word in ("start", "end"):
        return start if word == "start" else end
    if word.isdigit() and len(word) >= 12:
        return int(word)
    offset = _OFFSET.fullmatch(word)
    if offset:
        sign, count, unit, hours, minutes, seconds = offset.groups()
        if count is not None:
            length = int(count) * _UNITS[unit]
        else:  # +1:30 is a minute and a half, +1:02:03 an hour, two minutes and three seconds
            parts = [int(part) for part in (hours, minutes, seconds) if part is not None]
            length = sum(part * 60**place for place, part in enumerate(reversed(parts))) * 1000
        return start + length if sign == "+" else end - length
    clock = _CLOCK.fullmatch(word)
    if clock:
        return _next_time_of_day(start, *(int(part or 0) for part in clock.groups()))
    try:
        return int(datetime.fromisoformat(word).timestamp() * 1000)
    except ValueError:
        return None


def _next_time_of_day(start: int, hour: int, minute: int, second: int) -> int | None:
    """The first moment with this local time that is not before the recording's first second."""
    begin = datetime.fromtimestamp(start // 1000)
    try:
        at = begin.replace(hour=hour, minute=minute, second=second)
    except ValueError:
        return None
    if at < begin:
        at += timedelta(days=1)
    return max(start, int(at.timestamp() * 1000))


def _said(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000):%Y-%m-%d %H:%M:%S}"

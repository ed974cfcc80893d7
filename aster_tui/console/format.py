"""Numbers, ages and words as the console writes them. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

#: A real minus sign: as wide as the plus.
MINUS = "−"
NOTHING = "·"
UNKNOWN = "–"
#: After a sum that lacks what is not known.
PARTIAL = "?"
#: Where a number has no room at all: no figure is better than a smaller one.
TOO_WIDE = "#"
_NUMBER = re.compile(r"(?P<whole>[+−-]?\d[\d,]*)(?P<fraction>\.\d+)?(?P<unit> ?[%×]| bp| s|\?)?\Z")


def number(value: Decimal | None, places: int) -> str:
    """With thousands separators and ``places`` decimals: ``64,012.40``; an en dash for what is unknown."""
    if value is None or not value.is_finite():
        return UNKNOWN
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN) if abs(value) < 10**15 else value
    text = f"{abs(rounded):,f}"
    return MINUS + text if rounded < 0 else text


def signed(value: Decimal | None, places: int = 2) -> str:
    """With its sign: ``+12.33``, ``−3.10``, and ``0.00`` without one."""
    text = number(value, places)
    if not any(digit in "123456789" for digit in text):
        return text.removeprefix(MINUS)  # nothing, or too little to show
    return text if text.startswith(MINUS) else f"+{text}"


def summed(parts: Sequence[Decimal | None], written: Callable[[Decimal], str]) -> str:
    """A sum as ``written`` has it: marked where a part is unknown, for it may be anything then, and an en
    dash where all are."""
    known = [part for part in parts if part is not None]
    if parts and not known:
        return UNKNOWN
    text = written(sum(known, Decimal(0)))
    return text if len(known) == len(parts) else f"{text}{PARTIAL}"


def percent(value: Decimal | None) -> str:
    """A signed percentage: ``+4.22 %``."""
    text = signed(value, 2)
    return text if text == UNKNOWN else f"{text} %"


def age(milliseconds: int | None) -> str:
    """How long ago: ``0 s``, ``59 s``, ``3 m``, ``5 h``, ``2 d``. Never below zero: clocks differ."""
    if milliseconds is None:
        return UNKNOWN
    seconds = max(0, milliseconds) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def seconds(milliseconds: int) -> str:
    """A short time that runs: ``0.4 s``."""
    return f"{max(0, milliseconds) / 1000:.1f} s"


def clock(at: int) -> str:
    """Local time of day: ``14:51:07``."""
    return time.strftime("%H:%M:%S", time.localtime(at / 1000)) if at > 0 else "--:--:--"


def moment(at: int | None) -> str:
    """Local date and time: ``2026-11-24 14:51:07``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000)) if at else UNKNOWN


def tone(value: Decimal | None) -> str:
    """``profit``, ``loss`` or nothing: a name for the styles, beside the sign and never instead of it. What
    is too little to show a sign has no colour either."""
    if value is None:
        return ""
    return {"+": "profit", MINUS: "loss"}.get(signed(value)[0], "")


def one_line(text: str) -> str:
    """Foreign text on one line: control characters and line breaks become spaces."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def fitted(text: str, width: int) -> str:
    """A number in ``width`` characters: whole where it can be, never one that reads as another. What is no
    number comes back as it is.

    What gives way first is padding, then the separators of thousands, then decimals, which an ellipsis stands
    for; a number whose whole part has no room is not shown at all.
    """
    found = _NUMBER.match(text.strip())
    if found is None or len(text) <= width:
        return text
    whole, fraction, unit = (part or "" for part in found.group("whole", "fraction", "unit"))
    bare = whole.replace(",", "")
    for said in (f"{whole}{fraction}{unit}", f"{bare}{fraction}{unit}"):
        if len(said) <= width:
            return said
    room = width - len(bare) - len(unit) - 1
    if fraction and room > 1:
        return f"{bare}{fraction[:room]}…{unit}"
    if len(bare) + len(unit) <= width:
        return f"{bare}{unit}"
    return TOO_WIDE * width

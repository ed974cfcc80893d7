"""A price ladder: the prices of a position from the highest to the lowest, spaced as they lie. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.status_line import Styles

#: The most lines between two prices: how they lie is seen without a page of nothing.
MOST_LINES = 16


@dataclass(frozen=True, slots=True)
class Level:
    """One price. ``style`` is the name of a style."""

    name: str
    price: Decimal
    style: str = ""
    note: str = ""


def ladder(
    levels: Sequence[Level], mark: Decimal | None, places: int, styles: Styles, lines: int = 12
) -> Text:
    """The levels from the highest down, each on a line of its own, with its distance from the mark."""
    ordered = sorted(levels, key=lambda level: level.price, reverse=True)
    text = Text()
    if not ordered:
        return text
    rows = place([level.price for level in ordered], max(lines, len(ordered)))
    width = max(len(fmt.number(level.price, places)) for level in ordered)
    at = dict(zip(rows, ordered, strict=True))
    for number in range(rows[-1] + 1):
        level = at.get(number)
        if level is None:
            text.append(f"{'':>{width}} │\n", style=styles["dim"])
            continue
        here = level.name == "mark"
        text.append(f"{fmt.number(level.price, places):>{width}} ", style=styles["strong" if here else "dim"])
        text.append("┼▸ " if here else "┤  ", style=styles["strong" if here else "dim"])
        text.append(f"{level.name:<12}", style=styles[level.style] if level.style else "")
        if mark and not here:
            away = fmt.percent((level.price - mark) / mark * 100)
            text.append(f"{away:>10}", style=styles["dim"])
        text.append(f"  {level.note}\n" if level.note else "\n", style=styles["dim"])
    return text


def place(prices: Sequence[Decimal], lines: int) -> list[int]:
    """On which line each price stands, from the highest down: in proportion, and never two on one."""
    highest, lowest = prices[0], prices[-1]
    span, count = highest - lowest, min(lines, MOST_LINES)
    rows: list[int] = []
    for index, price in enumerate(prices):
        share = (highest - price) / span if span else Decimal(0)
        wanted = int(share * (count - 1))
        after = len(prices) - 1 - index
        least = rows[-1] + 1 if rows else 0
        rows.append(max(least, min(wanted, count - 1 - after)))
    return rows

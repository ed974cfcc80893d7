"""Charts as text, drawn by plotext. Imported only by what shows one: it takes 190 ms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotext
from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.balances import Point

#: plotext colours by number; the words beside a curve say which it is.
REAL, PAPER = 110, 245


def balance_chart(points: Sequence[Point], width: int, height: int) -> Text:
    """An agent's balance over the session, and beside it what the same decisions came to on paper."""
    if len(points) < 2:
        return Text("the chart begins when the balance was seen twice")
    start = points[0][0]
    minutes = [(at - start) / 60_000 for at, _, _ in points]
    figure = _figure(width, height)
    figure.plot(
        minutes, [float(balance) for _, balance, _ in points], label="balance", marker="braille", color=REAL
    )
    paper = [(m, float(p)) for m, (_, _, p) in zip(minutes, points, strict=True) if p is not None]
    if len(paper) > 1:
        figure.plot(
            [m for m, _ in paper], [p for _, p in paper], label="on paper", marker="braille", color=PAPER
        )
    _axes(figure, [float(b) for _, b, _ in points] + [p for _, p in paper])
    figure.xticks([minutes[0], minutes[-1]], [fmt.clock(start), fmt.clock(points[-1][0])])
    return _text(figure)


def _axes(figure: Any, values: Sequence[float]) -> None:
    """The least and the most, each named on its line; plotext's own ticks stand beside other lines in a chart
    this low."""
    least, most = min(values), max(values)
    room = 0.0 if most > least else 1.0
    figure.ylim(least - room, most + room)
    ticks = sorted({least, most})
    figure.yticks(ticks, [f"{tick:,.2f}" for tick in ticks])


def bars(names: Sequence[str], values: Sequence[float], title: str, width: int) -> Text:
    """One bar per name."""
    figure = _figure(width, max(6, 2 * len(names) + 4))
    figure.bar(list(names), list(values), orientation="horizontal", width=0.5, color=REAL)
    figure.title(title)
    return _text(figure)


def _figure(width: int, height: int) -> Any:
    figure = plotext
    figure.clear_figure()
    figure.plotsize(width, height)
    figure.theme("clear")
    figure.grid(False, False)
    return figure


def _text(figure: Any) -> Text:
    return Text.from_ansi(figure.build(), no_wrap=True)

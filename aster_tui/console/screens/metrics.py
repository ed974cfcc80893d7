"""How well orders go through and how the fleet fares: charts and figures by window."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from aster_tui.console import format as fmt
from aster_tui.console.details import Overlay
from aster_tui.console.screens.detail_parts import heading
from aster_tui.domain.metrics import WINDOWS, Metrics
from aster_tui.domain.views import FleetSnapshot

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

NAMES = tuple(WINDOWS)
#: Charts are drawn anew this often at most: they change by the minute.
REDRAWN_MS = 5_000
LINES = 10
MOST_AGENTS = 12


class MetricsScreen(Overlay):
    """The fleet's figures; left and right choose the window."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "window(-1)", show=False, id="metrics.previous"),
        Binding("right,tab", "window(1)", show=False, id="metrics.next"),
    ]

    def __init__(self, app: ConsoleApp) -> None:
        super().__init__("metrics", self._all)
        self._of = app
        self._window = 1
        self._kept: tuple[object, Text] = (None, Text())

    def action_window(self, by: int) -> None:
        """Another window."""
        self._window = (self._window + by) % len(NAMES)
        self.follow()

    def _all(self, width: int) -> Text:
        app = self._of
        made_of = (self._window, width, app.now() // REDRAWN_MS, app.newest().metrics)
        if self._kept[0] != made_of:
            self._kept = made_of, self._drawn_anew(width)
        return self._kept[1].copy()

    def _drawn_anew(self, width: int) -> Text:
        app, snapshot, window = self._of, self._of.newest(), NAMES[self._window]
        styles = app.looks
        text = Text()
        for name in NAMES:
            text.append(f" {name} ", style=styles["tab" if name == window else "dim"])
        text.append("   ← → another window\n", style=styles["dim"])
        whole = snapshot.metrics.get(("", window))
        heading(text, "the fleet", styles)
        text.append_text(_figures(whole, styles))
        text.append_text(self._charts(snapshot, window, width))
        return text

    def _charts(self, snapshot: FleetSnapshot, window: str, width: int) -> Text:
        from aster_tui.console.charts import balance_chart, bars  # 190 ms, and only for who looks at one

        styles, text = self._of.looks, Text()
        by_agent = {
            agent: figures
            for (agent, name), figures in snapshot.metrics.items()
            if agent and name == window and figures.orders
        }
        agents = sorted(by_agent, key=lambda a: -by_agent[a].orders)[:MOST_AGENTS]
        for title, values in (
            ("orders", {a: float(by_agent[a].orders) for a in agents}),
            ("latency p95, ms", {a: float(by_agent[a].latency_p95 or 0) for a in agents}),
            ("slippage p95, bp", {a: float(by_agent[a].slippage_p95 or 0) for a in agents}),
            ("fees, USDT", {a: float(by_agent[a].commission) for a in agents}),
        ):
            if values:
                text.append("\n")
                text.append_text(bars(list(values), list(values.values()), title, width))
                text.append("\n")
        for agent in snapshot.agents:
            if agent.mode == "real":
                heading(text, f"{fmt.one_line(agent.name)}: balance over this session, USDT", styles)
                text.append_text(balance_chart(self._of.balances.of(agent.key), width, LINES))
                text.append("\n")
        return text


def _figures(figures: Metrics | None, styles: dict[str, str]) -> Text:
    text = Text()
    if figures is None or not figures.orders:
        return Text("no order was sent in this window\n", style=styles["dim"])
    success = "" if figures.success is None else f"{figures.success * 100:.1f} %"
    rows = [
        ("orders", f"{figures.orders}, {figures.placed} placed, {figures.doubted} doubted"),
        ("success", success or fmt.UNKNOWN),
        ("slippage", _slippage(figures)),
        ("latency", _latency(figures)),
        ("fees", f"{fmt.number(figures.commission, 4)} USDT"),
        ("realized", f"{fmt.signed(figures.realized)} USDT"),
        (
            "errors",
            ", ".join(f"{fmt.one_line(kind)} ×{n}" for kind, n in sorted(figures.errors.items())) or "none",
        ),
    ]
    for name, value in rows:
        text.append(f"{name:<10}", style=styles["dim"])
        text.append(f"{value}\n")
    return text


def _latency(figures: Metrics) -> str:
    if figures.latency_p50 is None:
        return fmt.UNKNOWN
    return f"{figures.latency_p50} / {figures.latency_p95} / {figures.latency_p99} ms, p50 / p95 / p99"


def _slippage(figures: Metrics) -> str:
    if figures.slippage_average is None or figures.slippage_p95 is None:
        return fmt.UNKNOWN
    return f"{fmt.signed(figures.slippage_average)} bp on average, {fmt.signed(figures.slippage_p95)} bp p95"

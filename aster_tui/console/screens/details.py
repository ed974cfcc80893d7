"""The detail screens: all there is to know of the row under the cursor, followed while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from aster_tui.console.details import Overlay, row_details
from aster_tui.console.screens.detail_parts import agent_parts, heading, order_parts, position_parts

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

CHART_LINES = 12


class DetailScreen(Overlay):
    """Details of one row.

    Args:
        pane: whose row it is.
        key: the row's key.
    """

    def __init__(self, app: ConsoleApp, pane: str, key: str) -> None:
        super().__init__({"errors": "error"}.get(pane, pane.removesuffix("s")), self._all)
        self._of, self._pane, self._key = app, pane, key
        self._chart: tuple[object, Text] = (None, Text())

    def _all(self, width: int) -> Text:
        app = self._of
        found = row_details(app.newest(), self._pane, self._key, app.now(), app.looks, width)
        if found is None:
            return Text("It is gone.", style=app.looks["dim"])
        if self._pane == "agents":
            heading(found, "balance over this session, USDT", app.looks)
            found.append_text(self._charted(width))
            found.append("\n")
        return found.append_text(self._more(width))

    def _more(self, width: int) -> Text:
        app, snapshot = self._of, self._of.newest()
        if self._pane == "agents":
            agent = next((a for a in snapshot.agents if a.key == self._key), None)
            return agent_parts(snapshot, agent, app.now(), app.looks, width) if agent else Text()
        if self._pane == "positions":
            position = next((p for p in snapshot.positions if p.key == self._key), None)
            return position_parts(snapshot, position, app.looks, width) if position else Text()
        if self._pane == "orders":
            order = next((o for o in snapshot.orders if o.key == self._key), None)
            return order_parts(order, app.looks, width) if order else Text()
        return Text()

    def _charted(self, width: int) -> Text:
        from aster_tui.console.charts import balance_chart  # 190 ms, and only for who looks at one

        points = self._of.balances.of(self._key)
        made_of = (points[-1:], len(points), width)
        if self._chart[0] != made_of:
            self._chart = made_of, balance_chart(points, width, CHART_LINES)
        return self._chart[1].copy()

"""The operators' panes: the command log, and who is attached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from aster_tui.console import format as fmt
from aster_tui.console.listing import facts
from aster_tui.console.pane import Pane
from aster_tui.console.widgets.grid import UNDER, Column, Row
from aster_tui.domain.views import ConsoleView, FleetSnapshot

if TYPE_CHECKING:
    from aster_tui.domain.command_log import CommandView

#: The style of each state.
STATES = {
    "done": "profit",
    "running": "strong",
    "asked": "dim",
    "refused": "warn",
    "failed": "alarm",
    "unknown": "alarm",
    "unreachable": "alarm",
}


class CommandsPane(Pane):
    """Every request of an operator, newest first: what, by whom, what came of it, and the command line that
    does the same."""

    NAME = "Commands"
    EMPTY = "Nobody asked for anything yet."
    NEWEST_FIRST = True
    COLUMNS = (
        Column("time", 8),
        Column("who", 16, rank=1),
        Column("state", 11),
        Column("what", 24, grows=True),
    )

    SORTS: ClassVar[Mapping[str, Callable[[CommandView], Any]]] = {
        "time": lambda c: c.at,
        "who": lambda c: (c.operator, c.host),
        "state": lambda c: c.state,
        "what": lambda c: c.title.lower(),
    }

    def __init__(self) -> None:
        super().__init__()
        self._joined: tuple[object, object, tuple[CommandView, ...]] = (None, None, ())

    def views(self, snapshot: FleetSnapshot) -> Sequence[CommandView]:
        """The requests of this console and the audit's lines of all, joined."""
        if self._joined[0] is not snapshot.requests or self._joined[1] is not snapshot.audit:
            from aster_tui.domain.command_log import command_log

            views = command_log(snapshot.requests, snapshot.audit)
            self._joined = snapshot.requests, snapshot.audit, views
        return self._joined[2]

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many, and how many are under way."""
        views = self.views(snapshot)
        running = sum(view.state == "running" for view in views)
        return (f"Commands {len(views)}" if views else "Commands"), f"{running} under way" if running else ""

    def owners_of(self, view: CommandView) -> Sequence[str]:
        """A request may be about many agents: it selects none."""
        return ()

    def rows_of(self, view: CommandView, now: int) -> tuple[Row, ...]:
        """What, the command line, the answer."""
        who = f"{view.operator}@{view.host}" if view.operator else "this console"
        cells = (fmt.clock(view.at), fmt.one_line(who), view.state, fmt.one_line(view.title))
        rows = [Row(view.key, cells, ("dim", "strong" if view.mine else "", STATES.get(view.state, ""), ""))]
        if view.words:
            rows.append(Row(f"{view.key}{UNDER}1", (), ("dim",), span=f"$ {fmt.one_line(view.words)}"))
        if view.answer:
            style = "" if view.state in ("done", "running") else STATES.get(view.state, "")
            rows.append(Row(f"{view.key}{UNDER}2", (), (style,), span=f"→ {fmt.one_line(view.answer)}"))
        return tuple(rows)

    def facts_of(self, view: CommandView) -> Mapping[str, str]:
        """Who, state, source, and what it says."""
        return facts(
            agent=f"{view.operator}@{view.host}",
            status=view.state,
            source=view.source,
            says=f"{view.title} {view.words} {view.answer}",
        )


class OperatorsPane(Pane):
    """The consoles that are attached."""

    NAME = "Operators"
    EMPTY = "Nobody is seen: that takes MongoDB."
    COLUMNS = (
        Column("operator", 13, grows=True),
        Column("host", 12),
        Column("armed", 6),
        Column("since", 8),
        Column("seen", 5, "right", rank=1),
    )

    SORTS: ClassVar[Mapping[str, Callable[[ConsoleView], Any]]] = {
        "operator": lambda c: c.operator.lower(),
        "host": lambda c: c.host.lower(),
        "armed": lambda c: c.armed,
        "since": lambda c: c.since,
        "seen": lambda c: c.seen_at,
    }

    def views(self, snapshot: FleetSnapshot) -> Sequence[ConsoleView]:
        """All that are attached."""
        return snapshot.consoles

    def key_of(self, view: ConsoleView) -> str:
        """The console's id."""
        return view.console_id

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """How many, and how many of them are armed."""
        armed = sum(console.armed for console in snapshot.consoles)
        count = len(snapshot.consoles)
        return (f"Operators {count}" if count else "Operators"), f"{armed} armed" if armed else ""

    def owners_of(self, view: ConsoleView) -> Sequence[str]:
        """An operator is no agent."""
        return ()

    def basis_of(self, view: ConsoleView, now: int) -> object:
        """The console, and how long ago it was seen."""
        return view, fmt.age(now - view.seen_at)

    def rows_of(self, view: ConsoleView, now: int) -> tuple[Row, ...]:
        """One row per console."""
        who = f"{fmt.one_line(view.operator)}{' (you)' if view.mine else ''}"
        return (
            Row(
                view.console_id,
                (
                    who,
                    fmt.one_line(view.host),
                    "ARMED" if view.armed else fmt.NOTHING,
                    fmt.clock(view.since),
                    fmt.age(now - view.seen_at),
                ),
                ("strong" if view.mine else "", "", "alarm" if view.armed else "dim", "dim", "dim"),
            ),
        )

    def facts_of(self, view: ConsoleView) -> Mapping[str, str]:
        """Who, where, armed."""
        return facts(agent=view.operator, source=view.host, status="armed" if view.armed else "")

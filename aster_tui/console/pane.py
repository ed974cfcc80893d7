"""A pane: one list of a snapshot, filtered, sorted and marked as the operator wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aster_tui.console.listing import Filter, ordered
from aster_tui.console.widgets.grid import DESCENDING, UNDER, Column, Grid, Row
from aster_tui.domain.views import AgentView, FleetSnapshot

#: How many views' rows are kept before they are made anew.
KEPT = 4_000


@dataclass(slots=True)
class PaneState:
    """What the operator chose for a pane: remembered from one start to the next."""

    filter: Filter = field(default_factory=Filter)
    sort: str | None = None
    descending: bool = True
    columns: tuple[str, ...] = ()


@dataclass(slots=True)
class _Kept:
    """What was made of a view: it holds until the view, or what else it was made of, is another."""

    basis: object
    rows: tuple[Row, ...]
    shown_by: Filter | None = None
    shown: bool = True


class Pane(Grid):
    """A grid with a title that follows a snapshot.

    A subclass says which views it shows (:meth:`views`, :meth:`key_of`), how one becomes rows
    (:meth:`rows_of`), what a filter finds in it (:meth:`facts_of`) and how columns sort (``SORTS``).
    """

    NAME: ClassVar[str] = ""
    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    EMPTY: ClassVar[str] = ""
    NEWEST_FIRST: ClassVar[bool] = False
    SORTS: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def __init__(self) -> None:
        super().__init__(self.COLUMNS, empty=self.EMPTY, id=self.NAME.lower(), newest_first=self.NEWEST_FIRST)
        self.state = PaneState()
        #: The views as they are shown, and how many the filter hides.
        self.shown_views: tuple[Any, ...] = ()
        self.hidden = 0
        self.marks: dict[str, None] = {}
        self._known: dict[str, _Kept] = {}
        self.border_title = self.NAME

    # What a subclass says

    def views(self, snapshot: FleetSnapshot) -> Sequence[Any]:
        """All there is to show, in its own order."""
        raise NotImplementedError

    def key_of(self, view: Any) -> str:
        """A view's key."""
        return str(view.key)

    def owners_of(self, view: Any) -> Sequence[str]:
        """The ids or names of the agents a view is about."""
        return (view.agent or "").split("+")

    def basis_of(self, view: Any, now: int) -> object:
        """What a view's rows are made of."""
        return view

    def rows_of(self, view: Any, now: int) -> tuple[Row, ...]:
        """The rows of a view."""
        raise NotImplementedError

    def facts_of(self, view: Any) -> Mapping[str, str]:
        """What a filter can find."""
        raise NotImplementedError

    def totals_of(self, views: Sequence[Any]) -> tuple[Row, ...]:
        """The sums of what is shown."""
        return ()

    def titles(self, snapshot: FleetSnapshot) -> tuple[str, str]:
        """Border title and subtitle."""
        raise NotImplementedError

    # What is shown

    def show(self, snapshot: FleetSnapshot, now: int) -> None:
        """Show a snapshot at ``now`` (Unix ms)."""
        views = self.views(snapshot)
        if len(self._known) > KEPT:
            self._known.clear()
        made = [(view, self._made(view, now)) for view in views]
        if self.marks:
            there = {self.key_of(view) for view in views}
            self.marks = {key: None for key in self.marks if key in there}
        chosen = self.state.filter
        if chosen:
            made = [(view, kept) for view, kept in made if self._passes(view, kept, chosen)]
        shown = tuple(view for view, _ in made)
        sort = self.SORTS.get(self.state.sort or "")
        if sort is not None:
            shown = tuple(ordered(shown, sort, descending=self.state.descending))
            rows = tuple(row for view in shown for row in self._known[self.key_of(view)].rows)
        else:
            rows = tuple(row for _, kept in made for row in kept.rows)
        self.shown_views, self.hidden = shown, len(views) - len(shown)
        self.point_at(self.state.sort, self.state.descending)
        self.show_marks(frozenset(self.marks))
        self.show_totals(self.totals_of(shown))
        self.show_rows(rows)
        self._entitle(snapshot)

    def _made(self, view: Any, now: int) -> _Kept:
        key, basis = self.key_of(view), self.basis_of(view, now)
        kept = self._known.get(key)
        if kept is None or kept.basis != basis:
            kept = self._known[key] = _Kept(basis, self.rows_of(view, now))
        return kept

    def _passes(self, view: Any, kept: _Kept, chosen: Filter) -> bool:
        if kept.shown_by != chosen:
            kept.shown_by, kept.shown = chosen, chosen.shows(self.facts_of(view))
        return kept.shown

    def _entitle(self, snapshot: FleetSnapshot) -> None:
        title, subtitle = self.titles(snapshot)
        state = self.state
        if state.filter:
            title += f" · /{state.filter.text} hides {self.hidden}"
        parts = []
        if self.marks:
            away = self.hidden_marks
            parts.append(f"{len(self.marks)} marked{f', {away} of them hidden' if away else ''}")
        if state.sort:
            parts.append(f"by {state.sort} {DESCENDING if state.descending else '▲'}")
        elif self.NEWEST_FIRST and self.shown_views:
            parts.append("follows" if self.following else "stands still, f follows")
        subtitle = " · ".join((*parts, *([subtitle] if subtitle else ())))
        if self.border_title != title:
            self.border_title = title
        if (self.border_subtitle or "") != subtitle:
            self.border_subtitle = subtitle

    # What the operator chooses

    @property
    def cursor_key(self) -> str | None:
        """The key of the view under the cursor."""
        row = self.cursor_row
        return row.owner if row is not None else None

    @property
    def cursor_view(self) -> Any:
        """The view under the cursor, as it was shown; None without one."""
        key = self.cursor_key
        return next((view for view in self.shown_views if self.key_of(view) == key), None)

    @property
    def selected(self) -> tuple[str, ...]:
        """The keys of the marked rows, also of those a filter hides; without marks the cursor's."""
        if self.marks:
            return tuple(self.marks)
        return (self.cursor_key,) if self.cursor_key is not None else ()

    @property
    def hidden_marks(self) -> int:
        """How many marked rows the filter hides."""
        return len(self.marks.keys() - {self.key_of(view) for view in self.shown_views})

    def agents_of(self, snapshot: FleetSnapshot, keys: Sequence[str]) -> tuple[AgentView, ...]:
        """The agents that these rows are about, each once, in the rows' order."""
        views = {self.key_of(view): view for view in self.views(snapshot)}
        wanted = [self.owners_of(views[key]) for key in keys if key in views]
        by_name = {name: agent for agent in snapshot.agents for name in (agent.key, agent.name)}
        found = {
            by_name[owner].key: by_name[owner] for owners in wanted for owner in owners if owner in by_name
        }
        return tuple(found.values())

    def toggle_mark(self) -> None:
        """Mark the cursor's row, or take its mark away, and go on to the next one."""
        key = self.cursor_key
        if key is None:
            return
        if key in self.marks:
            del self.marks[key]
        else:
            self.marks[key] = None
        following = self.following
        for index in range(self._cursor + 1, len(self.rows)):
            if UNDER not in self.rows[index].key:
                self._move_to(index)
                break
        # Marking is not reading on: but whoever marks wants the rows to stay where they are.
        self.following = following and not self.marks

    def mark_all(self) -> None:
        """Mark every row that is shown; when all are, none."""
        keys = {self.key_of(view): None for view in self.shown_views}
        self.marks = {} if keys.keys() <= self.marks.keys() else {**self.marks, **keys}

    def sort_on(self, by: int) -> None:
        """Sort by the next or the previous column; beyond the last is the list's own order."""
        titles = [c.title for c in self.columns if c.title in self.SORTS]
        choices: list[str | None] = [None, *titles]
        here = choices.index(self.state.sort) if self.state.sort in choices else 0
        self.state.sort = choices[(here + by) % len(choices)]
        # Names from A, figures and times from the largest: what one looks for is on top.
        column = next((c for c in self.columns if c.title == self.state.sort), None)
        self.state.descending = column is None or column.align != "left" or column.title == "time"
        if self.NEWEST_FIRST:
            self.following = self.state.sort is None and self._cursor == 0

    def follow(self) -> bool:
        """Follow the newest row, or stand still. Returns whether it follows now."""
        self.following = not self.following
        if self.following:
            self.action_edge(0)
        return self.following

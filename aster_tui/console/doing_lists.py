"""The actions of a list: filter, sort, columns, marks, follow; copy, export, screenshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aster_tui.console.actions import SCREEN_ONLY, Action, Context, Handler

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

LOGS = ("orders", "errors")


def _no_row(context: Context) -> str:
    return "" if context.row is not None else "nothing is selected"


def _no_state(context: Context) -> str:
    return "" if context.state_folder is not None else "there is no state folder to write to"


ACTIONS: tuple[Action, ...] = (
    Action(
        *("filter", "filter: text, agent:X symbol:Y status:Z; ! first shows all others", "slash", "/"),
        hint=3,
        short="filter",
        alone=SCREEN_ONLY,
    ),
    Action("filter.clear", "clear the filter", "escape", "esc", alone=SCREEN_ONLY),
    Action("sort.next", "sort by the next column", "greater_than_sign", ">", alone=SCREEN_ONLY),
    Action("sort.previous", "sort by the column before", "less_than_sign", "<", alone=SCREEN_ONLY),
    Action("sort.reverse", "reverse the order", "I", "I", alone=SCREEN_ONLY),
    Action("columns", "choose and order the columns", "C", "C", alone=SCREEN_ONLY),
    Action("mark", "mark the row", "space", "space", unavailable=_no_row, alone=SCREEN_ONLY),
    Action("mark.all", "mark every row that is shown, or none", "A", "A", alone=SCREEN_ONLY),
    Action(
        *("follow", "follow the newest line, or stand still", "f", "f"),
        panes=LOGS,
        hint=3,
        short="follow",
        command="aster-tui log orders --follow",
    ),
    Action(
        *("copy.row", "copy the row to the clipboard (OSC 52)", "y", "y"),
        unavailable=_no_row,
        alone=SCREEN_ONLY,
    ),
    Action(
        *("copy.cell", "copy one field of the row", "Y", "Y"),
        unavailable=_no_row,
        alone=SCREEN_ONLY,
    ),
    Action(
        *("export", "export what is shown as CSV", "E", "E"),
        unavailable=_no_state,
        command="aster-tui status --json",
    ),
    Action(
        *("screenshot", "keep a picture of the screen (SVG)", "ctrl+s", "ctrl+s"),
        unavailable=_no_state,
        alone=SCREEN_ONLY,
    ),
)


def _filter(app: ConsoleApp) -> None:
    if app.frame.filter_line is not None:
        app.frame.filter_line.open_for(app.pane)


def _clear_filter(app: ConsoleApp) -> None:
    if app.frame.filter_line is not None:
        app.frame.filter_line.clear_filter(app.pane)


def _sort(by: int) -> Handler:
    def do(app: ConsoleApp) -> None:
        app.pane.sort_on(by)
        app.chose()

    return do


def _reverse(app: ConsoleApp) -> None:
    state = app.pane.state
    if state.sort is None:
        app.say("> chooses a column to sort by first")
        return
    state.descending = not state.descending
    app.chose()


def _columns(app: ConsoleApp) -> None:
    from aster_tui.console.columns import ColumnsDialog

    app.push_screen(ColumnsDialog(app.pane, app.chose))


def _mark(app: ConsoleApp) -> None:
    app.pane.toggle_mark()
    app.chose()


def _mark_all(app: ConsoleApp) -> None:
    app.pane.mark_all()
    app.chose()


def _follow(app: ConsoleApp) -> None:
    pane = app.pane
    if pane.state.sort is not None:
        app.say(f"sorted by {pane.state.sort}: the newest line is not on top")
        return
    app.say("follows the newest line" if pane.follow() else "stands still")
    app.chose()


def _copy_row(app: ConsoleApp) -> None:
    from aster_tui.console.take import row_text

    view = app.pane.cursor_view
    if view is not None:
        app.copy_to_clipboard(row_text(view))
        app.say("copied the row: all its fields, one a line")


def _copy_cell(app: ConsoleApp) -> None:
    from aster_tui.console.take import FieldsDialog

    view = app.pane.cursor_view
    if view is not None:
        app.push_screen(FieldsDialog(view))


def _export(app: ConsoleApp) -> None:
    from aster_tui.console.take import ExportDialog

    if app.options.state_folder is not None:
        app.push_screen(ExportDialog(app.pane, app.options.state_folder, app.now()))


def _screenshot(app: ConsoleApp) -> None:
    from aster_tui.console.take import keep_screenshot

    if app.options.state_folder is not None:
        keep_screenshot(app, app.options.state_folder)


HANDLERS: Mapping[str, Handler] = {
    "filter": _filter,
    "filter.clear": _clear_filter,
    "sort.next": _sort(1),
    "sort.previous": _sort(-1),
    "sort.reverse": _reverse,
    "columns": _columns,
    "mark": _mark,
    "mark.all": _mark_all,
    "follow": _follow,
    "copy.row": _copy_row,
    "copy.cell": _copy_cell,
    "export": _export,
    "screenshot": _screenshot,
}

"""Taking things out of the console: a row, a field, a list as CSV, a picture of the screen."""

from __future__ import annotations

import asyncio
import csv
import os
import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from aster_tui.console import format as fmt
from aster_tui.console.layer import Layer
from aster_tui.console.pane import Pane
from aster_tui.console.widgets.field import Field
from aster_tui.console.widgets.picker import Picker

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp

#: Fields that are times in Unix ms; they are written as ISO 8601 in UTC.
TIMES = frozenset({"at", "opened_at", "sync_at", "ended_at", "since", "seen_at", "wallet_at"})
#: A path takes longer to read than other notices.
SAID_SECONDS = 20.0


def record(view: Any) -> dict[str, str]:
    """All fields of a view as exact texts: decimals as they are, times in UTC, nothing rounded."""
    found: dict[str, str] = {}
    for field in fields(view):
        value = getattr(view, field.name)
        if is_dataclass(value):
            found |= {
                f"{field.name}_{name}": _timed(f"{field.name}_{name}", text)
                for name, text in record(value).items()
            }
        else:
            found[field.name] = _timed(field.name, _exact(value))
    return found


def _exact(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "; ".join(str(item) for item in value)
    return str(value)


def _timed(name: str, text: str) -> str:
    if name not in TIMES or not text.isdigit():
        return text
    return datetime.fromtimestamp(int(text) / 1000, UTC).isoformat(timespec="milliseconds")


def row_text(view: Any) -> str:
    """A view for the clipboard: one field a line."""
    return "\n".join(f"{name}: {fmt.one_line(text)}" for name, text in record(view).items())


def write_csv(path: Path, views: Sequence[Any]) -> int:
    """Write views as CSV into a new file that is the operator's alone. Returns how many rows.

    Raises:
        OSError: it exists already, or cannot be written.
    """
    path = path.expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        rows = [record(view) for view in views]
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows({name: _harmless(text) for name, text in row.items()} for row in rows)
    return len(rows)


def _harmless(text: str) -> str:
    """A text that a spreadsheet would take for a formula, as a text: names come from elsewhere."""
    starts_formula = text[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{text}" if starts_formula and not re.fullmatch(r"-?[0-9.]+", text) else text


class FieldsDialog(Picker):
    """Chooses the field of a row to copy."""

    HEADING = "copy a field"
    HINT = "enter copies · esc closes"

    def __init__(self, view: Any) -> None:
        super().__init__()
        self._fields = list(record(view).items())

    def lines(self) -> list[Text]:
        """Each field with its value."""
        widest = max(len(name) for name, _ in self._fields)
        return [Text(f"{name:<{widest}}  {fmt.one_line(value)}") for name, value in self._fields]

    def choose(self, index: int) -> None:
        """Copy it."""
        name, value = self._fields[index]
        self.app.copy_to_clipboard(value)
        self.dismiss()
        cast("ConsoleApp", self.app).say(f"copied {name}")


class ExportDialog(Layer):
    """Asks where the CSV goes, and says where it went."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", show=False, id="export.close"),
    ]
    AUTO_FOCUS: ClassVar[str | None] = "#path"

    def __init__(self, pane: Pane, folder: Path, now: int) -> None:
        super().__init__()
        views = pane.shown_views
        self._views = [v for v in views if pane.key_of(v) in pane.marks] if pane.marks else list(views)
        self._what = f"{len(self._views)} {'marked ' if pane.marks else ''}{pane.NAME.lower()}"
        self._hidden = pane.hidden
        name = f"{pane.NAME.lower()}-{datetime.fromtimestamp(now / 1000):%Y%m%d-%H%M%S}.csv"
        self._path = folder / "exports" / name

    def compose(self) -> ComposeResult:
        """What is exported, and the path."""
        with Vertical(id="frame") as frame:
            frame.border_title = "export as CSV"
            frame.border_subtitle = "enter writes · esc closes"
            hidden = f"; the filter hides {self._hidden} more" if self._hidden else ""
            yield Static(f"{self._what}{hidden}, into:", id="text", markup=False)
            yield Field(str(self._path), longest=1000, id="path")

    async def on_input_submitted(self) -> None:
        """Write it."""
        path = Path(self.query_one("#path", Field).value.strip())
        try:
            count = await asyncio.to_thread(write_csv, path, self._views)
        except OSError as error:
            said = "it exists already" if isinstance(error, FileExistsError) else error.strerror or error
            self.query_one("#text", Static).update(Text(f"not written: {said}"))
            return
        self.dismiss()
        cast("ConsoleApp", self.app).say(f"{count} rows are in {path}", seconds=SAID_SECONDS)


def screenshot(app: ConsoleApp) -> str:
    """The screen as SVG. It fetches nothing: the reader's own monospaced font will do."""
    return re.sub(r"@font-face \{.*?\}\s*", "", app.export_screenshot(title="aster-tui"), flags=re.DOTALL)


def keep_screenshot(app: ConsoleApp, folder: Path) -> None:
    """Write a picture of the screen into a folder, and say where it is."""
    drawn = screenshot(app)
    path = folder / "screenshots" / f"console-{datetime.fromtimestamp(app.now() / 1000):%Y%m%d-%H%M%S}.svg"

    async def keep() -> None:
        try:
            await asyncio.to_thread(_write, path, drawn)
        except OSError as error:
            app.say(f"no screenshot: {error.strerror or error}: {path}")
            return
        app.say(f"the screenshot is in {path}", seconds=SAID_SECONDS)

    app.run_worker(keep(), exit_on_error=False)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)

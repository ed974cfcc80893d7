"""How this console looks and what it remembers of that: theme, layout, filters, columns, sorting."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from textual.app import App
from textual.filter import Monochrome, NoColor

from aster_tui.console import theme
from aster_tui.console.remembered import Remembered, memory_file, recall, remember, written
from aster_tui.console.status_line import Styles

if TYPE_CHECKING:
    from pathlib import Path

    from aster_tui.console.app import ConsoleApp

log = logging.getLogger(__name__)

#: How long after the last choice it is written down.
WRITE_SECONDS = 1.0


class Comfort:
    """The looks of one console. What the operator chose is given back at the next start."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        options = app.options
        self._path: Path | None = None
        self._found = Remembered()
        if options.state_folder is not None and options.profile:
            self._path = memory_file(options.state_folder, options.profile)
            self._found = recall(self._path)
        self._on_disk = ""
        self._begun = False
        wished = self._found.theme or options.theme
        self.theme = wished if wished in theme.PALETTES else theme.DEFAULT
        if app.no_color:  # Textual would turn colours into greys, which are colours, too
            app._filters = [NoColor() if isinstance(f, Monochrome) else f for f in app._filters]
        # Before anything is mounted: a theme set later would style every widget a second time.
        for name in theme.PALETTES:
            app.register_theme(theme.theme(name))
        app.set_reactive(App.theme, f"aster-{self.theme}")
        # The style sheet has not been read yet, but has the colours of the theme that was there before.
        app.stylesheet.set_variables(app.get_css_variables())

    @property
    def styles(self) -> Styles:
        """The styles of lines and overlays."""
        return theme.styles_of(self.theme)

    def choose_theme(self, name: str) -> None:
        """Look different from now on."""
        self.theme = name
        self._app.theme = f"aster-{name}"
        self._app.refresh_lines()
        self.changed()

    def begin(self) -> str:
        """Give the panes what was remembered of them. Returns what is to be said of that."""
        for name, pane in self._app.frame.panes.items():
            state = self._found.panes.get(name)
            if state is not None:
                state.sort = state.sort if state.sort in pane.SORTS else None
                pane.state = state
                pane.choose_columns(state.columns)
                if pane.NEWEST_FIRST and state.sort is not None:
                    pane.following = False
        if self._found.active in self._app.frame.panes:
            self._app.activate(self._found.active)
        self._on_disk, self._begun = self._now(), True
        return self._found.word

    def changed(self) -> None:
        """Something was chosen: write it down soon."""
        if self._path is not None:
            self._app.run_worker(self._soon(), group="comfort", exclusive=True, exit_on_error=False)

    async def _soon(self) -> None:
        await asyncio.sleep(WRITE_SECONDS)
        text = self._now()
        if self._path is None or text == self._on_disk:
            return
        try:
            await asyncio.to_thread(remember, self._path, text)
        except OSError as error:
            self._app.say(f"the layout will not be remembered: {error.strerror or error}")
            self._path = None
            return
        self._on_disk = text

    def end(self) -> None:
        """Write down what was chosen last; called as the console leaves."""
        if self._path is None or not self._begun or self._now() == self._on_disk:
            return
        try:
            remember(self._path, self._now())
        except OSError as error:
            log.warning("the layout is not remembered: %s", error)

    def _now(self) -> str:
        panes = {name: pane.state for name, pane in self._app.frame.panes.items()}
        return written(self.theme, self._app.pane.id or "", panes)

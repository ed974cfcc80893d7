"""The console: panes over snapshots of an engine that runs elsewhere.

Nothing here talks to a network or a database. The engine's thread only says that there is something new;
a clock of this loop then looks at the snapshot, and each pane paints the rows that changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from aster_tui.console import format as fmt
from aster_tui.console import terminal
from aster_tui.console.actions import BY_ID, Context, bindings
from aster_tui.console.panes import AgentsPane, ErrorsPane, OrdersPane, Pane, PositionsPane
from aster_tui.console.port import EnginePort
from aster_tui.console.status_line import footer, header, tabs
from aster_tui.console.theme import STYLES, THEME
from aster_tui.console.widgets.grid import Grid
from aster_tui.console.widgets.line import Line
from aster_tui.domain.commands import SyncAgents
from aster_tui.domain.events import ALARMS
from aster_tui.domain.views import AgentView, FleetSnapshot
from aster_tui.locations import styles_path

#: How often the screen looks whether something changed.
TICK_SECONDS = 0.125
NOTICE_SECONDS = 5.0
NARROW_WIDTH, LOW_HEIGHT = 100, 30
LEAST_WIDTH, LEAST_HEIGHT = 60, 16
PANES = ("agents", "positions", "orders", "errors")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ConsoleApp(App[None]):
    """The operator's console.

    Args:
        engine: what is shown and commanded; started after the first paint.
        note: a word beside the network, such as ``demo``.
        clock: Unix ms; another one makes tests and pictures repeatable.
    """

    TITLE = "aster-tui"
    CSS_PATH = None
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings()
    AUTO_FOCUS: ClassVar[str | None] = "#agents"

    def __init__(self, engine: EnginePort, *, note: str = "", clock: Callable[[], int] = _now_ms) -> None:
        super().__init__(css_path=[styles_path()])
        # Before anything is mounted: a theme set later would style every widget a second time.
        self.register_theme(THEME)
        self.theme = THEME.name
        self._engine = engine
        self._note = note
        self._clock = clock
        self._shown: FleetSnapshot | None = None
        self._second = -1
        self._notice = ""
        self._notice_until = 0
        self._active = PANES[0]
        self._told_failure = False
        #: What is older was there before, or was rung for.
        self._rung_at = clock()
        self._looked_at_terminal = 0.0
        #: How often painting was held because the terminal did not read.
        self.held = 0

    # Screen

    def compose(self) -> ComposeResult:
        """Header, tabs (narrow screens), the four panes, footer, and the word for a screen too small."""
        yield Line(id="header")
        yield Line(id="tabs")
        with Vertical(id="panes"):
            with Horizontal(id="top", classes="active"):
                first = AgentsPane()
                first.add_class("active")
                yield first
                yield PositionsPane()
            with Horizontal(id="bottom"):
                yield OrdersPane()
                yield ErrorsPane()
        yield Line(id="footer")
        yield Line(id="small")

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The style sheet's own variables, also before the theme is set."""
        return THEME.variables

    def on_mount(self) -> None:
        """Show the first frame, then start the engine."""
        self._pane(PANES[0]).focus()
        self.set_interval(TICK_SECONDS, self._tick)
        self.call_after_refresh(self._started)

    def _started(self) -> None:
        self._tick()
        self._engine.start()

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the size."""
        size = event.size
        small = size.width < LEAST_WIDTH or size.height < LEAST_HEIGHT
        self.screen_stack[0].set_class(small, "small")
        narrow = size.width < NARROW_WIDTH or size.height < LOW_HEIGHT
        self.screen_stack[0].set_class(narrow, "narrow")
        if small:
            words = f"{size.width}×{size.height} is too small: {LEAST_WIDTH}×{LEAST_HEIGHT} is needed"
            self._line("small").say(Text(words, style=STYLES["warn"]))
        self._repaint()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane with the focus is the active one."""
        if isinstance(event.widget, Pane):
            self._active = event.widget.id or PANES[0]
            self._mark_active()
            self._lines(self._clock())

    def _activate(self, name: str) -> None:
        self._active = name
        self._mark_active()
        self._pane(name).focus()

    def _mark_active(self) -> None:
        for name in PANES:
            self._pane(name).set_class(name == self._active, "active")
        top = self._active in ("agents", "positions")
        self._base.query_one("#top").set_class(top, "active")
        self._base.query_one("#bottom").set_class(not top, "active")
        if self._shown is not None:
            self._show(self._pane(self._active), self._shown, self._clock())

    # The clock

    def _tick(self) -> None:
        """Look at the engine's newest snapshot, unless the terminal is behind."""
        self._look_at_terminal()
        if terminal.is_stalled(self._driver):
            self.held += 1
            return
        now = self._clock()
        snapshot = self._engine.snapshot()
        if self._engine.failure is not None and not self._told_failure:
            self._told_failure = True
            self.say(f"{self._engine.failure}: what is shown is the last that was known", lasting=True)
        if snapshot is self._shown and now // 1000 == self._second:
            return
        self._second = now // 1000
        self._shown = snapshot
        self._ring(snapshot, now)
        if self._covered and (follow := getattr(self.screen, "follow", None)):
            follow()
        for name in PANES:
            self._show(self._pane(name), snapshot, now)
        self._lines(now)

    def _ring(self, snapshot: FleetSnapshot, now: int) -> None:
        """A bell and a terminal notification for what must not be missed; not for what is old news."""
        for error in snapshot.errors:
            if error.at < self._rung_at:
                break  # newest first
            if error.source in ALARMS:
                self._rung_at = max(now, error.at + 1)
                self.say(f"! {error.message}")
                self.bell()
                terminal.notify(self._driver, fmt.one_line(error.message))
                break

    def _show(self, pane: Pane, snapshot: FleetSnapshot, now: int) -> None:
        if pane.size.height and pane.display and pane.region:  # a hidden pane does not paint
            pane.show(snapshot, now)

    def _lines(self, now: int) -> None:
        snapshot = self._shown or self._engine.snapshot()
        width = self.size.width
        self._line("header").say(header(snapshot, now, width, STYLES, self._note))
        self._line("tabs").say(tabs(self._active, snapshot, STYLES))
        notice = self._notice if now < self._notice_until else ""
        self._line("footer").say(footer(self.context(), width, STYLES, notice))

    def _repaint(self) -> None:
        self._second = -1
        self.call_after_refresh(self._tick)

    def _look_at_terminal(self) -> None:
        now = time.monotonic()
        if now - self._looked_at_terminal > 1:
            self._looked_at_terminal = now
            if not self.is_headless and terminal.is_gone():
                self.exit(return_code=129)

    # What the operator does

    def context(self) -> Context:
        """What the actions are judged by now."""
        snapshot = self._shown or self._engine.snapshot()
        return Context(snapshot, self._active, self._selected_agent(snapshot))

    def _selected_agent(self, snapshot: FleetSnapshot) -> AgentView | None:
        row = self._pane(self._active).cursor_row
        if row is None:
            return None
        key = row.key
        if self._active == "positions":
            position = next((p for p in snapshot.positions if p.key == key), None)
            key = position.agent_id.split("+")[0] if position else ""
        elif self._active != "agents":
            return None
        return next((a for a in snapshot.agents if a.key == key), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Under an overlay the console's own keys are silent: the overlay has the floor."""
        return not (action == "act" and self._covered)

    def action_act(self, action_id: str) -> None:
        """Do one action of the registry, or say why it cannot be done."""
        action = BY_ID[action_id]
        context = self.context()
        if action.panes and context.pane not in action.panes:
            return
        why = action.unavailable(context)
        if why:
            self.say(why)
            return
        {
            "sync.one": self._sync_one,
            "sync.all": self._sync_all,
            "details": self._details,
            "pane.next": lambda: self._step(1),
            "pane.previous": lambda: self._step(-1),
            "pane.agents": lambda: self._activate("agents"),
            "pane.positions": lambda: self._activate("positions"),
            "pane.orders": lambda: self._activate("orders"),
            "pane.errors": lambda: self._activate("errors"),
            "help": self._help,
            "quit": self.exit,
        }[action_id]()

    def _sync_one(self) -> None:
        agent = self.context().agent
        if agent is not None:
            self._engine.submit(SyncAgents((agent.key,)))
            self.say(f"syncing {agent.name}")

    def _sync_all(self) -> None:
        self._engine.submit(SyncAgents())
        self.say("syncing all real agents")

    def _step(self, by: int) -> None:
        self._activate(PANES[(PANES.index(self._active) + by) % len(PANES)])

    def _details(self) -> None:
        row, pane = self._pane(self._active).cursor_row, self._active
        if row is None:
            self.say("nothing is selected")
            return

        from aster_tui.console.details import (  # 7 ms that the first frame need not wait for
            Overlay,
            row_details,
        )

        def content(width: int) -> Text:
            found = row_details(self._engine.snapshot(), pane, row.key, self._clock(), STYLES, width)
            return found if found is not None else Text("It is gone.", style=STYLES["dim"])

        self.push_screen(Overlay({"errors": "error"}.get(pane, pane.removesuffix("s")), content))

    def _help(self) -> None:
        from aster_tui.console.details import Overlay, help_text

        self.push_screen(Overlay("help", lambda width: help_text(self.context(), STYLES, width)))

    def on_grid_opened(self, message: Grid.Opened) -> None:
        """A double click is an enter."""
        self.action_act("details")

    def action_help_quit(self) -> None:
        """Ctrl+C, which copies and does not quit: say what does, in the footer and not in a pop-up."""
        self.say("q quits the console")

    def _fatal_error(self) -> None:
        # Textual would print a traceback with local variables on the operator's terminal; the caller of the
        # console finds the exception in ``_exception`` and writes it to the log.
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()

    def say(self, text: str, *, lasting: bool = False) -> None:
        """Say something in the footer's place."""
        self._notice = fmt.one_line(text)
        self._notice_until = self._clock() + (10**12 if lasting else int(NOTICE_SECONDS * 1000))
        self._lines(self._clock())

    # Parts

    @property
    def _covered(self) -> bool:
        """Whether an overlay lies above the panes."""
        return len(self.screen_stack) > 1

    @property
    def _base(self) -> Screen[None]:
        """The screen with the panes, under any overlay."""
        return self.screen_stack[0]

    def _pane(self, name: str) -> Pane:
        return self._base.query_one(f"#{name}", Pane)

    def _line(self, name: str) -> Line:
        return self._base.query_one(f"#{name}", Line)

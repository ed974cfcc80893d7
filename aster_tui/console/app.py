"""The console: panes over snapshots of an engine that runs elsewhere.

Nothing here talks to a network or a database. The engine's thread only says that there is something new;
a clock of this loop then looks at the snapshot, and each pane paints the rows that changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from aster_tui.console import format as fmt
from aster_tui.console import layout, notices, terminal, theme
from aster_tui.console.acting import Acting
from aster_tui.console.actions import Action, Context
from aster_tui.console.balances import Balances
from aster_tui.console.comfort import Comfort
from aster_tui.console.doing_replay import replay_words
from aster_tui.console.keyboard import Keyboard
from aster_tui.console.layout import PANES, Frame, compose_frame
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.pane import Pane
from aster_tui.console.port import EnginePort
from aster_tui.console.registry import HANDLERS, Registry
from aster_tui.console.status_line import Styles, footer, header, requests_line, tabs
from aster_tui.console.widgets.grid import Grid
from aster_tui.domain.views import AgentView, FleetSnapshot
from aster_tui.locations import styles_path

if TYPE_CHECKING:
    from aster_tui.domain.commands import Command

#: How often the screen looks whether something changed.
TICK_SECONDS = 0.125


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ConsoleApp(App[None]):
    """The operator's console.

    Args:
        engine: what is shown and commanded; started after the first paint.
        options: how it is to be.
        clock: Unix ms; another one makes tests and pictures repeatable. A recording has its own.

    Raises:
        KeysError: the keys of ``options`` cannot be.
    """

    TITLE = "aster-tui"
    CSS_PATH = None
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS: ClassVar[str | None] = "#agents"

    def __init__(
        self,
        engine: EnginePort,
        *,
        options: ConsoleOptions | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(css_path=[styles_path()])
        self.options = options or ConsoleOptions()
        replay = self.options.replay
        self.registry = Registry(self.options.keys, replaying=replay is not None)
        # The registry's and no others: Textual's own ctrl+q would quit from under a dialog.
        self._bindings = self.registry.bindings()
        self._bindings.key_to_bindings["ctrl+c"] = [Binding("ctrl+c", "help_quit", show=False)]
        self.keyboard = Keyboard(self)
        self.comfort = Comfort(self)
        self._engine = engine
        self.acting = Acting(engine.submit, self.options.disarm_minutes)
        self.balances = Balances()
        self._clock = clock or (_now_ms if replay is None else lambda: replay.at)
        # A recording's time may stand still or fly; notices are for the person in front of it.
        self._notices = notices.Notices(self._clock if replay is None else _now_ms)
        self._ringing = notices.Ringing(self._clock())
        self._shown: FleetSnapshot | None = None
        self._second = -1
        self._active = PANES[0]
        self._told_failure = False
        self._frame: Frame | None = None
        self._too_small = ""
        self._looked_at_terminal = 0.0
        #: How often painting was held because the terminal did not read.
        self.held = 0

    # Screen

    def compose(self) -> ComposeResult:
        """The base screen."""
        yield from compose_frame()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The style sheet's own variables, also before the theme is set."""
        return theme.theme(theme.DEFAULT).variables

    def on_mount(self) -> None:
        """Show the first frame, then start the engine."""
        self._frame = Frame(self._base)
        self.run_worker(self.keyboard.run())
        self.frame.activate(PANES[0])
        self.set_interval(TICK_SECONDS, self._tick)
        self.call_after_refresh(self._started)

    async def _started(self) -> None:
        self._tick()
        self._engine.start()
        if not await self.frame.complete():
            return
        word = self.comfort.begin()
        self._tick()
        if word:
            self.say(word)
        if not self.options.connected:
            self.do("welcome")

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the size."""
        self._too_small = layout.fit(self._base, event.size)
        self._repaint()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane with the focus is the active one."""
        if isinstance(event.widget, Pane):
            self._active = event.widget.id or PANES[0]
            self._mark_active()
            self._lines(self._clock())

    def activate(self, name: str) -> None:
        """Go to a pane."""
        if name not in self.frame.panes:  # in the very first moment there are not all of them yet
            return
        self._active = name
        self._mark_active()
        self.frame.activate(name)

    def _mark_active(self) -> None:
        self.frame.mark_active(self._active)
        if self._shown is not None:
            self._show(self.pane, self._shown, self._clock())
            self._repaint()  # others may have come into sight beside it

    # The clock

    def _tick(self, *, anew: bool = False) -> None:
        """Look at the engine's newest snapshot, unless the terminal is behind."""
        if self._frame is None:  # a size is told before there is anything to lay out
            return
        self._look_at_terminal()
        self._tell_of_requests()
        if terminal.is_stalled(self._driver):
            self.held += 1
            return
        now = self._clock()
        snapshot = self._engine.snapshot()
        if self._engine.failure is not None and not self._told_failure:
            self._told_failure = True
            self.say(f"{self._engine.failure}: what is shown is the last that was known", lasting=True)
        if snapshot is self._shown and now // 1000 == self._second and not anew:
            if self.options.replay is not None:
                self._lines(now)  # how far it has come
            return
        self._second = now // 1000
        self._shown = snapshot
        self.balances.look(snapshot, now)
        self._ring(snapshot, now)
        # A dialog that is just being put together, or taken away, has nothing to follow with.
        if self.covered and self.screen.is_mounted and (follow := getattr(self.screen, "follow", None)):
            follow()
        for pane in self.frame.panes.values():
            self._show(pane, snapshot, now)
        self._lines(now)

    def _tell_of_requests(self) -> None:
        """Also while the terminal does not read: what is armed must not stay so."""
        for words, bad in self.acting.look(self._engine.snapshot(), self._clock()):
            self.say(words, seconds=3 * notices.SECONDS if bad else notices.SECONDS)
            if bad:
                self.bell()

    def _ring(self, snapshot: FleetSnapshot, now: int) -> None:
        """A bell and a terminal notification for what must not be missed; not for what is old news."""
        error = self._ringing.news(snapshot, now) if self.options.replay is None else None
        if error is not None:
            self.say(f"! {error.message}")
            self.bell()
            terminal.notify(self._driver, fmt.one_line(error.message))

    def _show(self, pane: Pane, snapshot: FleetSnapshot, now: int) -> None:
        if pane.size.height and pane.display and pane.region:  # a hidden pane does not paint
            pane.show(snapshot, now)

    def _lines(self, now: int) -> None:
        if self._frame is None:
            return
        snapshot = self.newest()
        width = self.size.width
        replay = self.options.replay
        words = partial(replay_words, replay) if replay is not None else None
        armed, styles, say = self.acting.armed_until, self.looks, self.frame.say
        danger = snapshot.network == "MAINNET" and self.acting.armed(now)
        edge = theme.styles_on_danger(self.comfort.theme) if danger else styles
        requests = requests_line(snapshot, now, width, styles)
        self.frame.look(busy=bool(requests), danger=danger)
        say("header", header(snapshot, now, width, edge, self.options.note, armed, words))
        say("tabs", tabs(self._active, snapshot, styles))
        say("requests", requests)
        hints = self.registry.hints(self.context())
        say("footer", footer(hints, width, edge, self._notices.text))
        say("small", Text(self._too_small, style=styles["warn"]))

    def refresh_lines(self) -> None:
        """Say header and footer anew."""
        self._lines(self._clock())

    def _repaint(self) -> None:
        self.call_after_refresh(self.keyboard.after(partial(self._tick, anew=True)))

    def _look_at_terminal(self) -> None:
        now = time.monotonic()
        if now - self._looked_at_terminal > 1:
            self._looked_at_terminal = now
            if not self.is_headless and terminal.is_gone():
                self.exit(return_code=129)

    # What the operator does

    async def on_event(self, event: events.Event) -> None:
        """See every key before anything else does: they are done one after another."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self.acting.touch(self._clock())
            if self.keyboard.takes(event):
                return
        await super().on_event(event)

    async def take_key(self, event: events.Key) -> None:
        """Do a key whose turn it is."""
        await super().on_event(event)

    def context(self) -> Context:
        """What the actions are judged by now."""
        snapshot, pane = self.newest(), self.pane
        row = pane.cursor_key
        agents = pane.agents_of(snapshot, (row,)) if row is not None else ()
        return Context(
            snapshot,
            self._active,
            agents[0] if agents else None,
            row,
            pane.selected,
            self.options.state_folder,
            self.acting.armed(self._clock()),
        )

    @property
    def pane(self) -> Pane:
        """The active pane."""
        return self.frame.panes[self._active]

    def selected_rows(self) -> tuple[str, ...]:
        """The keys of the marked rows of the active pane, without marks the cursor's. A filter hides marked
        rows and does not unmark them: whoever asks the operator says how many (:meth:`hidden_marks`)."""
        return self.pane.selected

    def hidden_marks(self) -> int:
        """How many of the marked rows the filter hides."""
        return self.pane.hidden_marks

    def selected_agents(self) -> tuple[AgentView, ...]:
        """The agents of the selected rows, each once."""
        return self.pane.agents_of(self.newest(), self.pane.selected)

    def chose(self) -> None:
        """The operator chose how the active pane is to be: show it so."""
        pane = self.pane
        pane.choose_columns(pane.state.columns)
        self._show(pane, self.newest(), self._clock())
        self._lines(self._clock())
        self.comfort.changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key means its action here: see :mod:`aster_tui.console.registry`."""
        if action != "act":
            return True
        found = self.registry.by_id[str(parameters[0])]
        if found.everywhere:
            return True
        if self.covered or isinstance(self.focused, Input):
            return False
        return not found.panes or self._active in found.panes

    def action_act(self, action_id: str) -> None:
        """A key was pressed for an action. One that is held down does what can change something once."""
        if self.registry.by_id[action_id].danger == "none" or not self.keyboard.held:
            self.do(action_id)

    def do(self, action_id: str) -> None:
        """Do one action of the registry, or say why it cannot be done."""
        action = self.registry.by_id[action_id]
        why = self.why_not(action)
        if why:
            self.say(why)
            if not action.everywhere:  # what cannot wait says itself why it cannot be done
                return
        HANDLERS[action_id](self)

    def why_not(self, action: Action) -> str:
        """Why an action cannot be done now; empty when it can."""
        context = self.context()
        if action.panes and context.pane not in action.panes:
            return f"only in {' and '.join(action.panes)}"
        if action.danger != "none" and not action.everywhere and (why := self.too_small):
            return why
        return action.unavailable(context)

    @property
    def too_small(self) -> str:
        """Why nothing can be done or confirmed on this screen; empty when it can."""
        return self._too_small and "the terminal is too small to see what that does"

    def submit(self, command: Command) -> None:
        """Hand a command to the engine."""
        self._engine.submit(command)

    def newest(self) -> FleetSnapshot:
        """The snapshot that is shown."""
        return self._shown or self._engine.snapshot()

    @property
    def failure(self) -> str:
        """Why the engine ended; empty while it has not."""
        return self._engine.failure or ""

    def now(self) -> int:
        """Unix ms, by the console's clock."""
        return self._clock()

    @property
    def looks(self) -> Styles:
        """The styles of the lines and overlays."""
        return self.comfort.styles

    def step(self, by: int) -> None:
        """Activate the pane that comes ``by`` places after."""
        self.activate(PANES[(PANES.index(self._active) + by) % len(PANES)])

    def on_grid_opened(self, message: Grid.Opened) -> None:
        """A double click is an enter."""
        self.do("details")

    def action_help_quit(self) -> None:
        """Ctrl+C, which copies and does not quit: say what does, in the footer and not in a pop-up."""
        self.say("q quits the console")

    def _fatal_error(self) -> None:
        # Textual would print a traceback with local variables on the operator's terminal; the caller of the
        # console finds the exception in ``_exception`` and writes it to the log.
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()

    def say(self, text: str, *, seconds: float = notices.SECONDS, lasting: bool = False) -> None:
        """Say something in the footer's place."""
        self._notices.say(text, seconds=seconds, lasting=lasting)
        self._lines(self._clock())

    # Parts

    @property
    def covered(self) -> bool:
        """Whether an overlay lies above the panes."""
        return len(self.screen_stack) > 1

    @property
    def _base(self) -> Screen[None]:
        """The screen with the panes, under any overlay."""
        return self.screen_stack[0]

    @property
    def frame(self) -> Frame:
        """The parts of the base screen, once it is composed."""
        if self._frame is None:
            raise RuntimeError("the screen is not composed yet")
        return self._frame

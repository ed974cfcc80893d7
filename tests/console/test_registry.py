"""The registry of actions: what it feeds, how keys are changed, and when a key means nothing."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pytest
from textual.app import ComposeResult
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList

from aster_tui.cli import main
from aster_tui.console import doing_replay, held, registry
from aster_tui.console.actions import Action
from aster_tui.console.app import ConsoleApp
from aster_tui.console.help import help_text
from aster_tui.console.layout import PANES
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.palette import Palette, entry
from aster_tui.console.registry import ACTIONS, HANDLERS, KeysError, Registry
from aster_tui.console.screens.dialog import Dialog
from aster_tui.domain.commands import SyncAgents
from aster_tui.engine.replaying import Replay
from tests.console.driving import console, line, overlay, pane, said, until
from tests.console.scripted import Scripted, fleet, trading
from tests.tapes import tape


async def test_every_action_has_help_a_palette_entry_and_a_command_or_a_reason() -> None:
    assert {a.id for a in (*ACTIONS, *doing_replay.ACTIONS)} == set(HANDLERS)
    assert len({a.id for a in ACTIONS}) == len(ACTIONS)
    async with console(Scripted()) as (app, pilot):
        await _walk(app, pilot)
    replay = Replay(tape())
    async with console(Scripted(), options=ConsoleOptions(replay=replay)) as (app, pilot):
        assert len(app.registry.actions) == len(ACTIONS) + len(doing_replay.ACTIONS)
        await _walk(app, pilot)


async def _walk(app: ConsoleApp, pilot: Pilot[None]) -> None:
    helps = {}
    for name in PANES:
        app.activate(name)
        await pilot.pause()
        helps[name] = help_text(app.context(), app.registry, app.looks, 200).plain
    for action in app.registry.actions:
        texts = [helps[name] for name in action.panes or PANES]
        assert all(action.title in text and action.shown in text for text in texts), action.id
        words = entry(app, action).plain
        assert action.title in words, action.id
        assert action.shown in words, action.id
        assert bool(action.command) != bool(action.alone), action.id
        if action.command:
            _stands_on_the_command_line(action)
        if action.danger != "none":
            assert action.needs, action.id


def _stands_on_the_command_line(action: Action) -> None:
    words = action.command.split()
    assert words.pop(0) == "aster-tui", action.id
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("-"):
            assert word in options, f"{action.id}: {action.command}"


async def test_the_palette_finds_an_action_and_does_it() -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        for key in ("colon", "ctrl+p"):
            await pilot.press(key)
            assert isinstance(app.screen, Palette)
            await pilot.press("escape")
            assert not isinstance(app.screen, Palette)
        await pilot.press("colon", *"snc all")
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count and "sync all" in str(options.options[0].prompt))
        await pilot.press("enter")
        await until(pilot, lambda: port.asked == [SyncAgents()])


async def test_a_search_that_outlives_its_palette_takes_nothing_down() -> None:
    async with console(Scripted()) as (app, pilot):
        await pilot.press("colon")
        palette = app.screen
        assert isinstance(palette, Palette)
        await app.pop_screen()
        search = palette._gather_commands("mark")
        await until(pilot, lambda: search.is_finished)
        await pilot.press("2")
        assert app._active == "positions"


async def test_the_palette_shows_key_danger_and_why_not() -> None:
    port = Scripted(fleet(read_only=True))
    async with console(port) as (app, pilot):
        await pilot.press("colon")
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count == len(ACTIONS) - 1)  # all but itself
        said = "\n".join(str(option.prompt) for option in options.options)
        assert "sync all real agents   S   writes into MongoDB" in said
        assert "not now: read-only" in said
        await pilot.press(*"sync all", "enter")
        await until(pilot, lambda: "read-only" in line(app, "footer"))
        assert port.commands == []


async def test_a_key_held_down_is_one_action_and_the_cursor_still_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = Scripted()
    async with console(port) as (app, pilot):
        await pilot.press(*["S"] * 50)
        assert port.asked == [SyncAgents()]
        await pilot.press("j", "S")  # another key between: a press of its own
        assert port.asked == [SyncAgents(), SyncAgents()]
        await pilot.press(*["j"] * 30)
        assert pane(app, "agents").cursor_row.key == "a7"  # type: ignore[union-attr]
        monkeypatch.setattr(held, "REPEAT_SECONDS", 0.0)  # let go long enough
        await pilot.press("S", "S")
        assert len(port.commands) == 4


def test_a_held_key_is_counted_from_its_last_repeat() -> None:
    key = held.HeldKey()
    seen = []
    for number in range(100):
        key.press("m", 10 + number * 0.5)
        seen.append(key.repeats)
    assert seen == [False] + [True] * 99
    key.press("m", 10 + 99 * 0.5 + held.REPEAT_SECONDS)
    assert not key.repeats


async def test_keys_of_the_settings_replace_an_actions_own_everywhere() -> None:
    port = Scripted(fleet(errors=0))
    options = ConsoleOptions(keys={"sync.all": "f5", "help": "ctrl+g,!"})
    async with console(port, options=options) as (app, pilot):
        await pilot.press("S", "question_mark")
        assert port.commands == []
        assert overlay(app) == ""
        assert "f5 sync all" in line(app, "footer")
        await pilot.press("f5")
        assert port.asked == [SyncAgents()]
        await pilot.press("!")
        assert "ctrl+g !" in overlay(app)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"sync.everything": "f5"}, "keys.sync.everything: no action is called so"),
        ({"sync.al": "f5"}, "did you mean sync.all?"),
        ({"sync.all": "q"}, "keys.sync.all: the key q belongs to quit"),
        ({"sync.all": "f5", "help": "f5"}, "the key f5 belongs to"),
        ({"help": "?,j"}, "keys.help: the key j is taken by the lists"),
        ({"help": " , "}, "keys.help: names no key"),
    ],
)
def test_keys_that_cannot_be_are_refused_by_name(keys: dict[str, str], says: str) -> None:
    with pytest.raises(KeysError) as refused:
        Registry(keys)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_actions_of_different_panes_may_share_a_key() -> None:
    one = Action("one", "one", "x", "x", panes=("orders",))
    two = Action("two", "two", "x", "x", panes=("agents", "errors"))
    Registry(actions=(one, two))
    with pytest.raises(KeysError, match="belongs to"):
        Registry(actions=(one, Action("three", "three", "x", "x")))


class _Dialog(ModalScreen[None]):
    def compose(self) -> ComposeResult:
        yield Input(id="word")


async def test_only_what_is_meant_for_everywhere_reaches_above_a_dialog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    urgent = Action("urgent", "urgent", "ctrl+o", "ctrl+o", everywhere=True, danger="risk", needs="nothing")
    monkeypatch.setattr(registry.Registry.__init__, "__defaults__", (None, (*ACTIONS, urgent)))
    monkeypatch.setitem(HANDLERS, "urgent", lambda app: done.append("urgent"))  # type: ignore[arg-type]
    port = Scripted()
    async with console(port) as (app, pilot):
        await app.push_screen(_Dialog())
        await pilot.press("tab", "S", "q", "ctrl+p", "ctrl+q", "?")
        assert app.screen.query_one(Input).value == "Sq?"
        assert port.commands == []
        await pilot.press("ctrl+o")
        assert done == ["urgent"]
        app.pop_screen()
        await pilot.press("colon")
        assert isinstance(app.screen, CommandPalette)
        await pilot.press("ctrl+o")
        assert done == ["urgent", "urgent"]
        await pilot.press("escape")
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: "too small" in line(app, "small"))
        await pilot.press("S", "ctrl+o")
        assert port.commands == []
        assert len(done) == 3


async def test_a_terminal_too_small_to_see_what_a_key_does_does_nothing() -> None:
    port = Scripted()
    async with console(port, (50, 12)) as (app, pilot):
        await pilot.press("S", "s")
        assert port.commands == []
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: not app.screen.has_class("small"))
        await pilot.press("S")
        assert port.asked == [SyncAgents()]


@pytest.mark.parametrize(
    ("opens", "confirms"),
    [
        (("2", "c"), ("y",)),
        (("2", "A", "c"), (*"close", "enter")),
        (("m",), ("k",)),
        (("H", "tab", "tab", *"late"), ("ctrl+s", "y")),
        (("L",), (*"unlock", "enter")),
    ],
)
async def test_what_cannot_be_read_is_not_confirmed(
    opens: tuple[str, ...], confirms: tuple[str, ...]
) -> None:
    """A terminal that becomes too small while something is asked."""
    port = Scripted(trading(locked="L" in opens))
    async with console(port) as (app, pilot):
        await pilot.press(*opens)
        screen = app.screen
        assert isinstance(screen, Dialog)
        await until(pilot, lambda: screen.was_seen)
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: app.too_small)
        await pilot.press(*confirms)
        assert port.asked == []
        assert app.screen is screen
        assert "too small to see" in said(app)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: not app.too_small)
        await pilot.press("pagedown")  # a key between: none stays down
        if len(confirms) > 2:
            await pilot.press("ctrl+u")
        for key in confirms:
            await until(pilot, lambda: getattr(app.screen, "was_seen", True))
            await pilot.press(key)
        assert port.asked


def test_the_app_stays_small_however_many_actions_there_are() -> None:
    assert len(Path(inspect.getfile(ConsoleApp)).read_text().splitlines()) < 400

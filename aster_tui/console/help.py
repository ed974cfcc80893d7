"""The help: every key of the focused pane, and why one cannot be used now."""

from __future__ import annotations

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.actions import Action, Context
from aster_tui.console.details import beside
from aster_tui.console.registry import Registry
from aster_tui.console.status_line import Styles

SIGNS: tuple[tuple[str, str], ...] = (
    ("● REAL", "trades on the exchange"),
    ("○ paper", "computed, no account"),
    ("■  ▼", "before the mode: halted, or may only reduce what it holds"),
    ("●  ◐  ○  ·", "a feed that is live, stale, down, off; beside it the age of what was last heard"),
    ("drift", "MongoDB differed from the exchange at the last sync; enter says how"),
    ("!", "something is wrong with this agent; enter says what"),
    ("dimmed", "not live: the last that was known"),
)


def help_text(context: Context, registry: Registry, styles: Styles, width: int = 93) -> Text:
    """Every key: those of the focused pane first, and why one cannot be used now."""
    text = Text()
    mine = [a for a in registry.actions if context.pane in a.panes]
    others = [a for a in registry.actions if not a.panes]
    if mine:
        text.append(f"{context.pane}\n", style=styles["strong"])
        for action in mine:
            _action(text, action, context, styles, width)
        text.append("\n")
    text.append("in every list\n", style=styles["strong"])
    for keys, words in registry.grid_keys:
        _help_line(text, keys, words, "", styles, width)
    text.append("\neverywhere\n", style=styles["strong"])
    for action in others:
        _action(text, action, context, styles, width)
    text.append("\nsigns\n", style=styles["strong"])
    for sign, words in SIGNS:
        _help_line(text, sign, words, "", styles, width)
    return text


def _action(text: Text, action: Action, context: Context, styles: Styles, width: int) -> None:
    _help_line(text, action.shown, action.title, action.unavailable(context), styles, width)


def _help_line(text: Text, keys: str, words: str, why: str, styles: Styles, width: int) -> None:
    body = Text(words, style=styles["dim"] if why else "")
    if why:
        body.append(f"  ({fmt.one_line(why)})", style=styles["warn"])
    beside(text, f"  {keys:<14}", styles["dim" if why else "key"], body, width)

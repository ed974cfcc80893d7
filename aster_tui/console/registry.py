"""The one registry of what an operator can do: it feeds bindings, footer, help, palette and the checks.

How an action gets in: a module declares ``ACTIONS`` and ``HANDLERS`` (id → function of the app) and is named
in :data:`PARTS`. The app itself is not touched.

Under a dialog, an overlay or an input every action is silent: what is on top has the floor. Only an action
that is marked ``everywhere`` reaches above all of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType

from textual.binding import Binding, BindingsMap

from aster_tui.console import (
    doing,
    doing_fleet,
    doing_lists,
    doing_orders,
    doing_replay,
    doing_session,
)
from aster_tui.console.actions import Action, Context, Handler

#: The modules that declare actions.
PARTS: tuple[ModuleType, ...] = (doing, doing_fleet, doing_orders, doing_session, doing_lists)

ACTIONS: tuple[Action, ...] = tuple(action for part in PARTS for action in part.ACTIONS)
HANDLERS: Mapping[str, Handler] = {
    name: do for part in (*PARTS, doing_replay) for name, do in part.HANDLERS.items()
}

#: Keys of the grids themselves, for the help.
GRID_KEYS: tuple[tuple[str, str], ...] = (
    ("↑ ↓  k j", "move the cursor"),
    ("pgup pgdn", "a page"),
    ("home end  g G", "first and last row"),
)
#: What a grid, an overlay or the terminal itself uses: no action may have these.
TAKEN = frozenset(
    {"up", "down", "j", "k", "g", "G", "pageup", "pagedown", "home", "end", "escape", "ctrl+c", "ctrl+z"}
)
#: Keys by their characters, where Textual calls them by name.
NAMED = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": "space",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "comma": ",",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "exclamation_mark": "!",
}
_NAME_OF = {character: name for name, character in NAMED.items() if len(character) == 1}


class KeysError(Exception):
    """The ``[keys]`` of the settings cannot be. The text is one line for people."""


class Registry:
    """The actions with the keys they have here.

    Args:
        replaying: whether a recording is shown: then its controls have the keys they need, and nothing that
            could change something can be done.
        keys: other keys by action id, as the settings file has them: ``{"sync.one": "f5"}``.

    Raises:
        KeysError: an unknown id, or a key that two actions would have in one pane.
    """

    def __init__(
        self,
        keys: Mapping[str, str] | None = None,
        actions: tuple[Action, ...] = ACTIONS,
        *,
        replaying: bool = False,
    ) -> None:
        keys = dict(keys or {})
        known = {action.id for action in (*actions, *doing_replay.ACTIONS)}
        if replaying:
            actions = _for_replay(actions)
        for name in keys:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise KeysError(f"setting keys.{name}: no action is called so{hint}")
        self.actions = tuple(_rebound(a, keys[a.id]) if a.id in keys else a for a in actions)
        self.grid_keys = GRID_KEYS[:2] if replaying else GRID_KEYS
        self.by_id = {action.id: action for action in self.actions}
        #: Keys of what is marked ``everywhere``.
        self.urgent_keys = frozenset(k for a in self.actions if a.everywhere for k in a.keys.split(","))
        _refuse_clashes(self.actions, keys)

    def bindings(self) -> BindingsMap:
        """Textual's bindings, with stable ids."""
        return BindingsMap(
            Binding(a.keys, f"act('{a.id}')", a.title, show=False, id=a.id, priority=True)
            for a in self.actions
            if a.keys
        )

    def of_pane(self, pane: str) -> list[Action]:
        """The actions that a pane has."""
        return [a for a in self.actions if not a.panes or pane in a.panes]

    def hints(self, context: Context) -> list[tuple[Action, str]]:
        """The actions the footer shows for a pane, each with why it is unavailable now."""
        shown = sorted((a for a in self.of_pane(context.pane) if a.hint), key=lambda a: a.hint)
        return [(a, a.unavailable(context)) for a in shown]


def _for_replay(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    taken = {key for action in doing_replay.ACTIONS for key in action.keys.split(",")}
    others = []
    for action in actions:
        left = [key for key in action.keys.split(",") if key not in taken]
        if len(left) < len(action.keys.split(",")):
            action = replace(action, keys=",".join(left), shown=_shown(left))
        if action.danger != "none" or action.needs:
            action = replace(action, unavailable=lambda _: doing_replay.REFUSED, hint=0, everywhere=False)
        others.append(action)
    return (*doing_replay.ACTIONS, *others)


def _shown(keys: list[str]) -> str:
    return " ".join(NAMED.get(key, key) for key in keys)


def _rebound(action: Action, keys: str) -> Action:
    names = [_NAME_OF.get(key.strip(), key.strip()) for key in keys.split(",") if key.strip()]
    if not names:
        raise KeysError(f"setting keys.{action.id}: names no key")
    return replace(action, keys=",".join(names), shown=_shown(names))


def _refuse_clashes(actions: tuple[Action, ...], keys: Mapping[str, str]) -> None:
    owners: dict[str, list[Action]] = {}
    for action in actions:
        for key in action.keys.split(",") if action.keys else ():
            if key in TAKEN and action.id in keys:
                raise KeysError(f"setting keys.{action.id}: the key {key} is taken by the lists themselves")
            for other in owners.get(key, ()):
                if other.id == action.id or not _share_a_pane(action, other):
                    continue
                said = action.id if action.id in keys else other.id
                two = other.id if said == action.id else action.id
                raise KeysError(f"setting keys.{said}: the key {NAMED.get(key, key)} belongs to {two}")
            owners.setdefault(key, []).append(action)


def _share_a_pane(one: Action, two: Action) -> bool:
    return not one.panes or not two.panes or bool(set(one.panes) & set(two.panes))

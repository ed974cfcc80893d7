"""What the settings say about the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aster_tui.console.doing_replay import Replayed


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How the console is to be.

    Args:
        keys: other keys for actions, by action id.
        note: a word beside the network.
        stays: whether the engine goes on when the terminal hangs up.
        replay: the recording that is shown, if it is one.
        state_folder: where exports, screenshots and what is remembered go; None for nowhere.
        profile: whose layout is remembered; empty for nobody's.
        theme: the theme to begin with, until another is chosen.
        mouse: whether the mouse is taken; without it the terminal selects text as ever.
        connected: whether anything is configured to connect to; if not, the console says how.
        disarm_minutes: how long a session stays armed without a key.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    stays: bool = False
    replay: Replayed | None = None
    state_folder: Path | None = None
    profile: str = ""
    theme: str = "dark"
    mouse: bool = True
    connected: bool = True
    disarm_minutes: int = 10

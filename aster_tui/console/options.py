"""What the settings say about the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How the console is to be.

    Args:
        keys: other keys for actions, by action id.
        note: a word beside the network.
        stays: whether the engine goes on when the terminal hangs up.
        state_folder: where exports and screenshots go; None for nowhere.
        disarm_minutes: how long a session stays armed without a key.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    stays: bool = False
    state_folder: Path | None = None
    disarm_minutes: int = 10

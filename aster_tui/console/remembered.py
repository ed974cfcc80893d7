"""What the console remembers of its looks from one start to the next: one small file per profile.

Nothing depends on it: a file that is missing, broken or from elsewhere costs the operator's choices and
nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aster_tui.console.listing import parse_filter
from aster_tui.console.pane import PaneState

FORMAT = 1
#: More than any choice of an operator needs; a file that is longer is not one of ours.
MOST_BYTES = 100_000


@dataclass(slots=True)
class Remembered:
    """The operator's choices. ``word`` says what was wrong with the file, if something was."""

    theme: str = ""
    active: str = ""
    panes: dict[str, PaneState] = field(default_factory=dict)
    word: str = ""


def memory_file(state_folder: Path, profile: str) -> Path:
    """Where the choices of a profile are kept."""
    return state_folder / f"console-{profile}.json"


def recall(path: Path) -> Remembered:
    """What was remembered; nothing, and a word about it, where that cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise ValueError("it is too long")
        return _read(json.loads(raw))
    except FileNotFoundError:
        return Remembered()
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else "it cannot be read"
        return Remembered(word=f"the remembered layout is left out ({said}: {path})")


def _read(document: Any) -> Remembered:
    if document.get("format") != FORMAT:
        raise ValueError("another format")
    found = Remembered(theme=_text(document.get("theme")), active=_text(document.get("active")))
    for name, said in document.get("panes", {}).items():
        found.panes[name] = PaneState(
            filter=parse_filter(_text(said.get("filter"))),
            sort=_text(said.get("sort")) or None,
            descending=said.get("descending") is not False,
            columns=tuple(_text(title) for title in said.get("columns", ())),
        )
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def written(theme: str, active: str, panes: Mapping[str, PaneState]) -> str:
    """The file's text."""
    document = {
        "format": FORMAT,
        "theme": theme,
        "active": active,
        "panes": {
            name: {
                "filter": state.filter.text,
                "sort": state.sort,
                "descending": state.descending,
                "columns": list(state.columns),
            }
            for name, state in panes.items()
        },
    }
    return json.dumps(document, indent=1)


def remember(path: Path, text: str) -> None:
    """Write it: all of it, or what was there before stays.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise

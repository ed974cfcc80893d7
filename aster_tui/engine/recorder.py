"""Begin a recording with what the settings say, for whoever opens a console."""

from __future__ import annotations

from pathlib import Path

from aster_tui import __version__
from aster_tui.config import Settings
from aster_tui.domain.recording import Header
from aster_tui.engine.core import now_ms, sync_stale_ms
from aster_tui.engine.recording import Recorder


class CannotRecord(Exception):
    """The file of ``--record`` cannot be written. The text is one line for people."""


def recorder(path: Path, settings: Settings) -> Recorder:
    """Begin a recording.

    Raises:
        CannotRecord: the file exists already, or cannot be written.
    """
    header = Header(
        program=f"aster-tui {__version__}",
        network=settings.network,
        read_only=settings.watching,
        initial_balance=settings.initial_balance,
        sync_stale_ms=sync_stale_ms(settings.sync_seconds),
        started_at=now_ms(),
    )
    try:
        return Recorder(path, header)
    except FileExistsError:
        raise CannotRecord(
            f"--record {path}: the file is there already; a recording never overwrites"
        ) from None
    except OSError as error:
        raise CannotRecord(f"--record {path}: {error.strerror or error}") from None

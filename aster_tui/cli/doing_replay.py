"""``replay``: a recording in the console, or one moment of it as a document."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aster_tui.cli.doing import logging_to_file, run_with
from aster_tui.config import Settings
from aster_tui.exits import DONE, FAILED, USAGE


def replay(settings: Settings, path: Path, at: str | None, *, as_json: bool) -> int:
    """Show a recording in the console, or print one moment of it."""
    from aster_tui.console.moments import MomentError, parse_moment
    from aster_tui.domain.recording import RecordingError
    from aster_tui.engine.recording import read_recording

    try:
        tape = read_recording(path)
        moment = None if at is None else parse_moment(at, tape.start, tape.end)
    except (RecordingError, MomentError) as error:
        return _said(str(error), USAGE if isinstance(error, MomentError) else FAILED, as_json=as_json)
    if as_json:
        from aster_tui.domain.replay import Player
        from aster_tui.engine.status import status_document

        player = Player(tape)
        try:
            player.go(tape.end if moment is None else moment)
        except RecordingError as error:
            return _said(f"{path}: {error}", FAILED, as_json=True)
        click.echo(json.dumps(status_document(player.snapshot()), indent=1))
        return DONE
    from aster_tui.engine.replaying import Replay

    with logging_to_file(settings):
        shown = Replay(tape, at=moment)
        return run_with(settings, shown, replay=shown)


def _said(message: str, code: int, *, as_json: bool) -> int:
    click.echo(f"aster-tui: {message}", err=True)
    if as_json:
        click.echo(
            json.dumps({"ok": False, "code": "usage" if code == USAGE else "failed", "message": message})
        )
    return code

"""Keeps the incident report of each close-all in the state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aster_tui.domain.flatten.report import FlattenReport
from aster_tui.domain.incident import TraceLine, incident_document, incident_markdown
from aster_tui.logs import redact

FOLDER = "incidents"


def keep_incident(
    state_folder: Path, report: FlattenReport, trace: Sequence[TraceLine], *, network: str, by: str, name: str
) -> Path:
    """Write the report as Markdown and JSON; the path of the Markdown.

    Raises:
        OSError: the state folder cannot be written.
    """
    folder = state_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.fromtimestamp(report.began_at / 1000, UTC).strftime("%Y%m%d-%H%M%S")
    path = folder / f"{stamp}-{name}.md"
    document = incident_document(report, trace, network=network, by=by)
    document["incident"] = str(path)
    _write(path.with_suffix(".json"), json.dumps(document, indent=1))
    _write(path, incident_markdown(report, trace, network=network, by=by))
    return path


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(redact(text))

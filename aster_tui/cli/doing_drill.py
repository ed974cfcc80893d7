"""``aster-tui drill``: rehearse a close-all, and see it beside earlier drills."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import click

from aster_tui.cli.doing import finish
from aster_tui.config import Settings
from aster_tui.domain.drill import SHOWN, WORDS, Drill, alike, as_data, beside
from aster_tui.engine.flatten.drill import Asked, DrillProblem, earlier_drills, hold_drill
from aster_tui.exits import DONE, FAILED


def drill(settings: Settings, asked: Asked, *, as_json: bool) -> int:
    """Hold a drill; returns the exit code."""
    click.echo(f"drill: {WORDS[asked.incident]}", err=True)
    try:
        held = asyncio.run(
            hold_drill(asked, settings.state_folder, lambda words: click.echo(words, err=True))
        )
    except DrillProblem as problem:
        return finish({"ok": False, "code": "failed", "message": str(problem)}, FAILED, as_json)
    earlier = alike(held, earlier_drills(settings.state_folder))
    code = DONE if held.ok else FAILED
    compared = beside(held, earlier)
    if as_json:
        told = {**as_data(held), "beside": compared, "earlier": [as_data(one) for one in earlier[-SHOWN:]]}
        click.echo(json.dumps(told, indent=1))
        return code
    for one in (*earlier[-SHOWN:], held):
        click.echo(_line(one))
    click.echo(compared)
    if not held.ok:
        click.echo(
            f"NOT as it should be: {held.message}; left: {', '.join(held.left) or 'nothing'}", err=True
        )
    return code


def _line(one: Drill) -> str:
    at = datetime.fromtimestamp(one.at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    flat = "never" if one.flat_ms is None else f"{one.flat_ms} ms"
    return (
        f"{at}  {one.incident:<16} {one.accounts:>3} × {one.positions:<3} "
        f"flat {flat:>9}  verified {one.verified_ms:>6} ms  rounds {one.rounds}  "
        f"{'ok' if one.ok else 'FAILED'}"
    )

"""The command line's emergency: flatten and prove it, and the drill that rehearses it."""

from __future__ import annotations

import sys

import click

from aster_tui.cli_operator import confirmed, settings_of


@click.command("close-all")
@click.option(
    "--agent", "agents", multiple=True, metavar="NAME", help="Only this agent's account (repeatable)."
)
@click.option("--symbol", "symbols", multiple=True, metavar="S", help="Only this symbol (repeatable).")
@click.option(
    "--deadline",
    type=click.FloatRange(0.1, 3600),
    default=None,
    metavar="SECONDS",
    help="When to give up (60).",
)
@confirmed
@click.pass_context
def close_all(
    context: click.Context,
    agents: tuple[str, ...],
    symbols: tuple[str, ...],
    deadline: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Flatten and prove it; works without MongoDB. Exit 0 only when the exchange said "flat" twice."""
    from aster_tui import commands_flatten

    sys.exit(
        commands_flatten.close_all(settings_of(context), agents, symbols, deadline, yes=yes, as_json=as_json)
    )


EMERGENCY = (close_all,)

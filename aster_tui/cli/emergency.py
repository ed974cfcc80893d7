"""The command line's emergency: flatten and prove it, and the drill that rehearses it."""

from __future__ import annotations

import sys

import click

from aster_tui.cli.options import confirmed, documented, settings_of
from aster_tui.domain.drill import INCIDENTS, Incident


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
    from aster_tui.cli import doing_flatten

    sys.exit(
        doing_flatten.close_all(settings_of(context), agents, symbols, deadline, yes=yes, as_json=as_json)
    )


@click.command()
@click.option("--incident", type=click.Choice(INCIDENTS), default="none", show_default=True)
@click.option("--accounts", type=click.IntRange(1, 100), default=3, show_default=True, metavar="N")
@click.option("--positions", type=click.IntRange(0, 15), default=5, show_default=True, metavar="N")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same positions."
)
@documented
@click.pass_context
def drill(
    context: click.Context, incident: Incident, accounts: int, positions: int, seed: int, as_json: bool
) -> None:
    """Rehearse close-all on a practice exchange of its own, with an incident; nothing real is touched."""
    from aster_tui.cli import doing_drill
    from aster_tui.engine.flatten.drill import Asked

    asked = Asked(incident, accounts, positions, seed)
    sys.exit(doing_drill.drill(settings_of(context), asked, as_json=as_json))


EMERGENCY = (close_all, drill)

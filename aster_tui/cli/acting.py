"""The command line's acting commands: orders, modes, halts, checks and logs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from aster_tui.cli.options import confirmed, documented, of_agent, of_agents, settings_of

if TYPE_CHECKING:
    from aster_tui.domain.views import TradingState

TYPES = ("market", "limit", "stop-market", "take-profit-market", "trailing-stop-market")


@click.command()
@of_agent
@click.option("--symbol", required=True, metavar="S", help="Such as BTCUSDT, or BTC.")
@click.option("--side", required=True, type=click.Choice(["buy", "sell"]))
@click.option("--type", "kind", required=True, type=click.Choice(TYPES))
@click.option("--quantity", default="", metavar="Q", help="In the base asset.")
@click.option("--size-usd", default="", metavar="U", help="Or the notional.")
@click.option("--price", default="", metavar="P")
@click.option("--stop-price", default="", metavar="P")
@click.option("--callback-rate", default="", metavar="R", help="Percent, of a trailing stop.")
@click.option("--activation-price", default="", metavar="P", help="Where a trailing stop begins.")
@click.option("--tif", default="", metavar="T", help="GTC, IOC, FOK, GTX or HIDDEN.")
@click.option("--reduce-only", is_flag=True)
@click.option("--test", is_flag=True, help="Only have the exchange validate it.")
@confirmed
@click.pass_context
def order(
    context: click.Context,
    /,
    agent: str,
    kind: str,
    reduce_only: bool,
    test: bool,
    yes: bool,
    as_json: bool,
    **texts: str,
) -> None:
    """Place an order, or with --test only validate it at the exchange."""
    from aster_tui.cli import doing_operator

    fields = {**texts, "type": kind, "reduce_only": "yes" if reduce_only else ""}
    code = doing_operator.order(settings_of(context), agent, fields, test=test, yes=yes, as_json=as_json)
    sys.exit(code)


@click.command()
@of_agent
@click.option("--order", "order_id", default="", metavar="ID", help="Either id of the order.")
@click.option("--symbol", default="", metavar="S", help="All of a symbol, or where the order is.")
@click.option("--all", "everything", is_flag=True, help="All of the agent's orders.")
@confirmed
@click.pass_context
def cancel(
    context: click.Context, agent: str, order_id: str, symbol: str, everything: bool, yes: bool, as_json: bool
) -> None:
    """Cancel orders."""
    from aster_tui.cli import doing_operator

    settings = settings_of(context)
    code = doing_operator.cancel(
        settings, agent, order_id, symbol.upper(), everything=everything, yes=yes, as_json=as_json
    )
    sys.exit(code)


@click.command()
@of_agent
@click.option("--symbol", required=True, metavar="S")
@click.option("--order", "order_id", required=True, metavar="ID", help="Either id of the order.")
@click.option("--quantity", required=True, metavar="Q")
@click.option("--price", required=True, metavar="P")
@confirmed
@click.pass_context
def modify(
    context: click.Context,
    agent: str,
    symbol: str,
    order_id: str,
    quantity: str,
    price: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Change price and quantity of a resting limit order."""
    from aster_tui.cli import doing_operator

    settings = settings_of(context)
    code = doing_operator.modify(settings, agent, symbol, order_id, quantity, price, yes=yes, as_json=as_json)
    sys.exit(code)


@click.command("reduce")
@of_agent
@click.option("--symbol", required=True, metavar="S")
@click.option("--part", default="1", show_default=True, metavar="P", help="0.5 is half of it.")
@click.option("--reverse", is_flag=True, help="Then open the other side.")
@confirmed
@click.pass_context
def reduce_position(
    context: click.Context, agent: str, symbol: str, part: str, reverse: bool, yes: bool, as_json: bool
) -> None:
    """Close a position or a part of it at market, reduce-only."""
    from aster_tui.cli import doing_operator

    settings = settings_of(context)
    code = doing_operator.reduce(settings, agent, symbol, part, reverse=reverse, yes=yes, as_json=as_json)
    sys.exit(code)


@click.command()
@of_agent
@click.option("--symbol", required=True, metavar="S")
@click.argument("value", type=click.IntRange(1, 125))
@confirmed
@click.pass_context
def leverage(context: click.Context, agent: str, symbol: str, value: int, yes: bool, as_json: bool) -> None:
    """Set a symbol's leverage."""
    from aster_tui.cli import doing_operator

    sys.exit(doing_operator.leverage(settings_of(context), agent, symbol, value, yes=yes, as_json=as_json))


@click.command()
@click.argument("agent")
@click.argument("word", metavar="paper|real", type=click.Choice(["paper", "real"]))
@click.option("--close-positions", is_flag=True, help="To paper: close what is open; else it is watched.")
@confirmed
@click.pass_context
def mode(
    context: click.Context, agent: str, word: str, close_positions: bool, yes: bool, as_json: bool
) -> None:
    """Flip an agent; to real runs the preflight first."""
    from aster_tui.cli import doing_operator

    settings = settings_of(context)
    code = doing_operator.mode(
        settings, agent, word, close_positions=close_positions, yes=yes, as_json=as_json
    )
    sys.exit(code)


@click.command()
@of_agents
@documented
@click.pass_context
def doctor(context: click.Context, agents: tuple[str, ...], as_json: bool) -> None:
    """Preflight: clock, reachability, keys, signature, a test order, MongoDB, permissions."""
    from aster_tui.cli import doing_operator

    sys.exit(doing_operator.doctor(settings_of(context), agents, as_json=as_json))


@click.command()
@of_agents
@click.option("--reason", default="", metavar="TEXT")
@click.option("--reducing", is_flag=True, help="Let agents still make positions smaller.")
@documented
@click.pass_context
def halt(context: click.Context, agents: tuple[str, ...], reason: str, reducing: bool, as_json: bool) -> None:
    """Kill switch: no new risk until a person resumes."""
    _set_trading(context, agents, "REDUCING" if reducing else "HALTED", reason, as_json)


@click.command()
@of_agents
@click.option("--reason", default="", metavar="TEXT", help="Why it is safe; it is recorded.")
@documented
@click.pass_context
def resume(context: click.Context, agents: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Let trading go on after a halt, with a reason."""
    _set_trading(context, agents, "ACTIVE", reason, as_json)


def _set_trading(
    context: click.Context, agents: tuple[str, ...], state: TradingState, reason: str, as_json: bool
) -> None:
    from aster_tui.cli import doing_operator

    sys.exit(doing_operator.set_trading(settings_of(context), agents, state, reason, as_json=as_json))


@click.command()
@click.argument("kind", metavar="orders|errors|audit", type=click.Choice(["orders", "errors", "audit"]))
@click.option("--agent", default=None, metavar="NAME", help="Only this agent's.")
@click.option("--follow", is_flag=True, help="Go on until it is interrupted; with --json one per line.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@documented
@click.pass_context
def log(
    context: click.Context, kind: str, agent: str | None, follow: bool, limit: int, as_json: bool
) -> None:
    """The logs; log audit verifies the chain too."""
    from aster_tui.cli import doing_log

    settings = settings_of(context, read_only=True)
    sys.exit(doing_log.log(settings, kind, agent, follow=follow, limit=limit, as_json=as_json))


COMMANDS = (order, cancel, modify, reduce_position, leverage, mode, doctor, halt, resume, log)

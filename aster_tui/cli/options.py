"""Options that several commands have, and the settings that come of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aster_tui.exits import USAGE

if TYPE_CHECKING:
    from aster_tui.config import Settings

F = TypeVar("F", bound=Callable[..., Any])


def settings_of(context: click.Context, **flags: Any) -> Settings:
    """The settings in force, or one line on stderr and exit code 2."""
    from aster_tui import config

    try:
        return config.load({**(context.find_root().obj or {}), **flags})
    except config.SettingsError as error:
        click.echo(f"aster-tui: {error}", err=True)
        sys.exit(USAGE)


def documented(command: F) -> F:
    """The option that asks for a document instead of words."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(command)


def confirmed(command: F) -> F:
    """The options of a command that changes something."""
    return click.option("--yes", is_flag=True, help="Do not ask; needed without a terminal.")(
        documented(command)
    )


def of_agent(command: F) -> F:
    """The option that names the agent."""
    return click.option("--agent", required=True, metavar="NAME")(command)


def of_agents(command: F) -> F:
    """The option that names agents; of all without one."""
    only = click.option(
        "--agent", "agents", multiple=True, metavar="NAME", help="Only this agent (repeatable)."
    )
    return only(command)

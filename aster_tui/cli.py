"""The command line: every action without a screen. Each command imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aster_tui import __version__

if TYPE_CHECKING:
    from aster_tui.config import Settings

#: Exit codes, the same for every command.
DONE, FAILED, USAGE, REFUSED, UNKNOWN, UNREACHABLE = 0, 1, 2, 3, 4, 5


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aster-tui")
@click.option("--profile", metavar="NAME", help="mainnet, testnet or practice.")
@click.option("--read-only", is_flag=True, default=None, help="Watch only: nothing can be changed.")
@click.option("--no-keys", is_flag=True, default=None, help="Load no key: MongoDB and public streams only.")
@click.pass_context
def main(context: click.Context, profile: str | None, read_only: bool | None, no_keys: bool | None) -> None:
    """The console of the person who runs AI trading agents on Aster. Without a command: the console."""
    context.obj = {"profile": profile, "read_only": read_only, "no_keys": no_keys}


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def paths(context: click.Context, as_json: bool) -> None:
    """Where settings, state, logs and styles are."""
    from aster_tui import locations

    settings = _settings(context)
    found: dict[str, Path] = {
        "settings": locations.config_file(),
        "env": locations.env_file(),
        "state": settings.state_folder,
        "log": locations.log_file(settings.state_folder),
        "styles": locations.styles_folder(),
    }
    if as_json:
        click.echo(json.dumps({name: str(path) for name, path in found.items()}))
        return
    for name, path in found.items():
        click.echo(f"{name:<9} {path}{'' if path.exists() else '  (not there yet)'}")


def _settings(context: click.Context, **flags: Any) -> Settings:
    """The settings in force, or one line on stderr and exit code 2."""
    from aster_tui import config

    try:
        return config.load({**(context.find_root().obj or {}), **flags})
    except config.SettingsError as error:
        click.echo(f"aster-tui: {error}", err=True)
        sys.exit(USAGE)


if __name__ == "__main__":
    main()

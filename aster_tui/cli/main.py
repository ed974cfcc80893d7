"""The command line: every action without a screen. Each command imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from aster_tui import __version__
from aster_tui.cli.acting import COMMANDS
from aster_tui.cli.emergency import EMERGENCY
from aster_tui.cli.options import documented, of_agents, settings_of
from aster_tui.exits import FAILED


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aster-tui")
@click.option("--profile", metavar="NAME", help="mainnet, testnet or practice.")
@click.option("--read-only", is_flag=True, default=None, help="Watch only: nothing can be changed.")
@click.option("--no-keys", is_flag=True, default=None, help="Load no key: MongoDB and public streams only.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep all that happens for a replay; a new file.",
)
@click.pass_context
def main(
    context: click.Context,
    profile: str | None,
    read_only: bool | None,
    no_keys: bool | None,
    record: Path | None,
) -> None:
    """The console of the person who runs AI trading agents on Aster. Without a command: the console."""
    context.obj = {"profile": profile, "read_only": read_only, "no_keys": no_keys}
    if context.invoked_subcommand is None:
        from aster_tui.cli import doing

        sys.exit(doing.console(settings_of(context), record))
    if record is not None and context.invoked_subcommand != "demo":
        raise click.UsageError("--record goes with the console and the demo")
    context.meta["aster_tui.record"] = record


@main.command()
@click.option("--read-only", is_flag=True, default=False, help="Watch only.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same market.")
@click.option("--agents", type=click.IntRange(1, 40), default=8, show_default=True, metavar="N")
@click.option("--headless", is_flag=True, help="No screen: print a status document at the end.")
@click.option("--seconds", type=click.FloatRange(1, 86_400), default=None, help="How long, headless.")
@click.pass_context
def demo(
    context: click.Context, read_only: bool, seed: int, agents: int, headless: bool, seconds: float | None
) -> None:
    """The console on a practice exchange and a MongoDB of its own; leaves nothing behind."""
    if seconds is not None and not headless:
        raise click.UsageError("--seconds goes with --headless")
    from aster_tui.demo import run

    watching = read_only or bool((context.find_root().obj or {}).get("read_only"))
    sys.exit(
        run.demo(
            seed=seed,
            agents=agents,
            read_only=watching,
            seconds=(seconds or 20) if headless else None,
            record=context.meta.get("aster_tui.record"),
        )
    )


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def practice(arguments: tuple[str, ...]) -> None:
    """The practice exchange alone, in the foreground (practice --help says its options)."""
    try:
        from aster_tui.practice.__main__ import main as serve
    except ModuleNotFoundError as error:
        _missing_extra(error)
    sys.exit(serve(list(arguments)))


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--at", metavar="TIME", help="14:51:07, 2026-11-24 14:51:07, +90s, -30s, or Unix ms.")
@click.option("--json", "as_json", is_flag=True, help="No screen: the status document of that moment.")
@click.pass_context
def replay(context: click.Context, file: Path, at: str | None, as_json: bool) -> None:
    """A recorded session in the console: pause, step, seek, speed."""
    from aster_tui.cli import doing_replay

    sys.exit(doing_replay.replay(settings_of(context), file, at, as_json=as_json))


@main.command()
@documented
@click.option("--timeout", type=click.FloatRange(1, 120), default=10, show_default=True, help="Seconds.")
@click.pass_context
def status(context: click.Context, as_json: bool, timeout: float) -> None:
    """The fleet as it stands."""
    from aster_tui.cli import doing

    # Looking changes nothing: the engine is built without any way to write.
    sys.exit(doing.status(settings_of(context, read_only=True), as_json=as_json, timeout=timeout))


@main.command()
@of_agents
@documented
@click.option("--timeout", type=click.FloatRange(1, 300), default=30, show_default=True, help="Seconds.")
@click.pass_context
def sync(context: click.Context, agents: tuple[str, ...], as_json: bool, timeout: float) -> None:
    """Exchange → MongoDB: positions and balances; reports drift."""
    from aster_tui.cli import doing

    sys.exit(doing.sync(settings_of(context), agents, as_json=as_json, timeout=timeout))


@main.command()
@of_agents
@click.pass_context
def worker(context: click.Context, agents: tuple[str, ...]) -> None:
    """Carry out queued decisions, without a screen, until it is stopped."""
    from aster_tui.cli import doing_trade

    sys.exit(doing_trade.worker(settings_of(context), agents))


@main.command()
@click.argument("agent")
@click.option("--coin", required=True, metavar="C", help="Such as BTC.")
@click.option("--signal", "direction", required=True, type=click.Choice(["long", "short", "close"]))
@click.option("--size-usd", type=float, metavar="U", help="The notional, in USD.")
@click.option("--leverage", type=int, metavar="L")
@click.option("--stop-loss", type=float, metavar="P")
@click.option("--profit-target", type=float, metavar="P")
@documented
@click.pass_context
def decide(
    context: click.Context,
    /,
    agent: str,
    coin: str,
    direction: str,
    as_json: bool,
    **numbers: float | None,
) -> None:
    """Queue a decision for an agent's worker."""
    from aster_tui.cli import doing_trade

    arguments = {"coin": coin, "signal": direction}
    arguments |= {name: value for name, value in numbers.items() if value is not None}  # type: ignore[misc]
    sys.exit(doing_trade.decide(settings_of(context), agent, arguments, as_json=as_json))


@main.group()
def keys() -> None:
    """Encrypted keystores; no key is ever printed."""


@keys.command("import")
@click.argument("agent")
@click.option("--password-file", metavar="FILE", help="Its first line; the file must be yours alone.")
@documented
@click.pass_context
def keys_import(context: click.Context, agent: str, password_file: str | None, as_json: bool) -> None:
    """Read an agent's private key (from the terminal or standard input) into a keystore."""
    from aster_tui.cli import doing_keys

    sys.exit(doing_keys.import_key(settings_of(context), agent, password_file, as_json=as_json))


@keys.command("list")
@documented
@click.pass_context
def keys_list(context: click.Context, as_json: bool) -> None:
    """The keystores there are, with their signers."""
    from aster_tui.cli import doing_keys

    sys.exit(doing_keys.list_keys(settings_of(context), as_json=as_json))


@keys.command("check")
@of_agents
@documented
@click.pass_context
def keys_check(context: click.Context, agents: tuple[str, ...], as_json: bool) -> None:
    """Open each agent's key and compare it with the configured signer."""
    from aster_tui.cli import doing_keys

    sys.exit(doing_keys.check_keys(settings_of(context), agents, as_json=as_json))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell, to be sourced from its start-up file."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(main, {}, "aster-tui", "_ASTER_TUI_COMPLETE").source())


@main.command()
@documented
@click.pass_context
def paths(context: click.Context, as_json: bool) -> None:
    """Where settings, state, logs and styles are."""
    from aster_tui import locations

    settings = settings_of(context)
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


def _missing_extra(error: ModuleNotFoundError) -> NoReturn:
    """One line instead of a traceback where the demo's parts are not installed."""
    click.echo(f"aster-tui: {error.name} is missing: install aster-tui[demo]", err=True)
    sys.exit(FAILED)


for command in (*COMMANDS, *EMERGENCY):
    main.add_command(command)

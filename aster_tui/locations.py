"""Where files are: the one module that knows, after the XDG base directories."""

from __future__ import annotations

from pathlib import Path

APP = "aster-tui"


def config_file() -> Path:
    """The TOML settings file (it need not exist)."""
    import platformdirs  # 5 ms, and only the commands that read settings need it

    return Path(platformdirs.user_config_dir(APP)) / "settings.toml"


def state_folder() -> Path:
    """Default folder of the journal, the logs and the remembered console state."""
    import platformdirs

    return Path(platformdirs.user_state_dir(APP))


def env_file() -> Path:
    """``.env.local`` of the folder the program was started in: it stands beside the agents' keys."""
    return Path.cwd() / ".env.local"


def log_file(state: Path) -> Path:
    """The JSON-lines log inside a state folder."""
    return state / "log" / "aster-tui.jsonl"


def styles_folder() -> Path:
    """The folder of ``*.tcss`` files: inside the installed wheel, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "styles"
    return shipped if shipped.is_dir() else package.parent / "styles"


def styles_path(name: str = "console.tcss") -> Path:
    """One style sheet of :func:`styles_folder`."""
    return styles_folder() / name

"""The wheel carries the style sheets, and both it and a checkout find them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from aster_tui import __version__, locations

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder the freshly built wheel is installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", CHECKOUT]
    subprocess.run(build, check=True, capture_output=True, timeout=100)
    (wheel,) = (folder / "dist").glob("*.whl")
    assert "aster_tui/styles/console.tcss" in zipfile.ZipFile(wheel).namelist()
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, timeout=100)
    return target


def run(installed: Path, folder: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed), "ASTER_TUI_STATE_DIR": str(folder / "state")}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_a_checkout_finds_its_styles() -> None:
    assert locations.styles_folder() == CHECKOUT / "styles"
    assert locations.styles_path().is_file()


def test_an_installed_wheel_finds_its_own_styles(installed: Path, tmp_path: Path) -> None:
    code = "from aster_tui import locations; print(locations.styles_path())"
    found = Path(run(installed, tmp_path, "-c", code))
    assert found.is_relative_to(installed)
    assert found.read_text() == locations.styles_path().read_text()


def test_the_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    assert __version__ in run(installed, tmp_path, "-m", "aster_tui.cli", "--version")
    assert "styles" in run(installed, tmp_path, "-m", "aster_tui.cli", "paths")

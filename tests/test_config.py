"""Settings: who wins over whom, and what a wrong one says."""

from decimal import Decimal
from pathlib import Path

import pytest

from aster_tui import config


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    for name in ("MONGODB_URI", *(f"ASTER_TUI_{f.upper()}" for f in config.Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "settings.toml", tmp_path / ".env.local"


def load(files: tuple[Path, Path], **flags: object) -> config.Settings:
    return config.load(flags, toml=files[0], env_file=files[1])


def test_the_nearer_source_wins(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    toml, env = files
    toml.write_text('profile = "testnet"\nsync_seconds = 11\n')
    assert load(files).sync_seconds == 11
    env.write_text("ASTER_TUI_SYNC_SECONDS=12\n")
    assert load(files).sync_seconds == 12
    monkeypatch.setenv("ASTER_TUI_SYNC_SECONDS", "13")
    assert load(files).sync_seconds == 13
    assert load(files, sync_seconds=14).sync_seconds == 14
    assert load(files, sync_seconds=None).sync_seconds == 13


def test_a_profile_fills_in_and_its_table_in_the_file_changes_it(files: tuple[Path, Path]) -> None:
    assert load(files, profile="mainnet").chain_id == 1666
    assert load(files, profile="testnet").chain_id == 714
    assert load(files).network == "TESTNET"
    files[0].write_text('[profiles.practice]\nrest_url = "http://127.0.0.1:1234/"\n')
    assert load(files, profile="practice").rest_url == "http://127.0.0.1:1234"
    assert load(files, profile="practice").network == "PRACTICE"


def test_an_unknown_host_counts_as_mainnet(files: tuple[Path, Path]) -> None:
    assert load(files, profile="practice", rest_url="https://proxy.example").network == "MAINNET"


def test_mongodb_address_comes_from_its_own_name_and_is_never_shown(files: tuple[Path, Path]) -> None:
    files[1].write_text("MONGODB_URI=mongodb+srv://me:hunter2@host/db\n")
    settings = load(files)
    assert settings.mongodb_uri is not None
    assert settings.mongodb_uri.get_secret_value().endswith("hunter2@host/db")
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ASTER_TUI_STALE_SECONDS", "soon", "ASTER_TUI_STALE_SECONDS in the environment"),
        ("ASTER_TUI_REST_URL", "ftp://x", "http:// or https://"),
        ("ASTER_TUI_PROFILE", "moonnet", "ASTER_TUI_PROFILE"),
        ("ASTER_TUI_INITIAL_BALANCE", "-1", "ASTER_TUI_INITIAL_BALANCE"),
        ("MONGODB_URI", "postgres://secret@x", "MONGODB_URI in the environment"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(config.SettingsError) as caught:
        load(files)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "secret" not in message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sync_secnds = 3\n", "did you mean sync_seconds?"),
        ("profile = \n", "settings file"),
        ("[profiles]\npractice = 3\n", "must be tables"),
        ("[profiles.practice]\nrest = 3\n", "profiles.practice.rest"),
    ],
)
def test_a_wrong_file_is_one_line(files: tuple[Path, Path], text: str, says: str) -> None:
    files[0].write_text(text)
    with pytest.raises(config.SettingsError, match=says.replace("?", r"\?")):
        load(files)


def test_defaults(files: tuple[Path, Path]) -> None:
    settings = load(files)
    assert settings.initial_balance == Decimal(1000)
    assert not settings.watching
    assert load(files, no_keys=True).watching


def test_agent_environment_takes_only_agents_keys(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files[1].write_text("AGENT_A_USER=0x1\nSHARED_ASTER_USER=0x2\nOTHER=3\n")
    monkeypatch.setenv("AGENT_A_USER", "0x9")
    found = config.agent_environment(files[1])
    assert found["AGENT_A_USER"] == "0x9"
    assert found["SHARED_ASTER_USER"] == "0x2"
    assert "OTHER" not in found


def test_keys_come_from_their_table_quoted_or_not(files: tuple[Path, Path]) -> None:
    files[0].write_text('[keys]\n"sync.one" = "f5"\nsync.all = "f6,f7"\n')
    assert load(files).keys == {"sync.one": "f5", "sync.all": "f6,f7"}
    files[0].write_text("[keys]\nsync.one = 5\n")
    with pytest.raises(config.SettingsError, match=r"setting keys in .*settings.toml"):
        load(files)


def test_keys_that_cannot_be_end_the_console_before_it_opens(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from aster_tui.cli.doing import console

    files[0].write_text('[keys]\n"sync.everything" = "f5"\n')
    assert console(load(files, state_dir=tmp_path)) == 2
    assert "keys.sync.everything: no action is called so" in capsys.readouterr().err

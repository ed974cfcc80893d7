"""Keys from keystores, commands and the keyring; files of others are refused, and no key is ever shown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import keyring
import keyring.backend
import pytest
from click.testing import CliRunner

from aster_tui import config
from aster_tui.cli import main
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.keys import PrivateKey
from aster_tui.engine import key_sources
from aster_tui.engine.key_sources import keystore_path, to_keystore
from aster_tui.engine.keys import KeyProblem, find_keys

SECRET = "4fd0a42218f3eae43a6ce26d22544e986139a01e5b34a62db53757ffca81bae1"
ADDRESS = "0x21cF8Ae13Bb72632562c6Fff438652Ba1a151bb0"
AGENT = AgentDocument("1", "Momentum", paper=False, user_address="0x" + "1" * 40)


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def why(environment: dict[str, str], state: Path | None = None) -> str:
    with pytest.raises(KeyProblem) as problem:
        find_keys(AGENT, environment, state)
    assert SECRET not in str(problem.value)
    assert "Momentum" in str(problem.value)
    return str(problem.value)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "a.json"
    assert to_keystore(path, PrivateKey.parse(SECRET), "correct horse").lower() == ADDRESS.lower()
    return path


def test_a_keystore_with_its_password_file(keystore: Path, tmp_path: Path) -> None:
    password = private(tmp_path / "p", "correct horse\n")
    found = find_keys(
        AGENT, {"AGENT_MOMENTUM_KEYSTORE": str(keystore), "AGENT_MOMENTUM_PASSWORD_FILE": str(password)}
    )
    assert found.key.reveal().hex() == SECRET
    assert oct(keystore.stat().st_mode & 0o777) == "0o600"
    assert SECRET not in keystore.read_text()
    wrong = {"AGENT_MOMENTUM_KEYSTORE": str(keystore), "SHARED_ASTER_PASSWORD": "wrong"}
    assert "the password is wrong" in why(wrong)
    assert "wants a password" in why({"AGENT_MOMENTUM_KEYSTORE": str(keystore)})
    password.chmod(0o640)
    assert "can be read by others" in why(
        {"AGENT_MOMENTUM_KEYSTORE": str(keystore), "SHARED_ASTER_PASSWORD_FILE": str(password)}
    )


def test_a_keystore_others_can_read_and_one_that_is_none(keystore: Path, tmp_path: Path) -> None:
    copied = tmp_path / "open.json"
    copied.write_text(keystore.read_text())
    copied.chmod(0o644)
    environment = {"AGENT_MOMENTUM_KEYSTORE": str(copied), "SHARED_ASTER_PASSWORD": "correct horse"}
    assert f"chmod 600 {copied}" in why(environment)
    for text in ("", "{}", "[]", '{"crypto": {}, "version": 3}'):
        bad = private(tmp_path / "bad.json", text)
        assert "is no keystore" in why({**environment, "AGENT_MOMENTUM_KEYSTORE": str(bad)})
    assert "cannot be read" in why({**environment, "AGENT_MOMENTUM_KEYSTORE": str(tmp_path / "none")})


def test_the_output_of_a_command(tmp_path: Path) -> None:
    script = tmp_path / "secret.py"
    script.write_text(f"print('0x{SECRET}')")
    found = find_keys(AGENT, {"AGENT_Momentum_KEY_COMMAND": f"{sys.executable} {script}"})
    assert (found.key.reveal().hex(), found.source) == (SECRET, "a command")
    script.write_text(f"import sys; print('{SECRET}'); print('{SECRET}', file=sys.stderr); sys.exit(3)")
    assert "failed with exit code 3" in why({"AGENT_MOMENTUM_KEY_COMMAND": f"{sys.executable} {script}"})
    assert "cannot be run" in why({"AGENT_MOMENTUM_KEY_COMMAND": "/no/such/program"})
    script.write_text("print('hello')")
    assert "64 hex digits" in why({"AGENT_MOMENTUM_KEY_COMMAND": f"{sys.executable} {script}"})


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys\nwhile True: sys.stdout.write('secret' * 999)", "prints far more than a key"),
        ("import sys\nsys.stdout.buffer.write(bytes([255, 254]))", "printed no text"),
        ("import time\ntime.sleep(99)", "did not end within 1 s"),
        ("import subprocess\nsubprocess.run(['sleep', '99'])", "did not end within 1 s"),
        ("import os\nos.close(1)\nos.kill(os.getpid(), 9)", "failed with exit code -9"),
        ("", "64 hex digits"),
    ],
)
def test_a_command_that_floods_hangs_or_prints_garbage_is_ended_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setattr(key_sources, "COMMAND_SECONDS", 1)
    script, began = tmp_path / "secret.py", tmp_path / "began"
    script.write_text(f"import os\nopen({str(began)!r}, 'w').write(str(os.getpid()))\n{program}")
    words = why({"AGENT_MOMENTUM_KEY_COMMAND": f"{sys.executable} {script}"})
    assert said in words
    assert "secret" not in words.replace(str(script), "")
    with pytest.raises(ProcessLookupError):  # it does not go on
        os.kill(int(began.read_text()), 0)


def test_a_command_of_no_words_is_told() -> None:
    assert "cannot be run" in why({"AGENT_MOMENTUM_KEY_COMMAND": " "})


class Ring(keyring.backend.KeyringBackend):
    priority = 1  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        return SECRET if (service, username) == ("aster-tui", "Momentum") else None

    def set_password(self, service: str, username: str, password: str) -> None: ...


def test_the_keyring() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    try:
        assert find_keys(AGENT, {"AGENT_MOMENTUM_KEYRING": "1"}).key.reveal().hex() == SECRET
        assert "nothing for Momentum under other" in why({"AGENT_MOMENTUM_KEYRING": "other"})
    finally:
        keyring.set_keyring(before)


def test_a_dotenv_file_that_others_can_read_gives_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / ".env.local"
    env.write_text(f"AGENT_MOMENTUM_PRIVATE_KEY={SECRET}\nAGENT_MOMENTUM_USER=0x1\n")
    env.chmod(0o644)
    found = config.agent_environment(env)
    assert found["AGENT_MOMENTUM_USER"] == "0x1"
    assert SECRET not in str(found)
    assert f"chmod 600 {env}" in why(found)
    env.chmod(0o600)
    assert find_keys(AGENT, config.agent_environment(env)).key.reveal().hex() == SECRET


def test_the_commands_import_list_and_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASTER_TUI_STATE_DIR", str(state))
    monkeypatch.setenv("ASTER_TUI_PROFILE", "practice")
    password = private(tmp_path / "p", "correct horse\n")
    monkeypatch.setenv("SHARED_ASTER_PASSWORD_FILE", str(password))
    monkeypatch.setenv("AGENT_MOMENTUM_USER", "0x" + "1" * 40)
    monkeypatch.setenv("AGENT_MOMENTUM_SIGNER", ADDRESS)

    def run(*arguments: str, given: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(main, ["keys", *arguments], input=given)
        assert SECRET not in done.output
        return done.exit_code, done.output

    asked = ("import", "Momentum", "--password-file", str(password), "--json")
    code, out = run(*asked, given=SECRET + "\n")
    assert (code, json.loads(out)["signer"].lower()) == (0, ADDRESS.lower())
    assert keystore_path(state, "Momentum").is_file()
    code, out = run(*asked, given=SECRET + "\n")
    assert (code, "exists already" in out) == (1, True)
    assert run(*asked, given="nonsense\n")[0] == 2
    assert ADDRESS.lower() in run("list", "--json")[1].lower()
    code, out = run("check", "--json")
    assert (code, json.loads(out)["checks"][0]["ok"]) == (0, True)
    monkeypatch.setenv("AGENT_MOMENTUM_SIGNER", "0x" + "2" * 40)
    code, out = run("check")
    assert (code, "configured signer" in out) == (1, True)

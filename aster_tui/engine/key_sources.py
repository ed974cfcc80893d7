"""Where a private key may be kept besides the environment: encrypted keystores, the keyring, a command's
output.

Everything here blocks (a keystore is made to be slow, a command may ask a server), so it is called on a
thread. No key, password or output of a command is ever told to anybody.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aster_tui.domain.keys import PrivateKey

COMMAND_SECONDS = 20
#: No key is longer.
COMMAND_BYTES = 4_096
KEYRING_SERVICE = "aster-tui"
FOLDER = "keystores"


class KeyProblem(Exception):
    """An agent's wallet cannot be used. The text says why and what to do, and never holds a key."""


def check_private(path: Path) -> None:
    """Refuse a file that others can read.

    Raises:
        KeyProblem: with what to do.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyProblem(f"{path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyProblem(f"{path} can be read by others, so it is not used: chmod 600 {path}")


def keystore_path(folder: Path, name: str) -> Path:
    """Where the keystore of an agent is."""
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name.lower())
    return folder / FOLDER / f"{safe}.json"


def from_keystore(path: Path, password: Callable[[], str]) -> PrivateKey:
    """The key of a Web3 Secret Storage file.

    Raises:
        KeyProblem: it is missing, open to others, no keystore, or the password is wrong.
    """
    check_private(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KeyProblem(f"{path} is no keystore: {type(error).__name__}") from None
    from eth_account import Account

    try:
        return PrivateKey(bytes(Account.decrypt(content, password())))
    except KeyProblem:
        raise
    except ValueError:
        raise KeyProblem(f"{path}: the password is wrong") from None
    except Exception as error:  # the library has many words for a damaged file; none may reach a screen
        raise KeyProblem(f"{path} is no keystore that can be read: {type(error).__name__}") from None


def to_keystore(path: Path, key: PrivateKey, password: str) -> str:
    """Write a keystore only its owner can read; returns the signer's address.

    Raises:
        KeyProblem: it exists already, or cannot be written.
    """
    from eth_account import Account

    content = Account.encrypt(key.reveal(), password)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
    except FileExistsError:
        raise KeyProblem(f"{path} exists already: remove it first if it is to be replaced") from None
    except OSError as error:
        raise KeyProblem(f"{path} cannot be written: {error.strerror}") from None
    return address_in(content)


def address_in(content: Any) -> str:
    """The address a keystore names, empty if it names none."""
    address = content.get("address", "") if isinstance(content, dict) else ""
    return f"0x{str(address).removeprefix('0x')}" if address else ""


def keystores(folder: Path) -> Iterator[tuple[Path, str]]:
    """The keystores of a state folder with their addresses."""
    for path in sorted((folder / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            yield path, address_in(json.loads(path.read_text(encoding="utf-8")))


def from_command(command: str) -> str:
    """What a command prints: any secrets manager's own tool. It runs without a shell.

    Raises:
        KeyProblem: it failed; its output is told to nobody.
    """
    try:
        words = shlex.split(command)
        if not words:
            raise ValueError
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that all it started can be ended with it
        )
    except (OSError, ValueError) as error:
        raise KeyProblem(f"the key command cannot be run: {type(error).__name__}") from None
    with process:
        try:
            output = _output(process, time.monotonic() + COMMAND_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with all that it started
    if process.returncode:
        raise KeyProblem(f"the key command {words[0]} failed with exit code {process.returncode}")
    try:
        return output.decode().strip()
    except UnicodeDecodeError:
        raise KeyProblem("the key command printed no text") from None


def _output(process: subprocess.Popen[bytes], until: float) -> bytes:
    """All that a command prints until it ends: of bounded length, and in bounded time."""
    pipe, output = process.stdout, b""
    if pipe is None:
        return output
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0 and selector.select(left):
            chunk = os.read(pipe.fileno(), COMMAND_BYTES)
            if not chunk:
                break
            output += chunk
            if len(output) > COMMAND_BYTES:
                raise KeyProblem("the key command prints far more than a key")
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise KeyProblem(f"the key command did not end within {COMMAND_SECONDS} s") from None
    return output


def from_keyring(service: str, name: str) -> str:
    """A secret of the operating system's keyring.

    Raises:
        KeyProblem: there is no keyring, or nothing under that name.
    """
    try:
        import keyring

        found = keyring.get_password(service, name)
    except Exception as error:  # each system's keyring fails in its own way
        raise KeyProblem(f"the keyring cannot be asked: {type(error).__name__}") from None
    if not found:
        raise KeyProblem(f"the keyring has nothing for {name} under {service}")
    return str(found)


def password_file(path: Path) -> str:
    """The first line of a file that only its owner can read."""
    check_private(path)
    try:
        return path.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        raise KeyProblem(f"{path} holds no password") from None

"""A private MongoDB server for the demo and the tests: started here, gone with whoever started it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

START_SECONDS, STOP_SECONDS = 20.0, 5.0
#: mongod's log id of "Listening on", which names the port it was given.
LISTENING = 23016
#: sun_path has 108 bytes; mongod's own file names need room.
LONGEST_SOCKET = 100

#: Run in the child before mongod: on Linux the kernel then kills it with its parent, however that dies.
_EXEC = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class MongodMissing(Exception):
    """There is no mongod on this machine. One line that says what to install or set."""


class MongodFailed(Exception):
    """mongod did not start. One line with its own last words."""


def find_mongod() -> str:
    """Path of a mongod: on the PATH first, else the one a wheel carries.

    Raises:
        MongodMissing: neither is there.
    """
    found = shutil.which("mongod")
    if found:
        return found
    spec = importlib.util.find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        carried = Path(folder) / "db" / "bin" / "mongod"
        if carried.is_file():
            if not os.access(carried, os.X_OK):
                with contextlib.suppress(OSError):
                    carried.chmod(0o755)
            return str(carried)
    raise MongodMissing(
        "no MongoDB here: install mongod so that it is on the PATH, or set MONGODB_URI to a server"
    )


class LocalMongod:
    """One mongod on ``folder``: a replica set of one, so change streams and transactions work.

    Args:
        socket: listen on a unix socket in ``folder`` only, no TCP port at all; else on 127.0.0.1 with a
            free port.
        replica_set: False starts a standalone server, which has no change streams.
        parameters: more ``--setParameter NAME=VALUE``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        socket: bool = False,
        replica_set: bool = True,
        parameters: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder
        self._socket = folder / "m.sock" if socket else None
        self._replica_set = replica_set
        self._parameters = parameters
        self._process: subprocess.Popen[bytes] | None = None
        self._host = ""
        self._port = 0
        if self._socket is not None and len(str(self._socket)) > LONGEST_SOCKET:
            raise MongodFailed(f"the folder's path is too long for a socket: {folder}")

    @property
    def uri(self) -> str:
        """Its address."""
        return f"mongodb://{quote(self._host, safe=':.')}/?directConnection=true"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise MongodFailed("mongod is not running")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it can be written to.

        The kernel ties the server's life to the *thread* that starts it: start it from one that lives as
        long as the server shall.

        Raises:
            MongodMissing, MongodFailed: one line each.
        """
        binary = find_mongod()
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        log = self._folder / "log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-S", "-c", _EXEC, str(os.getpid()), binary, *self._options(log)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        try:
            self._wait_for_listening(log)
            self._initiate()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it: asked first, killed if it does not listen. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()

    def kill(self) -> None:
        """End it as a power cut would; :meth:`start` brings it back on the same data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _options(self, log: Path) -> list[str]:
        options = ["--dbpath", str(self._folder / "data"), "--logpath", str(log)]
        options += ["--oplogSize", "16", "--wiredTigerCacheSizeGB", "0.25"]
        options += ["--networkMessageCompressors", "disabled"]
        # Without this the data folder takes 300 MB instead of 9.
        options += ["--wiredTigerEngineConfigString", "log=(enabled=true,prealloc=false,file_max=8MB)"]
        if self._replica_set:
            options += ["--replSet", "rs0"]
        for parameter in self._parameters:
            options += ["--setParameter", parameter]
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            return [*options, "--bind_ip", str(self._socket), "--filePermissions", "0600"]
        # A restart keeps the port: a client that lost the server finds it again.
        return [*options, "--bind_ip", "127.0.0.1", "--port", str(self._port), "--nounixsocket"]

    def _wait_for_listening(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise MongodFailed(f"mongod ended at once: {_last_words(log)}")
            if self._socket is not None:
                if self._socket.exists():
                    self._host = str(self._socket)
                    return
            elif port := _port(log):
                self._port, self._host = port, f"127.0.0.1:{port}"
                return
            time.sleep(0.02)
        raise MongodFailed(f"mongod did not listen within {START_SECONDS:.0f} s: {_last_words(log)}")

    def _initiate(self) -> None:
        from pymongo import MongoClient
        from pymongo.errors import OperationFailure

        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=5000) as client:
            if not self._replica_set:
                client.admin.command("ping")
                return
            config = {"_id": "rs0", "members": [{"_id": 0, "host": self._host}]}
            with contextlib.suppress(OperationFailure):  # initiated already, on the same data
                client.admin.command("replSetInitiate", config)
            deadline = time.monotonic() + START_SECONDS
            while not client.admin.command("hello").get("isWritablePrimary"):
                if time.monotonic() > deadline:
                    raise MongodFailed("mongod did not become a writable primary")
                time.sleep(0.02)


def _port(log: Path) -> int:
    for line in _lines(log):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("id") == LISTENING and (port := entry.get("attr", {}).get("port")):
            return int(port)
    return 0


def _last_words(log: Path) -> str:
    words = ""
    for line in _lines(log):
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry.get("s") in ("E", "F"):
                words = f"{entry.get('msg')} {entry.get('attr', '')}"[:300]
    return words or "its log says nothing"


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()
    except OSError:
        return []

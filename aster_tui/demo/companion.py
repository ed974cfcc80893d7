"""The console's side of the demo: one temporary folder and one host process, and nothing left of either."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aster_tui.config import Settings, load

READY_SECONDS = 30.0
STOP_SECONDS = 8.0


class DemoError(Exception):
    """The demo cannot run. The text is one line for people."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a started host serves."""

    settings: Settings
    environment: Mapping[str, str]


class Companion:
    """Starts the host process (mongod, practice exchange, decision maker) and ends it.

    The host lives in a session of its own, so that a Ctrl-C meant for the console does not hit it, and
    ends when its standard input ends: also when this process is killed outright.
    """

    def __init__(self, *, seed: int, agents: int, read_only: bool) -> None:
        self._seed = seed
        self._agents = agents
        self._read_only = read_only
        # A short path: it holds the database's socket, whose name may have about 100 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="aster-demo-"))
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the host; :meth:`ready` waits for it."""
        command = [sys.executable, "-m", "aster_tui.demo.host", "--folder", str(self.folder)]
        command += ["--seed", str(self._seed), "--agents", str(self._agents)]
        with (self.folder / "host.log").open("w") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    async def ready(self) -> Ready:
        """Wait until everything is served.

        Raises:
            DemoError: the host said why not, or ended, or took too long.
        """
        try:
            line = await asyncio.wait_for(asyncio.to_thread(self._first_line), READY_SECONDS)
        except TimeoutError:
            raise DemoError(f"the demo's servers did not start within {READY_SECONDS:.0f} s") from None
        document: dict[str, Any] = json.loads(line) if line.startswith("{") else {"error": self._last_words()}
        if "error" in document:
            raise DemoError(document["error"])
        settings = load(
            {
                "profile": "practice",
                "rest_url": document["rest"],
                "ws_url": document["ws"],
                "chain_id": document["chain_id"],
                "mongodb_uri": document["mongodb_uri"],
                "mongodb_database": document["mongodb_database"],
                "read_only": self._read_only,
                "no_keys": False,
                "state_dir": self.folder / "state",
                "sync_seconds": 5,
            }
        )
        # Nobody is to be woken up for what happens in a demo.
        return Ready(settings.model_copy(update={"notify": None}), document["environment"])

    def stop(self) -> None:
        """End the host, wait for it, and remove the folder."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _first_line(self) -> str:
        process = self._process
        if process is None or process.stdout is None:
            raise DemoError("the demo's servers were not started")
        return process.stdout.readline()

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "host.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return f"the demo's servers ended: {lines[-1] if lines else 'without a word'}"

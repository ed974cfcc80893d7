"""The private mongod leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from aster_tui.store import mongod as module
from aster_tui.store.mongod import LocalMongod, MongodFailed, MongodMissing, find_mongod


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_on_a_socket_it_has_no_port_and_ends_with_stop(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"am{os.getpid()}"
    folder.mkdir()
    try:
        with LocalMongod(folder, socket=True) as mongod:
            pid = mongod.pid
            assert oct((folder / "m.sock").stat().st_mode)[-3:] == "600"
            with MongoClient[dict[str, Any]](mongod.uri) as client:
                assert client.admin.command("hello")["isWritablePrimary"]
        assert gone(pid)
    finally:
        import shutil

        shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_it_dies_with_its_parent_however_that_dies(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from aster_tui.store.mongod import LocalMongod; "
        "m = LocalMongod(pathlib.Path(sys.argv[1])); m.start(); print(m.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert gone(pid)


def test_a_path_too_long_for_a_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(MongodFailed, match="too long"):
        LocalMongod(tmp_path / ("x" * 120), socket=True)


def test_a_mongod_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(MongodFailed) as raised:
        LocalMongod(tmp_path, parameters=("noSuchParameter=1",)).start()
    assert "\n" not in str(raised.value)


def test_no_mongod_at_all_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MongodMissing) as raised:
        find_mongod()
    assert "MONGODB_URI" in str(raised.value)
    assert "\n" not in str(raised.value)

"""Nonces only ever rise."""

from __future__ import annotations

import fcntl
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.aster.nonces import LOCK_SECONDS, NonceSource


@given(st.lists(st.tuples(st.integers(0, 10**19), st.integers(-10_000, 10_000)), min_size=1, max_size=50))
def test_strictly_increasing_whatever_the_clock_and_the_offset_do(readings: list[tuple[int, int]]) -> None:
    clock = iter([nanoseconds for nanoseconds, _ in readings])
    source = NonceSource(clock_ns=lambda: next(clock))
    nonces = []
    for _, source.offset_ms in readings:
        nonces.append(source.next("0xA"))
    assert all(later > earlier for earlier, later in itertools.pairwise(nonces))


def test_each_signer_counts_for_itself_in_microseconds_of_server_time() -> None:
    source = NonceSource(clock_ns=lambda: 1_000_000_000)
    assert source.next("0xA") == source.next("0xB") == 1_000_000
    source.offset_ms = 250
    assert source.next("0xC") == 1_250_000


def test_threads_never_get_the_same_nonce() -> None:
    source = NonceSource()
    found: list[int] = []

    def take() -> None:
        found.extend([source.next("0xA") for _ in range(2000)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8000


def test_a_folder_serves_many_processes_and_none_gets_anothers_nonce(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from aster_tui.aster.nonces import NonceSource; "
        "n = NonceSource(pathlib.Path(sys.argv[1])); print([n.next('0xAB') for _ in range(3000)])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    taken = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert all(mine == sorted(set(mine)) for mine in taken)
    assert len({nonce for mine in taken for nonce in mine}) == 9000


@given(st.lists(st.integers(0, 10**19), min_size=2, max_size=20))
def test_a_restart_does_not_forget_whatever_the_clock_says_then(readings: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        nonces = []
        for reading in readings:  # a new process each time
            source = NonceSource(Path(folder), clock_ns=lambda at=reading: at)  # type: ignore[misc]
            nonces.append(source.next("0xAB"))
            source.close()
        assert all(later > earlier for earlier, later in itertools.pairwise(nonces))


def test_a_cut_file_and_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    source = NonceSource(tmp_path)
    first = source.next("0xAB")
    (tmp_path / "0xab").write_bytes(b"\1\2")
    assert source.next("0xAB") > first
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):  # noqa: PT011
        NonceSource(tmp_path / "file" / "below").next("0xAB")
    with pytest.raises(OSError, match="no file"):
        NonceSource(tmp_path).next("../../etc")


def test_one_that_insists_goes_on_without_its_folder_and_waits_for_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    nonces = NonceSource(tmp_path / "file" / "below", insists=True)
    assert nonces.next("0xAB") < nonces.next("0xAB")

    shared = NonceSource(tmp_path, insists=True)
    first = shared.next("0xAB")
    with (tmp_path / "0xab").open() as held:  # a process that was stopped while it held the lock
        fcntl.flock(held, fcntl.LOCK_EX)
        began = time.monotonic()
        assert shared.next("0xAB") > first
        assert time.monotonic() - began < 5
        # That it is held is found out once, not by each of a close-all's requests.
        waited = time.monotonic()
        for _ in range(100):
            shared.next("0xAB")
        assert time.monotonic() - waited < 100 * LOCK_SECONDS / 2
    assert shared.next("0xAB") > first


def test_a_process_that_was_stopped_with_the_lock_holds_up_no_other(tmp_path: Path) -> None:
    one, two = NonceSource(tmp_path), NonceSource(tmp_path)
    given = [one.next("0xAB"), two.next("0xAB")]
    with (tmp_path / "0xab").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        given += [source.next("0xAB") for _ in range(3) for source in (one, two)]
    given += [one.next("0xAB"), two.next("0xAB")]
    assert given == sorted(set(given))
    assert int.from_bytes((tmp_path / "0xab").read_bytes(), "big") == given[-1]


def test_one_that_insists_goes_back_to_the_exchange_s_time_after_a_clock_that_was_far_ahead(
    tmp_path: Path,
) -> None:
    wrong = NonceSource(tmp_path, clock_ns=lambda: 1_120_000_000_000)
    assert wrong.next("0xAB") == 1_120_000_000
    right = NonceSource(tmp_path, insists=True, clock_ns=lambda: 1_000_000_000_000)
    assert [right.next("0xAB") for _ in range(3)] == [1_000_000_000, 1_000_000_001, 1_000_000_002]
    own = NonceSource(insists=True, clock_ns=lambda: 1_000_000_000_000)
    own.offset_ms = 120_000
    assert own.next("0xAB") == 1_120_000_000
    own.offset_ms = 0
    assert [own.next("0xAB"), own.next("0xAB")] == [1_000_000_000, 1_000_000_001]


class Clocks:
    """A machine's clock that is set, and one that is not; both in ns."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000_000_000, 5_000_000_000

    def go(self, seconds: float) -> None:
        self.wall += int(seconds * 1e9)
        self.steady += int(seconds * 1e9)

    def source(self, folder: Path | None = None) -> NonceSource:
        return NonceSource(folder, clock_ns=lambda: self.wall, steady=lambda: self.steady)


def test_a_clock_that_is_set_after_the_measurement_moves_no_nonce_away_from_server_time() -> None:
    for jump in (3600, -3600, 2, -2):
        clocks = Clocks()
        source = clocks.source()
        source.measured(250, 10)
        clocks.wall += jump * 10**9
        clocks.go(4)
        assert source.next("0xA") == 1_004_250_000
        source.measured(250 - jump * 1000, 10)  # found out
        clocks.go(1)
        assert source.next("0xA") == 1_005_250_000
        clocks.wall += 200_000_000  # small steps are followed: the steady clock may be the one that is off
        assert source.next("0xA") == 1_005_450_000


@pytest.mark.parametrize("kept", [True, False])
def test_nonces_of_a_clock_that_was_far_ahead_hold_nobody_up_once_server_time_is_known(
    kept: bool, tmp_path: Path
) -> None:
    clocks = Clocks()
    clocks.wall += 3600 * 10**9  # an hour ahead, and nobody knows yet
    source = clocks.source(tmp_path if kept else None)
    assert source.next("0xA") == 4_600_000_000
    source.measured(-3_600_000, 10)
    first = source.next("0xA")
    assert first == 1_000_000_000
    assert source.next("0xA") == first + 1
    if kept:
        other = clocks.source(tmp_path)  # another process, later
        other.measured(-3_600_000, 10)
        assert other.next("0xA") == first + 2


def test_nonces_within_the_window_are_counted_on_from() -> None:
    clocks = Clocks()
    clocks.wall += 8 * 10**9
    source = clocks.source()
    ahead = source.next("0xA")
    source.measured(-8_000, 10)  # the venue may have taken it
    assert source.next("0xA") == ahead + 1


def test_only_what_the_venue_would_still_keep_is_recent() -> None:
    source = NonceSource()
    assert source.is_recent("0xA", 5)
    given_first = [source.next("0xA") for _ in range(100)]
    assert source.is_recent("0xA", given_first[0])
    source.next("0xA")
    assert not source.is_recent("0xA", given_first[0])
    assert source.is_recent("0xA", given_first[1])

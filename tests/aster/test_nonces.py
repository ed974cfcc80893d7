"""Nonces only ever rise."""

from __future__ import annotations

import itertools
import threading

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.aster.nonces import NonceSource


@given(st.lists(st.tuples(st.integers(0, 10**19), st.integers(-10_000, 10_000)), min_size=1, max_size=50))
def test_strictly_increasing_whatever_the_clock_and_the_offset_do(readings: list[tuple[int, int]]) -> None:
    clock = iter([nanoseconds for nanoseconds, _ in readings])
    source = NonceSource(clock_ns=lambda: next(clock))
    nonces = [source.next("0xA", offset) for _, offset in readings]
    assert all(later > earlier for earlier, later in itertools.pairwise(nonces))


def test_each_signer_counts_for_itself_in_microseconds_of_server_time() -> None:
    source = NonceSource(clock_ns=lambda: 1_000_000_000)
    assert source.next("0xA") == source.next("0xB") == 1_000_000
    assert source.next("0xC", offset_ms=250) == 1_250_000


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

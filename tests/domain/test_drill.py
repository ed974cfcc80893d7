"""How one drill stands beside earlier ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aster_tui.domain.drill import FAULTS, INCIDENTS, WORDS, Drill, alike, as_data, beside, from_data
from aster_tui.practice.faults import FAULTS as KNOWN

DRILL = Drill(
    at=1_000,
    incident="none",
    accounts=3,
    positions=5,
    orders=6,
    seed=1,
    ok=True,
    exit_code=0,
    closed_ms=300,
    flat_ms=400,
    verified_ms=350,
    process_ms=900,
    rounds=1,
    liquidated=0,
    left=("BTCUSDT 1",),
)


def test_every_incident_has_words_and_only_faults_there_are() -> None:
    assert set(WORDS) == set(INCIDENTS)
    for faults in FAULTS.values():
        for name, value in faults.items():
            least, most = KNOWN[name]
            assert least <= value <= most


def test_what_was_kept_is_read_again_and_what_is_none_is_refused() -> None:
    assert from_data(as_data(DRILL)) == DRILL
    assert from_data({**as_data(DRILL), "of a later version": 1}) == DRILL
    with pytest.raises(ValueError, match="not a drill"):
        from_data({"at": 1})


def test_only_earlier_ones_of_the_same_kind_are_compared() -> None:
    now = replace(DRILL, at=9_000)
    others = [
        replace(DRILL, at=2_000),
        replace(DRILL, at=1_000, seed=7),
        replace(DRILL, at=3_000, incident="503-storm"),
        replace(DRILL, at=3_000, accounts=20),
        now,
        replace(DRILL, at=10_000),
    ]
    assert [one.at for one in alike(now, others)] == [1_000, 2_000]


def test_the_words_of_a_comparison() -> None:
    assert beside(DRILL, []) == "the first of its kind"
    before = [replace(DRILL, flat_ms=ms) for ms in (500, 800, 900)]
    assert beside(DRILL, before) == "-50 % against the median of 3 earlier ones (800 ms)"
    assert beside(replace(DRILL, flat_ms=None), before[:1]) == "1 earlier one: flat after 500 ms (median)"
    assert beside(DRILL, [replace(DRILL, ok=False)]) == "the first of its kind"

"""Fixtures every room shares."""

import pytest
from hypothesis import HealthCheck, settings

from aster_tui.aster import gate
from aster_tui.aster.nonces import SHARED
from aster_tui.practice.risk import Risk

pytest_plugins = ["tests.mongo", "tests.floor"]

# Shared machines are slow at times: how long an example took says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

# The hour of funding may come while tests run; whoever tests it lets it come.
Risk.funds_by_the_hour = False


#: What begins first, because it takes longest: processes, bad days, every key on every screen.
LONGEST = ("tests/test_", "tests/faults/", "tests/console/test_read_only")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """At the end no worker is waited for that has only just begun a long one."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(autouse=True)
def clock_of_nobody() -> None:
    """What a test measured of its exchange's clock, or was told of its limits, says nothing about the next
    test's exchange, which may get the same port."""
    SHARED.offset_ms, SHARED._ahead = 0, None
    SHARED._last.clear()
    SHARED._recent.clear()
    gate._GATES.clear()

"""Fixtures every room shares."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.mongo"]

# Shared machines are slow at times: how long an example took says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

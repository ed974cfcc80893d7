"""Fixtures every room shares."""

pytest_plugins = ["tests.mongo"]

"""A real mongod for the tests: one per test session (and per xdist worker), a fresh database per test."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from aster_tui.store.mongod import LocalMongod

TEST_PARAMETERS = ("ttlMonitorSleepSecs=1", "enableTestCommands=1")


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """The address of a mongod that may be written to: MONGODB_URI if it is set, else one of our own."""
    given = os.environ.get("MONGODB_URI")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="aster-test-") as folder:
        mongod = LocalMongod(Path(folder), parameters=TEST_PARAMETERS)
        with mongod:
            yield mongod.uri


@pytest.fixture
def mongo_database(mongo_uri: str) -> Iterator[str]:
    """The name of a database nobody else uses."""
    name = f"aster_test_{secrets.token_hex(4)}"
    yield name
    with MongoClient[dict[str, Any]](mongo_uri, serverSelectionTimeoutMS=2000) as client:
        client.drop_database(name)


@pytest.fixture
def raw_database(mongo_uri: str, mongo_database: str) -> Iterator[Any]:
    """That database through the plain driver, to arrange and to look."""
    with MongoClient[dict[str, Any]](mongo_uri, serverSelectionTimeoutMS=5000) as client:
        yield client[mongo_database]

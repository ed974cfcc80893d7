"""The driver's exceptions as this project's: words for people, no password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from aster_tui.logs import redact
from aster_tui.store.base import StoreError, StoreRefused, StoreUnavailable

#: Server codes: unauthorized, authentication failed, and Atlas's own "bad auth".
_REFUSED = frozenset({13, 18, 8000})
#: Longer than this nobody reads; a topology description is a page.
_SHOWN = 160


@contextmanager
def told() -> Iterator[None]:
    """Turn what the driver raises into a :class:`StoreError`."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        raise as_store_error(error) from error


def as_store_error(error: Exception) -> StoreError:
    """The matching error with words for people."""
    words = _words(error)
    if isinstance(error, InvalidURI):
        return StoreError(f"the database address cannot be read: {words}", remedy="correct MONGODB_URI")
    if isinstance(error, ExecutionTimeout | WTimeoutError):
        return StoreUnavailable(f"the database was too slow: {words}", remedy="it is tried again by itself")
    if isinstance(error, ConnectionFailure | AutoReconnect):
        return StoreUnavailable(
            f"the database cannot be reached: {words}",
            remedy="check MONGODB_URI and the network; it is tried again",
        )
    if isinstance(error, ConfigurationError):
        return StoreUnavailable(
            f"the database address leads nowhere: {words}", remedy="check the host name in MONGODB_URI"
        )
    if isinstance(error, OperationFailure) and error.code in _REFUSED:
        return StoreRefused(
            f"the database refused: {words}", remedy="check user, password and roles in MONGODB_URI"
        )
    return StoreError(f"the database could not do it: {words}", remedy="see the log")


def _words(error: Exception) -> str:
    text = redact(str(error) or type(error).__name__)
    text = re.split(r", full error: |, Timeout: |, Topology Description", text)[0]
    return " ".join(text.split())[:_SHOWN]

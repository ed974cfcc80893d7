"""Following a database: one change stream for all collections, or polling where the server has none.

Each open change stream holds one of the driver's threads, so there is one on the database, never one per
collection (measured: with as many streams as threads a query waits a second).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from pymongo.errors import OperationFailure

from aster_tui.store.base import Operation, StoreChange

COLLECTIONS = ("agents", "positions", "trades", "orders", "errors", "shadows", "audit")
_OPERATIONS: dict[str, Operation] = {
    "insert": "insert",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
}
#: "$changeStream is only supported on replica sets", and servers that do not know the stage at all.
_NO_STREAMS = frozenset({40573, 40324, 303})
#: Fields no screen shows and that can be large: they stay in the database.
_HEAVY = ("decisionHistory", "prompt")
POLL_SECONDS = 1.0
#: How many of the newest documents of a growing collection a poll looks at.
WINDOW = 200


async def changes(
    database: Any, on_state: Callable[[str], None] | None, max_time_ms: int
) -> AsyncIterator[StoreChange]:
    """Every change from now on, until the connection fails."""
    try:
        async for change in _stream(database, on_state):
            yield change
    except OperationFailure as error:
        if error.code not in _NO_STREAMS:
            raise
        async for change in _poll(database, on_state, max_time_ms):
            yield change


async def _stream(database: Any, on_state: Callable[[str], None] | None) -> AsyncIterator[StoreChange]:
    pipeline = [
        {"$match": {"ns.coll": {"$in": list(COLLECTIONS)}, "operationType": {"$in": list(_OPERATIONS)}}},
        {"$project": {f"fullDocument.{field}": 0 for field in _HEAVY}},
    ]
    # Entering it opens it, without waiting for a first change: what is written from here on is seen.
    async with database.watch(pipeline, full_document="updateLookup", max_await_time_ms=500) as stream:
        if on_state is not None:
            on_state("stream")
        async for raw in stream:
            yield _change(raw)


def _change(raw: Mapping[str, Any]) -> StoreChange:
    operation = _OPERATIONS[raw["operationType"]]
    document = raw.get("fullDocument")
    if operation != "delete" and document is None:
        operation = "delete"  # updated and gone before it could be looked up
    return StoreChange(raw["ns"]["coll"], operation, str(raw["documentKey"]["_id"]), document)


async def _poll(
    database: Any, on_state: Callable[[str], None] | None, max_time_ms: int
) -> AsyncIterator[StoreChange]:
    known = {name: await _look(database, name, {}, max_time_ms) for name in COLLECTIONS}
    if on_state is not None:
        on_state("polling")
    while True:
        await asyncio.sleep(POLL_SECONDS)
        for name in COLLECTIONS:
            seen = await _look(database, name, known[name], max_time_ms)
            for change in _differences(name, known[name], seen):
                yield change
            known[name] = seen


async def _look(
    database: Any, name: str, known: Mapping[Any, Mapping[str, Any]], max_time_ms: int
) -> dict[Any, Mapping[str, Any]]:
    query: dict[str, Any] = {}
    if name in ("positions", "shadows"):
        # The open ones, and those that were open when last seen: they may be closed now.
        still = [key for key, document in known.items() if document.get("status") != "closed"]
        query = {"$or": [{"status": {"$ne": "closed"}}, {"_id": {"$in": still}}]}
    cursor = database[name].find(query, dict.fromkeys(_HEAVY, 0), max_time_ms=max_time_ms)
    if name in ("trades", "orders", "errors", "audit"):
        cursor = cursor.sort("at" if name == "audit" else "timestamp", -1).limit(WINDOW)
    return {document["_id"]: document for document in await cursor.to_list(None)}


def _differences(
    name: str, known: Mapping[Any, Mapping[str, Any]], seen: Mapping[Any, Mapping[str, Any]]
) -> list[StoreChange]:
    found = [
        StoreChange(name, "insert" if key not in known else "update", str(key), document)
        for key, document in seen.items()
        if known.get(key) != document
    ]
    if name == "agents":
        found += [StoreChange(name, "delete", str(key), None) for key in known if key not in seen]
    elif name == "positions":
        found += [
            StoreChange(name, "delete", str(key), None)
            for key, document in known.items()
            if key not in seen and document.get("status") != "closed"
        ]
    return found

"""MongoDB behind the store interface: the only module that imports motor.

Motor gets critical fixes only, until May 2027. Its successor is pymongo's own asynchronous client, with
nearly the same calls: moving is a change to this file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aster_tui.domain.audit import AuditLine
from aster_tui.domain.documents import (
    HUNDRED,
    AgentDocument,
    PositionDocument,
    TradeDocument,
    as_decimal,
    parse_agent,
    parse_position,
    parse_trade,
)
from aster_tui.domain.events import Control, ErrorRaised, OrderRecorded
from aster_tui.domain.records import parse_audit, parse_error_record, parse_order_record
from aster_tui.domain.sync_plan import SyncPlan
from aster_tui.domain.trading import ZERO
from aster_tui.store.base import StoreChange, StoreError, StoreUnavailable

#: Motor's default is five threads per core; a few slow queries and a stream must not fill it.
os.environ.setdefault("MOTOR_MAX_WORKERS", "24")

HEAVY = {"decisionHistory": 0, "prompt": 0}


def connect(uri: str, database: str, *, writable: bool, timeout_s: float = 5.0) -> MongoReader | MongoWriter:
    """A store on a database; nothing is contacted before its first use.

    ``uri`` may be a ``mongodb+srv://`` one: its names are looked up on a thread at the first use. A
    database named in the address comes before ``database``.
    """
    return (MongoWriter if writable else MongoReader)(uri, database, timeout_s)


class MongoReader:
    """Reads the fleet. It has no method that writes."""

    def __init__(self, uri: str, database: str, timeout_s: float) -> None:
        self._uri = uri
        self._name = database
        self._timeout_ms = int(timeout_s * 1000)
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def ping(self) -> float:
        """Round trip in ms."""
        database = await self._database()
        started = time.perf_counter()
        await self._do(lambda: database.command("ping"))
        return (time.perf_counter() - started) * 1000

    async def load_agents(self) -> tuple[AgentDocument, ...]:
        """All agents, by name."""
        return tuple(parse_agent(raw) for raw in await self._find("agents", {}, sort=("name", 1), limit=0))

    async def open_positions(self, agent_id: str | None = None) -> tuple[PositionDocument, ...]:
        """Positions that are not closed, of one agent or all, oldest first."""
        query: dict[str, Any] = {"status": {"$ne": "closed"}}
        if agent_id is not None:
            query["agentId"] = {"$in": ids(agent_id)}
        found = await self._find("positions", query, sort=("opened_at", 1), limit=0)
        return tuple(parse_position(raw) for raw in found)

    async def exit_pnls(self) -> dict[str, Decimal]:
        """Realized PnL in USD by agent id; what is no number in it counts as nothing."""
        return await self._exits({})

    async def exit_pnl(self, agent_id: str) -> Decimal:
        """Realized PnL of one agent in USD."""
        return (await self._exits({"agentId": {"$in": ids(agent_id)}})).get(agent_id, ZERO)

    async def shadows(self) -> tuple[PositionDocument, ...]:
        """The paper positions beside real agents, open and closed, oldest first."""
        found = await self._find("shadows", {}, sort=("opened_at", 1), limit=0)
        return tuple(parse_position(raw) for raw in found)

    async def recent_trades(self, limit: int) -> tuple[TradeDocument, ...]:
        """The newest trades, oldest first."""
        found = await self._find("trades", {}, sort=("timestamp", -1), limit=limit)
        return tuple(parse_trade(raw) for raw in reversed(found))

    async def recent_orders(self, limit: int) -> tuple[OrderRecorded, ...]:
        """The newest orders, oldest first."""
        found = await self._find("orders", {}, sort=("timestamp", -1), limit=limit)
        return tuple(parse_order_record(raw) for raw in reversed(found))

    async def recent_errors(self, limit: int) -> tuple[ErrorRaised, ...]:
        """The newest errors, oldest first."""
        found = await self._find("errors", {}, sort=("timestamp", -1), limit=limit)
        return tuple(parse_error_record(raw) for raw in reversed(found))

    async def load_controls(self) -> dict[str, Control]:
        """What is not ACTIVE, by agent id or "fleet"."""
        rows = await self._find("controls", {"state": {"$ne": "ACTIVE"}}, sort=("_id", 1), limit=0)
        return {str(row["_id"]): _control(row) for row in rows}

    async def recent_audit(self, limit: int) -> tuple[AuditLine, ...]:
        """The newest lines of the audit, oldest first; what is none is left out."""
        found = await self._find("audit", {}, sort=("at", -1), limit=limit)
        return tuple(line for raw in reversed(found) if (line := parse_audit(raw)) is not None)

    async def last_audit(self, chain: str) -> AuditLine | None:
        """The last line of a chain that the database knows."""
        found = await self._find("audit", {"chain": chain}, sort=("seq", -1), limit=1)
        return parse_audit(found[0]) if found else None

    async def consoles(self) -> tuple[Mapping[str, Any], ...]:
        """The consoles that were heard of in the last minute."""
        database = await self._database()
        fresh = {"$expr": {"$gt": ["$seenAt", {"$subtract": ["$$NOW", 60_000]}]}}
        cursor = database.consoles.find(fresh, max_time_ms=self._timeout_ms).sort("_id", 1)
        found: list[Mapping[str, Any]] = await self._do(lambda: cursor.to_list(None))
        return tuple(found)

    async def watch(self, on_state: Callable[[str], None] | None = None) -> AsyncIterator[StoreChange]:
        """Every change from now on, by a change stream or by polling."""
        from aster_tui.store.failures import told
        from aster_tui.store.watching import changes

        database = await self._database()
        with told():
            async for change in changes(database, on_state, self._timeout_ms):
                yield change
        raise StoreUnavailable("the database ended its change stream", remedy="it is watched anew")

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _database(self) -> Any:
        from aster_tui.store.failures import told

        async with self._opening:
            if self._client is None:
                loop = asyncio.get_running_loop()
                with told():
                    self._client = await asyncio.to_thread(self._connected, loop)
        client = self._client
        with told():
            return client.get_default_database(default=self._name)

    def _connected(self, loop: asyncio.AbstractEventLoop) -> Any:
        # On a thread: the import takes time, and an srv address is looked up in here.
        from motor.motor_asyncio import AsyncIOMotorClient

        client: Any = AsyncIOMotorClient(
            self._uri,
            io_loop=loop,
            appname="aster-tui",
            serverSelectionTimeoutMS=self._timeout_ms,
            connectTimeoutMS=self._timeout_ms,
            socketTimeoutMS=2 * self._timeout_ms,
            tz_aware=True,
        )
        return client

    async def _do(self, ask: Callable[[], Any]) -> Any:
        from aster_tui.store.failures import told

        with told():
            return await ask()

    async def _find(
        self, collection: str, query: Mapping[str, Any], *, sort: tuple[str, int], limit: int
    ) -> list[Mapping[str, Any]]:
        database = await self._database()
        cursor = database[collection].find(query, HEAVY, max_time_ms=self._timeout_ms)
        found: list[Mapping[str, Any]] = await self._do(lambda: cursor.sort(*sort).limit(limit).to_list(None))
        return found

    async def _exits(self, query: Mapping[str, Any]) -> dict[str, Decimal]:
        database = await self._database()
        # $sum leaves out what is no number.
        pipeline = [
            {"$match": {**query, "tradeType": "exit"}},
            {"$group": {"_id": {"$toString": "$agentId"}, "total": {"$sum": "$pnlAbsolute"}}},
        ]
        cursor = database.trades.aggregate(pipeline, maxTimeMS=self._timeout_ms)
        rows = await self._do(lambda: cursor.to_list(None))
        return {str(row["_id"]): as_decimal(row["total"]) or ZERO for row in rows}


def _control(raw: Mapping[str, Any]) -> Control:
    state = raw.get("state")
    at = raw.get("at")
    return Control(
        state if state in ("REDUCING", "HALTED") else "HALTED",  # what nobody understands stops all
        str(raw.get("reason") or ""),
        str(raw.get("by") or ""),
        int(at) if isinstance(at, int | float) else 0,
    )


class MongoWriter(MongoReader):
    """Adds the writes: by field, so that fields this project does not know survive."""

    async def sync_account(self, agent_id: str, balance: Decimal, initial: Decimal, at: int) -> None:
        """A real agent's balance (USD, the exchange's) and the PnL that follows from it."""
        absolute = balance - initial
        await self._set_agent(
            agent_id,
            {
                "balance": float(balance),
                "pnlAbsolute": float(absolute),
                "pnl": float(absolute / initial * HUNDRED),
            },
        )

    async def apply_sync(self, agent_id: str, plan: SyncPlan, at: int) -> None:
        """Write a plan. Two processes that insert the same position at once insert it once."""
        positions = (await self._database()).positions
        now = datetime.now(UTC)
        for document in plan.inserts:
            await self._insert_position(positions, {**document, "createdAt": now, "updatedAt": now})
        for document_id, fields in (*plan.updates, *plan.closes):
            query = {"_id": {"$in": ids(document_id)}}
            update = {"$set": {**fields, "updatedAt": now}}
            await self._do(lambda q=query, u=update: positions.update_one(q, u))  # type: ignore[misc]
        await self._set_agent(agent_id, {"activePositions": [dict(a) for a in plan.active]})

    async def _insert_position(self, positions: Any, document: dict[str, Any]) -> None:
        from pymongo.errors import DuplicateKeyError

        same = {key: document[key] for key in ("agentId", "coin", "signal", "status")}

        async def insert(more: dict[str, Any]) -> None:
            update = {"$setOnInsert": {**document, **more}}
            try:
                await positions.update_one(same, update, upsert=True)
            except DuplicateKeyError:
                # Another process was faster, or the document of this position was closed by somebody.
                if await positions.find_one(same, {"_id": 1}) is None:
                    await positions.update_one(same, {"$setOnInsert": document}, upsert=True)

        await self._do(lambda: insert({"_id": _id_of_position(document)}))

    async def _set_agent(self, agent_id: str, fields: Mapping[str, Any]) -> None:
        agents = (await self._database()).agents
        update = [{"$set": _kept_within({**fields, "updatedAt": datetime.now(UTC)})}]
        result = await self._do(lambda: agents.update_one({"_id": {"$in": ids(agent_id)}}, update))
        if not result.matched_count:
            raise StoreError("the agent's document is gone", remedy="was the agent removed or renamed?")


def _kept_within(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be set, such that in ``activePositions`` and ``lastTrade``, too, fields of others stay: of
    the same position, and of the same trade."""
    told: dict[str, Any] = {name: {"$literal": value} for name, value in fields.items()}
    if (trade := fields.get("lastTrade")) is not None:
        same = {"$eq": ["$lastTrade.timestamp", {"$literal": trade["timestamp"]}]}
        told["lastTrade"] = {"$mergeObjects": [{"$cond": [same, "$lastTrade", None]}, {"$literal": trade}]}
    if (active := fields.get("activePositions")) is not None:
        told["activePositions"] = [_position_kept(element, active) for element in active]
    return told


def _position_kept(element: Mapping[str, Any], active: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def mark(one: Mapping[str, Any]) -> tuple[Any, Any]:
        return one["coin"], one["signal"]

    # Where there are several of a kind, when each was opened tells them apart.
    alone = sum(mark(other) == mark(element) for other in active) == 1
    names = ("coin", "signal") if alone else ("coin", "signal", "opened_at")
    there = {"$cond": [{"$isArray": "$activePositions"}, "$activePositions", []]}
    same = {"$and": [{"$eq": [f"$$this.{name}", {"$literal": element[name]}]} for name in names]}
    before = {"$arrayElemAt": [{"$filter": {"input": there, "as": "this", "cond": same}}, 0]}
    return {"$mergeObjects": [{"expected_duration": ""}, before, {"$literal": element}]}


def ids(text: str) -> list[Any]:
    """The forms in which an id may stand in a document: a text, and the ObjectId of that text."""
    from bson import ObjectId

    return [text, ObjectId(text)] if ObjectId.is_valid(text) else [text]


def exact_values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with their Decimals as Decimal128, so that no decimal is lost."""
    from bson import Decimal128

    return {k: Decimal128(v) if isinstance(v, Decimal) else v for k, v in fields.items()}


def _id_of_position(document: Mapping[str, Any]) -> Any:
    """The id every process gives a position that it finds missing."""
    from bson import ObjectId

    name = "/".join(str(document[key]) for key in ("agentId", "coin", "signal", "opened_at"))
    return ObjectId(hashlib.sha256(f"position/{name}".encode()).hexdigest()[:24])

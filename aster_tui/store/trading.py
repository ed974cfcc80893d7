"""What trading writes into MongoDB: the decision queue, leases, orders, paper documents, balance snapshots.

Everything that comes from the journal can be written again without harm: each write names the journal's
line, or a document id that was chosen when it happened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aster_tui.domain.documents import PositionDocument, TradeDocument, parse_position, parse_trade
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import account_key
from aster_tui.store.base import StoreError
from aster_tui.store.mongo import MongoWriter, exact_values, ids

#: So many flips that the journal told of are remembered with an agent.
_FLIPS = 20
#: A decision that nobody took yet; one without a state was written by another program.
QUEUED = ("queued", None)
#: The state of an order that executes no more.
DONE = "done"
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to trade for an agent (``key`` is its id), or to add risk on an account
    (:func:`key_of_account`): ``epoch`` rises with each new holder."""

    key: str
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class QueuedDecision:
    """A decision as it stands in the queue. ``made_at`` is Unix ms; ``epoch`` is that of whoever claimed
    it."""

    decision_id: str
    agent_id: str
    raw: Mapping[str, Any]
    made_at: int
    epoch: int = 0
    claimed_at: int = 0


class TradingStore(MongoWriter):
    """Adds what a worker needs."""

    async def prepare(self) -> None:
        """Indexes of the collections this project adds; nothing is changed in those it joined."""
        database = await self._database()
        await self._do(lambda: database.orders.create_index("clientOrderId", unique=True))
        await self._do(lambda: database.orders.create_index([("agentId", 1), ("timestamp", -1)]))
        await self._do(lambda: database.errors.create_index([("timestamp", -1)]))
        await self._do(
            lambda: database.decisions.create_index([("state", 1), ("agentId", 1), ("timestamp", 1)])
        )
        await self._do(lambda: database.shadows.create_index([("agentId", 1), ("status", 1)]))

    # The queue

    async def queue_decision(self, document: Mapping[str, Any]) -> None:
        """Add a decision; the same ``_id`` again changes nothing but who claimed it on its machine, and that
        only until it is finished."""
        await self._insert_once("decisions", document)
        if claim := document.get("claim"):
            decisions = (await self._database()).decisions
            query = {"_id": {"$in": ids(str(document["_id"]))}, "state": "local"}
            update = {"$set": {"state": "claimed", "claim": claim, "updatedAt": datetime.now(UTC)}}
            await self._do(lambda: decisions.update_one(query, update))

    async def agents_with_decisions(self) -> set[str]:
        """Ids of the agents for which decisions wait."""
        decisions = (await self._database()).decisions
        query = {"state": {"$in": list(QUEUED)}}
        found = await self._do(lambda: decisions.distinct("agentId", query, maxTimeMS=self._timeout_ms))
        return {str(agent_id) for agent_id in found}

    async def refuse_unknown(
        self, known: Collection[str], before: int, fields: Mapping[str, Any]
    ) -> list[str]:
        """Refuse the decisions for agents that do not exist and that were made before a time (Unix ms); their
        ids."""
        decisions = (await self._database()).decisions
        names = [form for agent_id in known for form in ids(agent_id)]
        old = {"$or": [{"timestamp": {"$lt": before}}, {"timestamp": {"$not": {"$type": "number"}}}]}
        query = {"state": {"$in": list(QUEUED)}, "agentId": {"$nin": names}, **old}
        cursor = decisions.find(query, {"_id": 1}, max_time_ms=self._timeout_ms).limit(AT_ONCE)
        update = {"$set": {**exact_values(fields), "updatedAt": datetime.now(UTC)}}
        refused = []
        for row in await self._do(lambda: cursor.to_list(None)):
            one = {"_id": row["_id"], "state": {"$in": list(QUEUED)}}
            done = await self._do(lambda o=one: decisions.update_one(o, update))  # type: ignore[misc]
            if done.modified_count:
                refused.append(str(row["_id"]))
        return refused

    async def claim_decision(self, lease: Lease, at: int) -> QueuedDecision | None:
        """Take the oldest waiting decision of an agent, for this lease only; None when there is none."""
        decisions = (await self._database()).decisions
        claim = {"owner": lease.owner, "epoch": lease.epoch, "at": at}
        found = await self._do(
            lambda: decisions.find_one_and_update(
                {"agentId": {"$in": ids(lease.key)}, "state": {"$in": list(QUEUED)}},
                {"$set": {"state": "claimed", "claim": claim, "updatedAt": datetime.now(UTC)}},
                sort=[("timestamp", 1), ("_id", 1)],
                return_document=True,
                maxTimeMS=self._timeout_ms,
            )
        )
        return None if found is None else _queued(found, lease.key)

    async def claimed_decisions(self, lease: Lease) -> list[QueuedDecision]:
        """What is claimed for this lease and not finished, oldest first: a claim may hold although its answer
        was lost."""
        decisions = (await self._database()).decisions
        mine = {"claim.owner": lease.owner, "claim.epoch": lease.epoch}
        query = {"agentId": {"$in": ids(lease.key)}, "state": "claimed", **mine}
        cursor = decisions.find(query, max_time_ms=self._timeout_ms).sort([("timestamp", 1), ("_id", 1)])
        return [_queued(raw, lease.key) for raw in await self._do(lambda: cursor.to_list(None))]

    async def claim_local(self, decision_id: str, lease: Lease, at: int) -> bool:
        """Mark a decision that was queued on this machine as taken; False when the database says that
        somebody has it already. One that the database was not told of yet is free."""
        decisions = (await self._database()).decisions
        key = {"_id": {"$in": ids(decision_id)}}
        claim = {"owner": lease.owner, "epoch": lease.epoch, "at": at}
        update = {"$set": {"state": "claimed", "claim": claim, "updatedAt": datetime.now(UTC)}}
        mine = {"state": "claimed", "claim.owner": lease.owner, "claim.epoch": lease.epoch}
        # The journal may have told of this claim already.
        free = {**key, "$or": [{"state": {"$in": [*QUEUED, "local"]}}, mine]}
        if (await self._do(lambda: decisions.update_one(free, update))).matched_count:
            return True
        return await self._do(lambda: decisions.find_one(key, {"_id": 1})) is None

    async def interrupted_decisions(self, lease: Lease) -> list[QueuedDecision]:
        """Decisions that earlier holders of the agent claimed and never finished, oldest first."""
        decisions = (await self._database()).decisions
        query = {
            "agentId": {"$in": ids(lease.key)},
            "state": "claimed",
            "$or": [{"claim.epoch": {"$lt": lease.epoch}}, {"claim.owner": {"$ne": lease.owner}}],
        }
        cursor = decisions.find(query, max_time_ms=self._timeout_ms).sort([("timestamp", 1), ("_id", 1)])
        return [_queued(raw, lease.key) for raw in await self._do(lambda: cursor.to_list(None))]

    async def finish_decision(self, decision_id: str, fields: Mapping[str, Any]) -> None:
        """What became of a decision (``state``, ``reasons``, ``result``)."""
        decisions = (await self._database()).decisions
        update = {"$set": {**exact_values(fields), "updatedAt": datetime.now(UTC)}}
        await self._do(lambda: decisions.update_one({"_id": {"$in": ids(decision_id)}}, update))

    async def set_control(self, key: str, document: Mapping[str, Any]) -> None:
        """Set a control, with its place in the history. A resume that was decided before something newer was
        set changes nothing; a halt always holds."""
        controls = (await self._database()).controls
        now = datetime.now(UTC)
        query: dict[str, Any] = {"_id": key}
        if document["state"] == "ACTIVE":
            query |= {"at": {"$lt": document["at"]}}
        update = {
            "$set": {**document, "updatedAt": now},
            "$setOnInsert": {"createdAt": now},
            "$push": {"history": {"$each": [dict(document)], "$slice": -200}},
        }
        upsert = document["state"] != "ACTIVE"
        await self._do(lambda: controls.update_one(query, update, upsert=upsert))

    # Leases

    async def take_lease(self, key: str, owner: str, ttl_ms: int) -> Lease | None:
        """Take a lease, or go on with it, by the database's clock; None while somebody else holds it."""
        from pymongo.errors import DuplicateKeyError

        leases = (await self._database()).leases
        mine = {"$eq": ["$owner", owner]}
        free = {"$expr": {"$or": [mine, {"$lt": ["$expiresAt", "$$NOW"]}]}}
        # What somebody else left there as an epoch keeps nobody from trading.
        epoch = {"$convert": {"input": "$epoch", "to": "long", "onError": 0, "onNull": 0}}
        taken = {
            "epoch": {"$cond": [mine, epoch, {"$add": [epoch, 1]}]},
            "owner": owner,
            "expiresAt": {"$add": ["$$NOW", ttl_ms]},
            "updatedAt": "$$NOW",
        }

        def ask() -> Any:
            return leases.find_one_and_update(
                {"_id": key, **free}, [{"$set": taken}], return_document=True, maxTimeMS=self._timeout_ms
            )

        found = await self._do(ask)
        if found is None and await self._do(lambda: leases.find_one({"_id": key})) is None:
            first = {"owner": None, "epoch": 0, "expiresAt": datetime.fromtimestamp(0, UTC)}

            async def insert() -> None:
                with contextlib.suppress(DuplicateKeyError):  # somebody else was first
                    await leases.insert_one({"_id": key, **first})

            await self._do(insert)
            found = await self._do(ask)
        return None if found is None else Lease(key, owner, int(found["epoch"]))

    async def renew_lease(self, lease: Lease, ttl_ms: int) -> bool:
        """Go on with a lease that nobody else has had since, and that was not given back; whether it is
        still held."""
        leases = (await self._database()).leases
        query = {"_id": lease.key, "owner": lease.owner, "epoch": lease.epoch}
        update = [{"$set": {"expiresAt": {"$add": ["$$NOW", ttl_ms]}, "updatedAt": "$$NOW"}}]
        return bool((await self._do(lambda: leases.update_one(query, update))).matched_count)

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back, so that the next holder need not wait."""
        leases = (await self._database()).leases
        query = {"_id": lease.key, "owner": lease.owner, "epoch": lease.epoch}
        update = [{"$set": {"expiresAt": "$$NOW", "owner": None}}]
        await self._do(lambda: leases.update_one(query, update))

    # Operators

    async def beat(self, console_id: str, fields: Mapping[str, Any]) -> None:
        """This console is attached, by the database's clock."""
        consoles = (await self._database()).consoles
        update = [{"$set": {**fields, "seenAt": "$$NOW"}}]
        await self._do(lambda: consoles.update_one({"_id": console_id}, update, upsert=True))

    async def leave(self, console_id: str) -> None:
        """This console is gone; so are those that were not heard of for a day."""
        consoles = (await self._database()).consoles
        old = datetime.now(UTC) - timedelta(days=1)
        gone = {"$or": [{"_id": console_id}, {"seenAt": {"$lt": old}}]}
        await self._do(lambda: consoles.delete_many(gone))

    async def record_audit(self, document: Mapping[str, Any]) -> None:
        """One line of an audit, under its hash."""
        await self._insert_once("audit", {**document, "_id": document["hash"]})

    async def keep_positions(self, agent_id: str, keeps: bool) -> None:
        """Whether an agent on paper left real positions that are to be watched."""
        await self._set_agent(agent_id, {"asterKeepsPositions": keeps})

    # From the journal

    async def record_order(
        self, document: Mapping[str, Any], history: Sequence[Mapping[str, Any]], lines: int
    ) -> None:
        """One order as so many lines of the journal have it. What fewer lines said never replaces what more
        said: it may be written by two processes at once, and again, in any order. Nor does what one machine
        tells late undo the end that another saw."""
        from pymongo.errors import DuplicateKeyError

        orders = (await self._database()).orders
        now = datetime.now(UTC)
        query: dict[str, Any] = {
            "clientOrderId": document["clientOrderId"],
            "lines": {"$not": {"$gte": lines}},
        }
        if document.get("state") != DONE:
            query["state"] = {"$ne": DONE}
        told = {"history": [exact_values(entry) for entry in history], "lines": lines}
        update = {
            "$set": {**exact_values(document), **told, "updatedAt": now},
            "$setOnInsert": {"createdAt": now},
        }

        async def write() -> None:
            try:
                await orders.update_one(query, update, upsert=True)
            except DuplicateKeyError:
                return  # as much or more was written before

        await self._do(write)

    async def orders_of(
        self, agent_id: str, *, since: int, known: Collection[str]
    ) -> list[Mapping[str, Any]]:
        """An agent's orders since a time (Unix ms) but for those that are known, oldest first."""
        orders = (await self._database()).orders
        query = {"agentId": {"$in": ids(agent_id)}, "timestamp": {"$gte": since}}
        names = orders.find(query, {"clientOrderId": 1}, max_time_ms=self._timeout_ms)
        found = {str(row.get("clientOrderId")) for row in await self._do(lambda: names.to_list(None))}
        missing = sorted(found - set(known))
        rows: list[Mapping[str, Any]] = []
        for begin in range(0, len(missing), AT_ONCE):
            query = {"clientOrderId": {"$in": missing[begin : begin + AT_ONCE]}}
            cursor = orders.find(query, max_time_ms=self._timeout_ms)
            rows += await self._do(lambda c=cursor: c.to_list(None))  # type: ignore[misc]
        return sorted(rows, key=lambda row: row.get("timestamp") or 0)

    async def record_error(self, key: str, document: Mapping[str, Any]) -> None:
        """One error, under a key of its own."""
        await self._insert_once("errors", {**document, "_id": key})

    async def enter_paper(
        self, position: Mapping[str, Any], trade: Mapping[str, Any], *, shadow: bool = False
    ) -> None:
        """A paper position and its entry trade, by the ids they were given."""
        if shadow:
            await self._insert_once("shadows", position)
            return
        await self._insert_once("positions", position)
        await self._insert_once("trades", trade)

    async def exit_paper(
        self, position_id: str, fields: Mapping[str, Any], trade: Mapping[str, Any], *, shadow: bool = False
    ) -> None:
        """Close a paper position, with its exit trade: none where somebody else had closed it before."""
        database = await self._database()
        positions = database.shadows if shadow else database.positions
        key = {"_id": {"$in": ids(position_id)}}
        # The position says which trade closed it, so that doing this again is doing it once.
        closing = {} if shadow else {"exitTradeId": str(trade["_id"])}
        update = {"$set": {**fields, **closing, "updatedAt": datetime.now(UTC)}}
        await self._do(lambda: positions.update_one({**key, "status": {"$ne": "closed"}}, update))
        if shadow:
            return
        known = await self._do(lambda: positions.find_one(key, {"exitTradeId": 1}))
        if known is None or known.get("exitTradeId") == closing["exitTradeId"]:
            await self._insert_once("trades", trade)

    # Agents

    async def trades_of(self, agent_id: str) -> list[TradeDocument]:
        """All trades of an agent, oldest first."""
        found = await self._find(
            "trades", {"agentId": {"$in": ids(agent_id)}}, sort=("timestamp", 1), limit=0
        )
        return [parse_trade(raw) for raw in found]

    async def shadows_of(self, agent_id: str) -> list[PositionDocument]:
        """All shadow positions of an agent, oldest first."""
        query = {"agentId": {"$in": ids(agent_id)}}
        found = await self._find("shadows", query, sort=("opened_at", 1), limit=0)
        return [parse_position(raw) for raw in found]

    async def write_paper_agent(
        self,
        agent_id: str,
        figures: Mapping[str, Any],
        positions: Sequence[PositionDocument],
        marks: Mapping[str, Decimal],
    ) -> None:
        """A paper agent's figures, and its ``activePositions``."""
        active = [active_position(p, marks.get(symbol_of(p.coin), p.entry_price)) for p in positions]
        await self._set_agent(agent_id, {**figures, "activePositions": active})

    async def set_paper(
        self, agent_id: str, paper: bool, *, keeps: bool | None = None, line: str = ""
    ) -> None:
        """Flip an agent: it is real only where ``isPaperTrading`` is exactly false.

        Args:
            keeps: whether it leaves real positions that are to be watched.
            line: the journal's line that says so; the same line again changes nothing.
        """
        fields: dict[str, Any] = {"isPaperTrading": paper}
        if keeps is not None:
            fields["asterKeepsPositions"] = keeps
        if not line:
            await self._set_agent(agent_id, fields)
            return
        agents = (await self._database()).agents
        query = {"_id": {"$in": ids(agent_id)}, "asterFlips": {"$ne": line}}
        update = {
            "$set": {**fields, "updatedAt": datetime.now(UTC)},
            "$push": {"asterFlips": {"$each": [line], "$slice": -_FLIPS}},
        }
        await self._do(lambda: agents.update_one(query, update))

    async def open_decisions(self, decision_ids: Collection[str]) -> set[str]:
        """Which of some decisions have not ended as far as the database knows."""
        decisions = (await self._database()).decisions
        forms = [form for decision_id in decision_ids for form in ids(decision_id)]
        query = {"_id": {"$in": forms}, "finishedAt": {"$exists": True}}
        cursor = decisions.find(query, {"_id": 1}, max_time_ms=self._timeout_ms)
        ended = {str(row["_id"]) for row in await self._do(lambda: cursor.to_list(None))}
        return set(decision_ids) - ended

    async def add_snapshots(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Balance snapshots, one per agent."""
        snapshots = (await self._database()).balancesnapshots
        if rows:
            await self._do(lambda: snapshots.insert_many([dict(row) for row in rows], ordered=False))

    async def _insert_once(self, collection: str, document: Mapping[str, Any]) -> None:
        database = await self._database()
        now = datetime.now(UTC)
        stamped = {**exact_values(document), "createdAt": now, "updatedAt": now}
        key = _own_id(stamped.pop("_id"))
        update = {"$setOnInsert": stamped}
        await self._do(lambda: database[collection].update_one({"_id": key}, update, upsert=True))


def key_of_account(account: str) -> str:
    """Under which key the lease of an exchange account stands: no agent's id has a colon."""
    return f"account:{account_key(account)}"


def active_position(position: PositionDocument, mark: Decimal) -> dict[str, Any]:
    """An element of ``activePositions``."""
    return {
        "coin": position.coin,
        "entry_price": float(position.entry_price),
        "current_price": float(mark),
        "profit_target": float(position.profit_target),
        "stop_loss": float(position.stop_loss),
        "leverage": float(position.leverage),
        "size_usd": float(position.size_usd),
        "signal": position.signal,
        "opened_at": position.opened_at,
        **({"expected_duration": position.expected_duration} if position.expected_duration else {}),
    }


def new_id() -> str:
    """A fresh document id, chosen here so that a write can be repeated."""
    from bson import ObjectId

    return str(ObjectId())


def _own_id(key: Any) -> Any:
    """The form a new document gets: an ObjectId, as the other side writes them, where it can be one."""
    return ids(key)[-1] if isinstance(key, str) else key


def _queued(raw: Mapping[str, Any], agent_id: str) -> QueuedDecision:
    decision = raw.get("decision")
    claim = raw.get("claim") or {}
    return QueuedDecision(
        decision_id=str(raw["_id"]),
        agent_id=agent_id,
        raw=decision if isinstance(decision, Mapping) else raw,
        made_at=_made_at(raw),
        epoch=int(claim.get("epoch", 0)),
        claimed_at=int(claim.get("at", 0)),
    )


def _made_at(raw: Mapping[str, Any]) -> int:
    """When a decision was made, Unix ms: what it says, else when it was written; 0 where nothing tells."""
    for told in (raw.get("timestamp"), raw.get("createdAt"), getattr(raw["_id"], "generation_time", None)):
        if isinstance(told, datetime):
            return int(told.timestamp() * 1000)
        if isinstance(told, int | float) and not isinstance(told, bool) and told == told and abs(told) < 1e15:
            return int(told)
    return 0


def trading_store(uri: str, database: str, timeout_s: float = 5.0) -> TradingStore:
    """The store of a worker; nothing is contacted before its first use.

    Raises:
        StoreError: there is no address.
    """
    if not uri:
        raise StoreError("no database is configured", remedy="set MONGODB_URI")
    return TradingStore(uri, database, timeout_s)

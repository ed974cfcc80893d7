"""Writes the demo's fleet into its database, as the other side of the system would have."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, MongoClient

from aster_tui.demo import fleet


def seed_database(
    uri: str, database: str, *, seed: int, count: int, accounts: Sequence[Mapping[str, str]]
) -> None:
    """Agents, their trades of the last day and the existing indexes. Blocking: call it off the loop."""
    now = time.time_ns() // 1_000_000
    stamp = datetime.now(UTC)
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
        db = client[database]
        db.agents.create_index([("name", ASCENDING)], unique=True)
        db.positions.create_index([("agentId", ASCENDING), ("status", ASCENDING)])
        db.trades.create_index([("agentId", ASCENDING), ("timestamp", DESCENDING)])
        db.trades.create_index([("timestamp", DESCENDING)])
        for document in fleet.agent_documents(count, accounts):
            inserted = db.agents.insert_one({**document, "createdAt": stamp, "updatedAt": stamp})
            if not document["isPaperTrading"]:
                continue
            agent_id = str(inserted.inserted_id)
            trades = fleet.history(agent_id, document["name"], seed, now)
            if document["name"] == fleet.unlucky(count):
                trades += fleet.bad_day(agent_id, document["name"], now)
            exits = [t for t in trades if t["tradeType"] == "exit"]
            realized = sum(t["pnlAbsolute"] for t in exits)
            won = sum(t["pnlAbsolute"] > 0 for t in exits)
            db.trades.insert_many([{**t, "createdAt": stamp, "updatedAt": stamp} for t in trades])
            db.agents.update_one(
                {"_id": inserted.inserted_id},
                {
                    "$set": {
                        "balance": fleet.INITIAL + realized,
                        "pnl": realized / fleet.INITIAL * 100,
                        "pnlAbsolute": realized,
                        "winRate": won / len(exits) * 100,
                        "totalTrades": len(exits),
                        "volume24h": sum(t["size_usd"] for t in trades),
                    }
                },
            )

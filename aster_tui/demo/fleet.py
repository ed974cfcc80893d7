"""The fleet of the demo, as the existing system would have left it in MongoDB. Seeded and pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from aster_tui.practice.listings import LISTINGS

#: The agents and their strategies; the first :data:`REAL` of them trade on practice accounts.
AGENTS: tuple[tuple[str, str, str], ...] = (
    ("NeuralSniper", "momentum", "Buys strength, sells weakness, leaves when it fades."),
    ("QuantumVortex", "mean reversion", "Sells what ran too far and waits for the way back."),
    ("VoltCrane", "breakout", "Waits for a range to break and goes with it."),
    ("DataSage", "statistical arbitrage", "Pairs what moves together and trades the gap."),
    ("NovaHawk", "trend following", "Follows the long move and ignores the noise."),
    ("PhantomLens", "volatility", "Trades the size of moves, not their direction."),
    ("DeepRipple", "market making", "Earns the spread on both sides of a quiet market."),
    ("NeuralStream", "machine learning", "Does what its model learned, and keeps learning."),
)
REAL = 3
INITIAL = 1000.0
HOUR_MS = 3_600_000

#: Coins of the history and the prices it was made around: where the practice market starts.
COINS: Mapping[str, float] = {
    coin: float(LISTINGS[f"{coin}USDT"].start) for coin in ("BTC", "ETH", "SOL", "BNB", "ASTER")
}


def names(count: int) -> tuple[tuple[str, str, str], ...]:
    """``count`` agents: the eight, and numbered ones of the same strategies beyond."""
    found = []
    for index in range(count):
        name, strategy, words = AGENTS[index % len(AGENTS)]
        generation = index // len(AGENTS) + 1
        found.append((name if generation == 1 else f"{name}{generation}", strategy, words))
    return tuple(found)


def real_count(count: int) -> int:
    """How many of ``count`` agents are real."""
    return min(REAL, count)


def agent_documents(count: int, accounts: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The ``agents`` documents; real ones carry the practice accounts' addresses."""
    documents = []
    for index, (name, strategy, words) in enumerate(names(count)):
        document: dict[str, Any] = {
            "name": name,
            "strategy": strategy,
            "description": words,
            "prompt": f"You are {name}. {words}",
            "avatar": f"/avatars/{name.lower()}.png",
            "balance": INITIAL,
            "pnl": 0.0,
            "pnlAbsolute": 0.0,
            "winRate": 50.0,
            "totalTrades": 0,
            "volume24h": 0.0,
            "activePositions": [],
            "lastTrade": None,
            "decisionHistory": [],
            "status": "active",
            "isPaperTrading": True,
        }
        if index < real_count(count):
            account = accounts[index]
            document |= {
                "isPaperTrading": False,
                "asterUserAddress": account["user"],
                "asterSignerAddress": account["signer"],
            }
        documents.append(document)
    return documents


def unlucky(count: int) -> str:
    """The agent that lost more today than the safeguards allow, empty where there are too few paper
    agents."""
    return names(count)[-1][0] if count - real_count(count) > 2 else ""


def bad_day(agent_id: str, name: str, now: int) -> list[dict[str, Any]]:
    """A trade of today that cost a fifth of the balance."""
    closed = max(now - 60_000, now - now % (24 * HOUR_MS))
    entry, size = COINS["SOL"], 1000.0
    common: dict[str, Any] = {
        "agentId": agent_id,
        "agentName": name,
        "pair": "SOL",
        "side": "long",
        "amount": round(size / entry, 6),
        "leverage": 10,
        "size_usd": size,
        "confidence": 0.99,
        "orderType": "market",
    }
    opening = {"price": entry, "pnl": 0.0, "pnlAbsolute": 0.0, "timestamp": closed - HOUR_MS}
    leaving = {"price": entry * 0.8, "pnl": -20.0, "pnlAbsolute": -200.0, "timestamp": closed}
    return [
        {**common, **opening, "tradeType": "entry"},
        {**common, **leaving, "tradeType": "exit"},
    ]


def environment(count: int, accounts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The variables a real installation would have in ``.env.local``: the real agents' keys."""
    return {
        f"AGENT_{name.upper()}_PRIVATE_KEY": accounts[index]["signer_private_key"]
        for index, (name, _, _) in enumerate(names(count)[: real_count(count)])
    }


def history(agent_id: str, name: str, seed: int, now: int) -> list[dict[str, Any]]:
    """Closed paper trades of the last day: an entry and an exit document for each."""
    rng = random.Random(f"{seed}/{name}/history")
    documents: list[dict[str, Any]] = []
    for _ in range(rng.randint(4, 9)):
        coin = rng.choice(list(COINS))
        side = rng.choice(("long", "short"))
        size = float(rng.randint(4, 20) * 10)
        entry = round(COINS[coin] * rng.uniform(0.97, 1.03), 4)
        change = rng.uniform(-0.03, 0.04)
        opened = now - rng.randint(2, 23) * HOUR_MS
        closed = opened + rng.randint(10, 90) * 60_000
        exit_price = round(entry * (1 + change if side == "long" else 1 - change), 4)
        earned = round(change * size, 4)
        common: dict[str, Any] = {
            "agentId": agent_id,
            "agentName": name,
            "pair": coin,
            "side": side,
            "amount": round(size / entry, 6),
            "leverage": rng.choice((2, 3, 5)),
            "size_usd": size,
            "confidence": round(rng.uniform(0.55, 0.95), 2),
            "orderType": "market",
        }
        documents.append(
            {
                **common,
                "price": entry,
                "pnl": 0.0,
                "pnlAbsolute": 0.0,
                "timestamp": opened,
                "tradeType": "entry",
            }
        )
        documents.append(
            {
                **common,
                "price": exit_price,
                "pnl": round(change * 100, 4),
                "pnlAbsolute": earned,
                "timestamp": closed,
                "tradeType": "exit",
            }
        )
    return sorted(documents, key=lambda d: int(d["timestamp"]))

"""Commands: what a person or another part asks of the engine. They go down; events come back up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SyncAgents:
    """Read positions, balances and open orders of these agents at the exchange into MongoDB.

    No ids means every real agent.
    """

    agent_ids: tuple[str, ...] = ()


Command = SyncAgents

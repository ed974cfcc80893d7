"""The store interface: what the engine knows of a database. No driver is named here.

Read-only is a type: a :class:`StoreReader` has no method that writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from aster_tui.domain.audit import AuditLine
    from aster_tui.domain.documents import AgentDocument, PositionDocument, TradeDocument
    from aster_tui.domain.events import Control, ErrorRaised, OrderRecorded
    from aster_tui.domain.sync_plan import SyncPlan

Operation = Literal["insert", "update", "replace", "delete"]


class StoreError(Exception):
    """The database did not do it. The text is for people, ``remedy`` what to do; no password in either."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class StoreUnavailable(StoreError):
    """The database cannot be reached, or did not answer in time."""


class StoreRefused(StoreError):
    """The database refused: authentication or permission."""


@dataclass(frozen=True, slots=True)
class StoreChange:
    """One document was written by anybody. ``document`` is None for a delete."""

    collection: str
    operation: Operation
    document_id: str
    document: Mapping[str, Any] | None


class StoreReader(Protocol):
    """Reads the fleet. Every method raises :class:`StoreError` and has a time-out."""

    async def ping(self) -> float:
        """Round trip in ms."""

    async def load_agents(self) -> tuple[AgentDocument, ...]:
        """All agents, by name."""

    async def open_positions(self, agent_id: str | None = None) -> tuple[PositionDocument, ...]:
        """Positions that are not closed, of one agent or all."""

    async def exit_pnls(self) -> dict[str, Decimal]:
        """Realized PnL in USD by agent id: ``pnlAbsolute`` summed over exit trades."""

    async def exit_pnl(self, agent_id: str) -> Decimal:
        """Realized PnL of one agent."""

    async def shadows(self) -> tuple[PositionDocument, ...]:
        """The paper positions beside real agents, open and closed."""

    async def recent_trades(self, limit: int) -> tuple[TradeDocument, ...]:
        """The newest trades, oldest first."""

    async def recent_orders(self, limit: int) -> tuple[OrderRecorded, ...]:
        """The newest orders, oldest first."""

    async def recent_errors(self, limit: int) -> tuple[ErrorRaised, ...]:
        """The newest errors, oldest first."""

    async def load_controls(self) -> dict[str, Control]:
        """What is not ACTIVE, by agent id or "fleet"."""

    async def recent_audit(self, limit: int) -> tuple[AuditLine, ...]:
        """The newest lines of the audit, oldest first."""

    async def consoles(self) -> tuple[Mapping[str, Any], ...]:
        """The consoles that are attached."""

    def watch(self, on_state: Callable[[str], None] | None = None) -> AsyncIterator[StoreChange]:
        """Every change from now on. ``on_state`` is told ``stream`` or ``polling`` once it watches.

        Raises :class:`StoreError` when the connection ends; the caller loads anew and watches again.
        """

    async def close(self) -> None:
        """Close the connection."""


class StoreWriter(StoreReader, Protocol):
    """Adds the writes. Documents are updated by field, never replaced."""

    async def sync_account(self, agent_id: str, balance: Decimal, initial: Decimal, at: int) -> None:
        """A real agent's balance (USD, the exchange's) and the PnL that follows from it."""

    async def apply_sync(self, agent_id: str, plan: SyncPlan, at: int) -> None:
        """Write a plan."""

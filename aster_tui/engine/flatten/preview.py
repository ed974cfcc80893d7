"""What a close-all would close: read at the exchange, all accounts at once, in a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.aster.errors import AsterError
from aster_tui.aster.gate import Priority
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue
from aster_tui.domain.trading import ZERO, Position
from aster_tui.engine.apart import apart
from aster_tui.engine.flatten.targets import Target
from aster_tui.engine.key_sources import KeyProblem

PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class AccountPreview:
    """One account: what is open on it, or why that is not known."""

    account: str
    agents: tuple[str, ...]
    positions: tuple[Position, ...] = ()
    problem: str = ""

    @property
    def notional(self) -> Decimal:
        """All positions together, USDT at the marks."""
        return sum((abs(p.quantity * p.mark_price) for p in self.positions), ZERO)


async def preview(
    venue: Venue, nonces: NonceSource, targets: Iterable[Target], symbols: frozenset[str]
) -> list[AccountPreview]:
    """What is open on each account, of these symbols or all."""
    return list(await asyncio.gather(*(_one(venue, nonces, target, symbols) for target in targets)))


async def _one(venue: Venue, nonces: NonceSource, target: Target, symbols: frozenset[str]) -> AccountPreview:
    client: Trader | None = None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            wallet = await apart(target.open_wallet, PATIENCE_SECONDS)
            client = Trader(
                venue, wallet, nonces=nonces, timeout_s=PATIENCE_SECONDS, priority=Priority.EMERGENCY
            )
            found = await client.positions()
    except (AsterError, KeyProblem) as error:
        return AccountPreview(target.account, target.names, problem=str(error))
    except TimeoutError:
        return AccountPreview(target.account, target.names, problem="no answer yet")
    except Exception as error:  # what cannot be shown may still be closed
        return AccountPreview(target.account, target.names, problem=type(error).__name__)
    finally:
        if client is not None:
            await client.aclose()
    wanted = tuple(p for p in found if not symbols or p.symbol in symbols)
    return AccountPreview(target.account, target.names, wanted)

"""What a close-all would do, as far as a snapshot shows it: nothing is asked for it. Pure.

The close-all itself goes by the exchange's word, never by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from aster_tui.domain.fleet_views import user_feed
from aster_tui.domain.ticket import ASSUMED_SLIPPAGE_BP, TAKER_FEE
from aster_tui.domain.trading import ZERO, account_key
from aster_tui.domain.views import AgentView, FeedView, FleetSnapshot, PositionView

#: Orders that the venue takes at once.
BATCH = 5
#: Reading, cancelling, proving twice: requests after one another that every account needs beside its closes.
ROUND_TRIPS = 5
#: Assumed while none was measured.
ROUND_TRIP_MS = 200


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account. ``others`` are agents that were not chosen and share it; ``refused`` is why it cannot be
    closed, ``doubts`` what may be otherwise than shown."""

    account: str
    agents: tuple[str, ...]
    positions: tuple[PositionView, ...] = ()
    orders: int = 0
    others: tuple[str, ...] = ()
    refused: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def notional(self) -> Decimal:
        """All its positions together, USDT; at entry where no mark is known."""
        return sum((_worth(position) for position in self.positions), ZERO)


@dataclass(frozen=True, slots=True)
class ClosePlan:
    """The whole. ``untouched`` says what is not closed at all; money in USDT."""

    accounts: tuple[AccountPlan, ...] = ()
    untouched: tuple[str, ...] = ()
    round_trip_ms: int = ROUND_TRIP_MS

    @property
    def positions(self) -> tuple[PositionView, ...]:
        """The positions that would be closed."""
        return tuple(p for account in self.accounts if not account.refused for p in account.positions)

    @property
    def orders(self) -> int:
        """How many orders would be cancelled."""
        return sum(account.orders for account in self.accounts if not account.refused)

    @property
    def notional(self) -> Decimal:
        """What they are worth."""
        return sum((_worth(position) for position in self.positions), ZERO)

    @property
    def slippage(self) -> Decimal:
        """What the spread may cost."""
        return self.notional * ASSUMED_SLIPPAGE_BP / 10_000

    @property
    def fees(self) -> Decimal:
        """What the venue takes."""
        return self.notional * TAKER_FEE

    @property
    def estimate_ms(self) -> int:
        """How long it may take: accounts go at once, the closes of one account in batches."""
        most = max((len(a.positions) for a in self.accounts if not a.refused), default=0)
        return self.round_trip_ms * (ROUND_TRIPS + -(-most // BATCH))


def plan_close(
    snapshot: FleetSnapshot, agent_ids: Sequence[str] = (), symbols: Sequence[str] = ()
) -> ClosePlan:
    """What would be closed of these agents (none: every account), in these symbols (none: all)."""
    able = [a for a in snapshot.agents if a.account and (a.mode == "real" or a.watched)]
    chosen = [a for a in able if not agent_ids or a.key in agent_ids]
    accounts: dict[str, list[AgentView]] = {}
    for agent in able:
        accounts.setdefault(account_key(agent.account or ""), []).append(agent)
    keys = dict.fromkeys(account_key(a.account or "") for a in chosen)
    plans = [_account(snapshot, accounts[key], agent_ids, symbols) for key in keys]
    if not agent_ids:
        plans += _known_here_only(snapshot, set(accounts))
    untouched = []
    homeless = [a.name for a in snapshot.agents if a.mode == "real" and not a.account]
    if homeless and not agent_ids:
        untouched.append(f"{', '.join(homeless)}: no account is known")
    paper = sum(p.mode == "paper" for p in snapshot.positions)
    if paper and not agent_ids:
        untouched.append(f"{paper} paper positions: computed, no account holds them")
    return ClosePlan(
        tuple(sorted(plans, key=lambda plan: -plan.notional)),
        tuple(untouched),
        snapshot.round_trip_ms or ROUND_TRIP_MS,
    )


def _known_here_only(snapshot: FleetSnapshot, shown: set[str]) -> list[AccountPlan]:
    """The accounts of which the database says nothing, or not that they are real."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, account in snapshot.known_here:
        if account_key(account) not in shown:
            found.setdefault(account_key(account), (account, []))[1].append(name)
    doubt = "real by the environment or by this machine's memory only: the exchange is asked what is open"
    return [AccountPlan(account, tuple(names), doubts=(doubt,)) for account, names in found.values()]


def _account(
    snapshot: FleetSnapshot, agents: Sequence[AgentView], agent_ids: Sequence[str], symbols: Sequence[str]
) -> AccountPlan:
    address = agents[0].account or ""
    key, ids = account_key(address), {a.key for a in agents}
    positions = tuple(
        p
        for p in snapshot.positions
        if p.mode == "real" and ids & set(p.agent_id.split("+")) and (not symbols or p.symbol in symbols)
    )
    orders = [
        o
        for o in snapshot.orders
        if o.open and account_key(o.account or "") == key and (not symbols or o.symbol in symbols)
    ]
    feed = next((f for f in snapshot.feeds if f.name == user_feed(address)), None)
    return AccountPlan(
        address,
        tuple(a.name for a in agents),
        positions,
        len(orders),
        tuple(a.name for a in agents if agent_ids and a.key not in agent_ids),
        refused=feed.detail or "its key cannot be used" if feed is not None and feed.state == "off" else "",
        doubts=tuple(_doubts(snapshot, feed, positions)),
    )


def _doubts(snapshot: FleetSnapshot, feed: FeedView | None, positions: Sequence[PositionView]) -> list[str]:
    doubts = []
    for symbol in dict.fromkeys(p.symbol for p in positions):
        rules = snapshot.rules.get(symbol)
        if rules is not None and not rules.trading:
            doubts.append(f"{symbol} is not trading ({rules.status}): the exchange may refuse to close it")
    if feed is None:
        doubts.append("its positions are not known yet: the exchange is asked")
    elif feed.state in ("down", "stale"):
        doubts.append(f"its stream is {feed.state}: what is shown may be old, the exchange is asked")
    return doubts


def _worth(position: PositionView) -> Decimal:
    return position.notional if position.notional is not None else position.quantity * position.entry_price

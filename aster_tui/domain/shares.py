"""Whose position is it: each agent's share of an account, from the journal's executions. Pure.

Agents that share an account share its positions at the exchange; what each of them bought and sold is known
by the client order ids of its orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.trading import ZERO, account_key

Key = tuple[str, str]
#: By a close-all's client order id: what it took from each agent (base asset, above zero), by agent's id.
Taken = dict[str, dict[str, Decimal]]
#: Parts of money are this exact, USDT.
_CENT = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Share:
    """One agent's part of a position: signed quantity, average entry price (USDT), since when (Unix ms)."""

    agent_id: str
    symbol: str
    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    opened_at: int = 0

    def after(self, quantity: Decimal, price: Decimal, at: int) -> Share:
        """The share after a fill; ``quantity`` is signed."""
        total = self.quantity + quantity
        if not total:
            return replace(self, quantity=ZERO, entry_price=ZERO, opened_at=0)
        if self.quantity and (total > 0) == (self.quantity > 0):
            if abs(total) < abs(self.quantity):
                return replace(self, quantity=total)
            cost = self.quantity * self.entry_price + quantity * price
            return replace(self, quantity=total, entry_price=cost / total)
        return replace(self, quantity=total, entry_price=price, opened_at=at)


def shares(records: Iterable[OrderRecord]) -> dict[Key, Share]:
    """The share of every (agent id, symbol) that is not flat."""
    return shares_and_taken(records)[0]


def shares_and_taken(records: Iterable[OrderRecord]) -> tuple[dict[Key, Share], Taken]:
    """The share of every (agent id, symbol) that is not flat, and what close-alls took from whom.

    A close-all closes an account, whoever's it is: it takes from the shares of all its agents.
    """
    found: dict[Key, Share] = {}
    taken: Taken = {}
    accounts: dict[Key, str] = {}
    executed = [r for r in records if r.executed]
    for record in sorted(executed, key=lambda r: (r.executed_at or r.intent_at, r.intent_at)):
        if record.purpose == "flatten":
            account = account_key(record.account)
            held = [k for k, a in accounts.items() if a == account and k[1] == record.symbol and k in found]
            taken[record.client_order_id] = _flattened(found, held, record)
            continue
        key = (record.agent_id, record.symbol)
        accounts[key] = account_key(record.account)
        before = found.get(key) or Share(*key)
        found[key] = before.after(record.signed, record.average_price, record.executed_at or record.intent_at)
    return {key: share for key, share in found.items() if share.quantity}, taken


def divided(amount: Decimal, weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """An amount of money by weights that do not come to zero; the parts come to the amount, to the last
    digit."""
    total, left = sum(weights.values(), ZERO), amount
    found: dict[str, Decimal] = {}
    for number, (name, weight) in enumerate(weights.items(), 1):
        last = number == len(weights)
        found[name] = left if last else (amount * weight / total).quantize(_CENT)
        left -= found[name]
    return found


def parts(held: Iterable[Share], there: Decimal) -> dict[str, Decimal]:
    """What each agent holds of the ``there`` (signed) that an account has in a symbol, by agent's id.

    All parts together are never more than there is. Where it is less than the shares come to (a liquidation,
    a close by hand), what was opened first is what went: nobody closes what another opened since.
    """
    found: dict[str, Decimal] = {}
    left = there
    for share in sorted(held, key=lambda s: (s.opened_at, s.agent_id), reverse=True):
        if share.quantity * left > 0:
            mine = min(share.quantity, left) if left > 0 else max(share.quantity, left)
            found[share.agent_id] = mine
            left -= mine
    return found


def _flattened(found: dict[Key, Share], held: list[Key], record: OrderRecord) -> dict[str, Decimal]:
    """Take what a close-all executed from the shares it closed, the largest first; what was taken from whom.
    What is left of it closed a position that nobody here had opened."""
    left, taken = record.executed, dict[str, Decimal]()
    for key in sorted(held, key=lambda k: abs(found[k].quantity), reverse=True):
        share = found[key]
        if share.quantity * record.signed < 0 and left:
            part = min(left, abs(share.quantity))
            signed = part if record.signed > 0 else -part
            found[key] = share.after(signed, record.average_price, record.executed_at or record.intent_at)
            left -= part
            taken[key[0]] = part
    if not sum((found[key].quantity for key in held), ZERO):
        # The account is flat: what one agent had long and another short is closed by that, too.
        for key in held:
            found[key] = Share(*key)
    return taken

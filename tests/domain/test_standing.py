"""How an agent stands to its safeguards."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from aster_tui.domain.client_ids import client_order_id
from aster_tui.domain.safeguards import RULES, Limits
from aster_tui.domain.standing import standings
from tests.console.scripted import NOW, order, position, trading

D = Decimal


def test_every_safeguard_has_its_limit_and_its_present_value() -> None:
    told = trading(orders=(order(0, key=client_order_id("a0", "entry", 0, "x"), at=NOW - 1000),))
    rows = {row.name: row for row in standings(told, told.agents[0], NOW)}
    assert all(row.ok for row in rows.values())
    assert (rows["positions"].allows, rows["positions"].now) == ("5", "2")
    assert rows["order size"].now == "at most 200.00 USDT"
    assert rows["exposure"].now == "200.00 USDT"
    assert rows["leverage"].now == "5×"
    assert rows["pace"].now == "1 in the last minute"
    assert len(rows) == len(RULES) - 1  # halted and permission are told as one: trading


def test_what_is_used_up_is_marked() -> None:
    crowded = tuple(
        position(0, key=f"p{n}", symbol=f"S{n}USDT", leverage=50, notional=D(2000)) for n in range(5)
    )
    told = trading(positions=crowded, limits=Limits(duplicate_s=0, orders_per_minute=0))
    halted = replace(told.agents[0], trading="HALTED", wallet_at=NOW - 10_000_000)
    told = replace(told, agents=(halted,))
    rows = {row.name: row for row in standings(told, halted, NOW)}
    assert {name for name, row in rows.items() if not row.ok} == {
        "trading", "positions", "exposure", "leverage", "balance age",
    }  # fmt: skip
    assert rows["pace"].allows == rows["duplicate"].allows == "OFF"

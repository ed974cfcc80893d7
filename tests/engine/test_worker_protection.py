"""Stops and targets that cannot be placed, written down or cancelled: nothing stays naked unsaid."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.views import ALARMS
from aster_tui.engine.notifier import OURS
from aster_tui.practice import payloads
from aster_tui.practice.errors import refuse
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal
from tests import rig
from tests.engine.desk import PROTECTED, Desk, desk, first

__all__ = ["desk"]

D = Decimal


async def test_what_is_answered_before_it_was_matched_is_protected_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    real = payloads.order

    def acknowledged(row: Any, **more: Any) -> Any:
        return real(row, acknowledged_only="acknowledged_only" in more and row.kind == "MARKET")

    monkeypatch.setattr(payloads, "order", acknowledged)
    with rig.running(desk.settings, desk.environment, working=True):
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "done", done
        assert done["result"]["executed"] == "0.001"
        assert {o.original for o in desk.open_orders(account)} == {"STOP_MARKET", "TAKE_PROFIT_MARKET"}


async def test_a_stop_that_cannot_even_be_written_down_leaves_nothing_naked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = first(desk)
    real = Journal.intend

    async def intend(self: Journal, record: OrderRecord) -> None:
        if record.purpose == "stop":
            raise StoreError("the journal cannot be used: no space left")
        await real(self, record)

    monkeypatch.setattr(Journal, "intend", intend)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "failed"
        assert "stop was not placed: the journal cannot be used" in done["reasons"][0]
        assert desk.amount(account, "BTCUSDT") == 0
        assert desk.open_orders(account) == []
        await rig.until(lambda: "BTCUSDT is not protected" in rig.errors(engine))


async def test_a_position_that_stays_unprotected_by_setting_is_alarmed_and_watched_on_paper(
    desk: Desk,
) -> None:
    account = first(desk)
    settings = desk.settings.model_copy(update={"close_unprotected": False})
    api = desk.exchange._api._exchange
    real_place = api.place

    def place(user: str, params: Any, *, test: bool = False) -> Any:
        if params.get("type") == "STOP_MARKET":
            raise refuse(-2021)
        return real_place(user, params, test=test)

    api.place = place  # type: ignore[method-assign]
    with rig.running(settings, desk.environment, working=True) as engine:
        done = await desk.ended(desk.decide("Real", **PROTECTED))
        assert done["state"] == "failed"
        assert desk.amount(account, "BTCUSDT") == D("0.001")
        await rig.until(lambda: "naked: Real: BTCUSDT is not protected" in rig.errors(engine))
        agent = await rig.until(
            lambda: desk.database.agents.find_one({"name": "Real", "isPaperTrading": True}), "falls back"
        )
        assert agent["asterKeepsPositions"] is True
        await rig.until(lambda: "still holds BTCUSDT at the exchange, which is watched" in rig.errors(engine))


async def test_a_stop_that_cannot_be_cancelled_is_an_alarm_and_a_line_in_the_database(desk: Desk) -> None:
    first(desk)
    with rig.running(desk.settings, desk.environment, working=True) as engine:
        assert (await desk.ended(desk.decide("Real", **PROTECTED)))["state"] == "done"

        def cancel(user: str, params: Any) -> Any:
            raise refuse(-2015)

        desk.exchange._api._exchange.cancel = cancel  # type: ignore[method-assign]
        await desk.ended(desk.decide("Real", coin="BTC", signal="close"))
        left = await rig.until(lambda: desk.database.errors.find_one({"message": {"$regex": "left over"}}))
        assert left["source"] in OURS  # this process alone knows it, so it tells it whatever the others do
        assert left["source"] in ALARMS
        assert left["agentName"] == "Real"
        await rig.until(lambda: "left over" in rig.errors(engine))

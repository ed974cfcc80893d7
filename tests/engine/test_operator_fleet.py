"""What an operator asks of agents and the fleet: modes, halts, syncs; and consoles that see each other."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aster_tui.domain.commands import (
    PlaceOrder,
    Preflight,
    Presence,
    ReducePosition,
    SetMode,
    SetTrading,
    SyncAgents,
)
from aster_tui.domain.events import Control
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.ticket import Ticket
from aster_tui.engine.core import now_ms
from aster_tui.engine.halt_file import HaltFile
from aster_tui.store.journal import Journal
from tests import rig
from tests.floor import Floor, ask, market, ready

D = Decimal


async def test_to_real_only_through_the_whole_preflight(floor: Floor) -> None:
    account = floor.accounts[0]
    addresses = {"asterUserAddress": account["user"], "asterSignerAddress": account["signer"]}
    floor.add("Good", **addresses)
    floor.add("Keyless", asterUserAddress=floor.accounts[1]["user"])
    floor.environment |= rig.keys(Good=account)
    with rig.running(floor.settings, floor.environment) as engine:
        await rig.until(lambda: rig.agent(engine, "Keyless") and engine.snapshot().rules)
        checked = await ask(engine, Preflight((floor.agents["Good"],)))
        assert checked.state == "done", checked
        names = {c["name"] for c in checked.document["checks"]}
        assert {"exchange", "clock", "database", "safeguards", "key", "account", "test order"} <= names
        assert await floor.requests("POST /fapi/v3/order") == 0
        view = await ask(engine, SetMode((floor.agents["Good"], floor.agents["Keyless"]), paper=False))
        assert view.state == "refused"
        rows = {row["name"]: row for row in view.document["agents"]}
        assert (rows["Good"]["mode"], rows["Keyless"]["mode"]) == ("real", "paper")
        assert "has no key" in rows["Keyless"]["why"]
        assert floor.database.agents.find_one({"name": "Good"})["isPaperTrading"] is False
        assert floor.database.agents.find_one({"name": "Keyless"}).get("isPaperTrading") is not False
        await ready(engine, "Good")


@pytest.mark.parametrize("close", [False, True])
async def test_to_paper_keeps_and_watches_or_closes(floor: Floor, close: bool) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        assert (await ask(engine, PlaceOrder(key, market()))).state == "done"
        await rig.until(lambda: engine.snapshot().positions)
        view = await ask(engine, SetMode((key,), paper=True, close_positions=close))
        assert view.state == "done", view
        assert floor.database.agents.find_one({"name": "Real"})["isPaperTrading"] is True
        await rig.until(lambda: rig.agent(engine, "Real").mode == "paper")  # type: ignore[union-attr]
        if close:
            assert floor.amount(0, "BTCUSDT") == 0
            await rig.until(lambda: not engine.snapshot().positions)
            return
        assert floor.amount(0, "BTCUSDT") == D("0.001")
        assert rig.agent(engine, "Real").watched  # type: ignore[union-attr]
        assert [p.symbol for p in engine.snapshot().positions] == ["BTCUSDT"]
        # What was kept can still be closed, and nothing can be opened.
        assert (await ask(engine, PlaceOrder(key, market()))).state == "refused"
        assert (await ask(engine, ReducePosition(key, "BTCUSDT"))).state == "done"
        assert floor.amount(0, "BTCUSDT") == 0


async def test_a_halt_holds_at_once_and_only_a_reason_ends_it(floor: Floor) -> None:
    floor.add("Real", 0)
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        assert (await ask(engine, SetTrading("HALTED", "drill"))).state == "done"
        view = await ask(engine, PlaceOrder(key, market()))
        assert (view.state, "HALTED: drill" in view.message) == ("refused", True)
        await rig.until(lambda: floor.database.controls.find_one({"_id": "fleet", "state": "HALTED"}))
        assert engine.snapshot().halted
        assert (await ask(engine, SetTrading("ACTIVE"))).state == "refused"
        assert (await ask(engine, SetTrading("ACTIVE", "all is well"))).state == "done"
        await rig.until(lambda: floor.database.controls.find_one({"_id": "fleet", "state": "ACTIVE"}))
        await rig.until(lambda: not engine.snapshot().halted)
        history = floor.database.controls.find_one({"_id": "fleet"})["history"]
        assert [(h["state"], h["reason"]) for h in history] == [
            ("HALTED", "drill"),
            ("ACTIVE", "all is well"),
        ]
        assert (await ask(engine, PlaceOrder(key, market()))).state == "done"


async def test_a_halt_that_comes_while_an_order_is_on_its_way_stops_it(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.add("Real", 0)
    intend = Journal.intend

    async def halted_meanwhile(self: Journal, record: OrderRecord) -> None:
        HaltFile(floor.settings.state_folder).set(["fleet"], Control("HALTED", "now", "somebody", now_ms()))
        await intend(self, record)

    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        key = floor.agents["Real"]
        assert (await ask(engine, PlaceOrder(key, market()))).state == "done"
        held = floor.amount(0, "BTCUSDT")
        monkeypatch.setattr(Journal, "intend", halted_meanwhile)
        view = await ask(engine, PlaceOrder(key, Ticket("ETHUSDT", "BUY", "market", quantity=D("0.02"))))
        assert (view.state, "halted: the fleet is HALTED: now" in view.message) == ("refused", True), view
        assert floor.amount(0, "ETHUSDT") == 0
        # What only reduces goes on.
        view = await ask(engine, ReducePosition(key, "BTCUSDT"))
        assert (view.state, bool(held), floor.amount(0, "BTCUSDT")) == ("done", True, 0), view


async def test_a_sync_tells_what_differed(floor: Floor) -> None:
    floor.add("Real", 0)
    floor.add("Paper")
    with rig.running(floor.settings, floor.environment) as engine:
        await ready(engine, "Real")
        view = await ask(engine, SyncAgents((floor.agents["Real"],)))
        assert (view.state, view.document["agents"][0]["ok"]) == ("done", True), view
        assert (await ask(engine, SyncAgents((floor.agents["Paper"],)))).state == "refused"


async def test_consoles_see_each_other(floor: Floor) -> None:
    floor.add("Real", 0)
    second = floor.settings.model_copy(update={"state_dir": floor.settings.state_folder.parent / "second"})
    with (
        rig.running(floor.settings, floor.environment, attached=True) as one,
        rig.running(second, floor.environment, attached=True) as two,
    ):
        await rig.until(lambda: len(one.snapshot().consoles) == 2, "both are seen")
        two.submit(Presence(armed=True))
        await rig.until(lambda: [c.armed for c in one.snapshot().consoles if not c.mine] == [True])
        await ask(two, SetTrading("HALTED", "seen elsewhere"))
        await rig.until(lambda: any("halt the fleet" in line.title for line in one.snapshot().audit))
        await rig.until(lambda: one.snapshot().halted)

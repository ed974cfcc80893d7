"""Read-only, proved at the other end: every action and every key on every screen, and neither the exchange
nor the database saw anything but reads."""

from __future__ import annotations

import asyncio
import string
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from textual._compositor import Compositor
from textual.pilot import Pilot
from textual.widgets import Input

from aster_tui.console.app import ConsoleApp
from aster_tui.console.keyboard import passed
from aster_tui.console.layout import PANES
from aster_tui.console.options import ConsoleOptions
from aster_tui.console.registry import ACTIONS
from aster_tui.domain.events import ErrorRaised
from aster_tui.domain.records import error_record
from aster_tui.engine.core import now_ms
from aster_tui.practice.options import PracticeOptions
from aster_tui.practice.server import PracticeExchange
from tests import rig
from tests.console.driving import line, pane
from tests.console.scripted import audit_line
from tests.floor import Floor

NAMED = (
    *("enter", "escape", "tab", "shift+tab", "space", "backspace", "delete", "insert"),
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "shift+up", "shift+down"),
    *(f"f{number}" for number in range(1, 13)),
    *(f"ctrl+{letter}" for letter in string.ascii_lowercase),
    *("ctrl+up", "ctrl+down", "ctrl+left", "ctrl+right", "alt+x", "ctrl+@", "ctrl+backslash"),
)
KEYS = (*string.ascii_letters, *string.digits, *string.punctuation, "ü", "ß", *NAMED)
#: How each screen is opened that can be opened at all.
SCREENS = {
    **{name: (str(number),) for number, name in enumerate(PANES, start=1)},
    "agent": ("1", "enter"),
    "position": ("2", "enter"),
    "order": ("3", "enter"),
    "help": ("question_mark",),
    "palette": ("colon",),
    "filter": ("1", "slash"),
    "columns": ("C",),
    "fields": ("1", "Y"),
    "export": ("E",),
    "metrics": ("M",),
    "close-all": ("ctrl+x",),
    "error": ("4", "enter"),
    "command": ("5", "enter"),
    "operator": ("6", "enter"),
    "theme": ("T",),
}
#: A stream of one's own account is listened to by a key that the venue hands out: that changes no account.
LISTENS = "/fapi/v3/listenKey"
#: What needs no signature: the market's own calls and streams.
PUBLIC = tuple(f"/fapi/v3/{name}" for name in ("ping", "time", "exchangeInfo", "premiumIndex", "ticker"))
PUBLIC += ("/ws/!",)
#: What the profiler calls reading.
READS = {"query", "getmore", "command"}
WRITING = {"findAndModify", "findandmodify", "insert", "update", "delete", "create", "drop", "createIndexes"}
#: A handful at a time; what is pressed means the same without keys, so there the registry and the panes do.
PARTS = [tuple(SCREENS)[first : first + 3] for first in range(0, len(SCREENS), 3)]


@pytest.fixture
async def watched(tmp_path: Any, mongo_uri: str, mongo_database: str, raw_database: Any) -> Any:
    """A floor with something to spoil: positions, orders, a real agent and one on paper."""
    options = PracticeOptions(accounts=2, positions=2)
    async with PracticeExchange(options) as exchange:
        chosen = rig.settings(tmp_path, exchange.rest_url, exchange.ws_url, mongo_uri, mongo_database)
        floor = Floor(exchange, raw_database, chosen, {})
        floor.add("Real", 0)
        floor.add("Paper")
        floor.database.errors.insert_one(error_record(ErrorRaised(now_ms(), "agent", "it failed", "Real")))
        filled = {"clientOrderId": "x", "agentName": "Real", "symbol": "BTCUSDT", "status": "FILLED"}
        floor.database.orders.insert_one({**filled, "type": "MARKET", "side": "BUY", "timestamp": now_ms()})
        floor.database.audit.insert_one(asdict(audit_line(1)))
        seen = datetime.now(UTC) + timedelta(hours=1)  # never long ago
        floor.database.consoles.insert_one({"_id": "c2", "operator": "bo", "host": "desk-2", "seenAt": seen})
        yield floor


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn: the proof looks at the other end, and drawing is most of what a key costs. Nor does a
    key wait for more than itself."""

    def nothing(compositor: Compositor, **how: object) -> None:
        compositor._dirty_regions.clear()

    async def posted(*_: float) -> None:
        await asyncio.sleep(0.001)

    monkeypatch.setattr(Compositor, "render_update", nothing)
    monkeypatch.setattr("textual.app.wait_for_idle", posted)


async def press(app: ConsoleApp, key: str) -> None:
    """Press a key and wait until it is done. Thousands are pressed: none waits for more than itself."""
    await app._press_keys([key])
    await passed(app)
    await rig.until(lambda: app.keyboard.idle, f"{key} is done", every=0.001)


async def every_key(app: ConsoleApp, name: str) -> None:
    """Press every key on a screen, opening it again whenever a key led away from it."""
    here: object = None
    opened, before = SCREENS[name], ""
    for key in KEYS:
        if here is None or app.screen is not here or len(opened) == 1:
            while app.covered:
                app.screen.dismiss()
            assert app.frame.filter_line is not None
            app.frame.filter_line.value = ""
            if before == opened[0]:  # a key that stays down opens nothing twice
                await press(app, "f12")
            for step in opened:
                await press(app, step)
            assert app.covered or name in PANES or isinstance(app.focused, Input), (
                f"{name} did not open before {key}"
            )
            here = app.screen
        await press(app, key)
        before = key


async def every_action(app: ConsoleApp, pilot: Pilot[None]) -> None:
    """Carry out every action of the registry, as the palette would, wherever it belongs."""
    for action in ACTIONS:
        for name in action.panes or PANES[:1]:
            app.activate(name)
            app.do(action.id)
            if action.danger != "none":
                assert "read-only" in line(app, "footer"), action.id
            await pilot.pause()
            while app.covered:
                app.screen.dismiss()


def writes(database: Any) -> list[Any]:
    """What the database's own profiler saw beyond reads."""
    return [
        entry
        for entry in database.system.profile.find()
        if entry["op"] not in READS or WRITING & set(entry.get("command", {}))
    ]


@pytest.mark.parametrize(
    ("mode", "screens"),
    [
        *(("read_only", screens) for screens in (*PARTS, ("registry",))),
        ("no_keys", PARTS[0]),
        ("no_keys", ("registry",)),
    ],
)
async def test_nothing_but_reads_whatever_is_pressed(
    watched: Floor, mode: str, screens: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    database = watched.database
    before = await watched.state()
    documents = {name: [*database[name].find()] for name in database.list_collection_names()}
    database.command("profile", 2)
    settings = watched.settings.model_copy(update={mode: True})
    left: list[int] = []
    with rig.running(settings, watched.environment, attached=True) as engine:
        await rig.until(lambda: rig.feed(engine, "mongo") == "live" and engine.snapshot().marks, "it runs")
        if mode == "read_only":
            await rig.until(lambda: engine.snapshot().positions, "positions")
        app = ConsoleApp(engine, options=ConsoleOptions(state_folder=settings.state_folder))
        monkeypatch.setattr(app, "exit", lambda *args, **more: left.append(1))
        async with app.run_test(size=(80, 24)) as pilot:
            await rig.until(lambda: pane(app, "agents").rows, "agents")
            parts = (
                "errors",
                "audit",
                "consoles",
                "orders",
                *(("positions",) if mode == "read_only" else ()),
            )
            await rig.until(lambda: all(getattr(app._shown, part) for part in parts), "all of it is shown")
            await rig.until(lambda: app.frame.filter_line is not None, "the whole frame")
            for name in screens:
                if name == "registry":
                    await every_action(app, pilot)
                else:
                    await every_key(app, name)
            assert "WATCH" in line(app, "header")
    after = await watched.state()
    _only_reads(before, after, signed=mode == "read_only")
    assert all(a["positions"] == before["accounts"][u]["positions"] for u, a in after["accounts"].items())
    assert after["executed_orders"] == before["executed_orders"]
    database.command("profile", 0)
    assert database.system.profile.count_documents({}) > 0
    assert writes(database) == []
    for name, found in documents.items():
        assert [*database[name].find()] == found, name


def _only_reads(before: dict[str, Any], after: dict[str, Any], *, signed: bool) -> None:
    seen = {
        request for request, count in after["requests"].items() if count > before["requests"].get(request, 0)
    }
    assert seen
    for request in seen:
        method, path = request.split(" ", 1)
        assert method == "GET" or (signed and path == LISTENS), request
        if not signed:
            assert path.startswith(PUBLIC), request


def test_the_proof_would_see_a_write(raw_database: Any) -> None:
    """What the read-only tests rely on: the profiler tells reads from writes."""
    raw_database.agents.insert_one({"name": "x"})
    raw_database.command("profile", 2)
    assert raw_database.agents.find_one()
    assert writes(raw_database) == []
    raw_database.agents.update_one({}, {"$set": {"name": "y"}})
    raw_database.agents.find_one_and_update({}, {"$set": {"name": "z"}})
    raw_database.command("profile", 0)
    assert len(writes(raw_database)) == 2

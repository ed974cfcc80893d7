"""Made-up recordings: a small fleet whose prices move once a second."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from aster_tui.domain import events as ev
from aster_tui.domain.documents import AgentDocument, PositionDocument
from aster_tui.domain.recording import Header, event_line
from aster_tui.domain.replay import Tape

D = Decimal
T0 = 1_790_000_000_000
SECONDS = 120
HEADER = Header("aster-tui 0", "PRACTICE", False, D(1000), 60_000, T0)


def paper_position(number: int, at: int) -> PositionDocument:
    """An open long position of a paper agent."""
    return PositionDocument(
        position_id=f"p{number}",
        agent_id="a0",
        agent_name="DataSage",
        coin="BTC",
        signal="long",
        entry_price=D(100),
        exit_price=None,
        profit_target=D(0),
        stop_loss=D(0),
        leverage=D(1),
        size_usd=D(100),
        confidence=D(1),
        opened_at=at,
        closed_at=None,
        status="open",
        pnl=D(0),
        pnl_absolute=D(0),
    )


def happened() -> Iterator[tuple[int, ev.Event]]:
    """What happened, with its time: at second 60 a position is opened, at 90 something goes wrong."""
    agents = tuple(AgentDocument(f"a{n}", name) for n, name in enumerate(("DataSage", "NovaHawk")))
    yield T0, ev.AgentsLoaded(T0, agents)
    yield T0, ev.PaperLoaded(T0, (), {})
    for second in range(SECONDS + 1):
        at = T0 + second * 1000
        yield at, ev.MarkPrices(at, {"BTCUSDT": D(100) + second})
        if second == 60:
            yield at, ev.PaperPosition(at, paper_position(0, at))
        if second == 90:
            yield at, ev.ErrorRaised(at, "exchange", "out of luck", "DataSage", "-1")


def tape() -> Tape:
    """The recording of that."""
    return Tape(HEADER, [event_line(at, event) for at, event in happened()])

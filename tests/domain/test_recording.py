"""Recordings: every event there and back exactly, and a replay that is what it was."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aster_tui.domain import events as ev
from aster_tui.domain import recording
from aster_tui.domain.fleet import FleetState
from aster_tui.domain.fleet_views import snapshot
from aster_tui.domain.recording import (
    Header,
    RecordingError,
    event_line,
    header_line,
    line_time,
    read_event,
    read_header,
)
from aster_tui.domain.replay import Player, Tape, fork

T0 = 1_790_000_000_000
HEADER = Header("0.1", "PRACTICE", False, Decimal(1000), 90_000, T0)

# What is no finite number is refused where it comes in.
st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))
st.register_type_strategy(
    Mapping,
    lambda hint: st.dictionaries(*(st.from_type(kind) for kind in get_args(hint)), max_size=3),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


def _any_event() -> st.SearchStrategy[Any]:
    """Every type of the union: one that is new is here without anybody's doing."""
    return st.one_of(*(events_of(kind) for kind in get_args(ev.Event)))


def events_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    document = {"document": st.dictionaries(st.text(max_size=3), _JSON, max_size=3)}
    return st.builds(kind, **(document if kind is ev.RequestEnded else {}))


@pytest.mark.parametrize("kind", get_args(ev.Event))
@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_every_event_is_the_same_after_writing_and_reading(kind: type[Any], data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    line = event_line(T0, event)
    assert "\n" not in line
    back = read_event(line)
    assert back == event
    assert event_line(T0, back) == line  # 1 and 1.0 are equal, and not the same
    assert line_time(line) == T0


def test_an_event_nobody_taught_is_refused_when_it_is_written() -> None:
    with pytest.raises(TypeError, match="teach"):
        recording._codec(complex)
    with pytest.raises(TypeError, match="teach"):
        recording._codec(int | str)


def test_decimals_keep_every_digit_and_their_form() -> None:
    for text in ("0.1", "1E+3", "-0", "64012.40000", "12345678901234567890.123456789012345678901234567890"):
        event = ev.ExitPnl(1, "a", Decimal(text))
        assert str(read_event(event_line(1, event)).total) == str(Decimal(text))  # type: ignore[union-attr]


def test_the_header_is_read_back_and_what_is_none_is_refused() -> None:
    assert read_header(header_line(HEADER)) == HEADER
    for line, says in (
        ("", "no recording"),
        ("{}", "no recording"),
        (f"{recording.MAGIC} {{}}", "first line"),
        (f"{recording.MAGIC} nonsense", "first line"),
        (header_line(HEADER).replace("{", '{"format":2,', 1), "newer aster-tui"),
    ):
        with pytest.raises(RecordingError, match=says):
            read_header(line)


@pytest.mark.parametrize(
    "line",
    ["", "1", "x MarkPrices {}", "1 Nothing {}", "1 MarkPrices {", "1 MarkPrices {}", '1 FeedHeard {"x":1}'],
)
def test_a_line_that_cannot_be_read_says_so(line: str) -> None:
    with pytest.raises(RecordingError):
        read_event(line)


def test_free_text_goes_through_the_cleaner() -> None:
    event = ev.ErrorRaised(1, "mongo", "at mongodb://me:hunter2@host", raw="hunter2")
    line = event_line(1, event, lambda text: text.replace("hunter2", "[hidden]"))
    assert "hunter2" not in line
    document = ev.RequestEnded(1, "r", "done", "hunter2", {"a": ["hunter2", {"b": "hunter2"}]})
    assert "hunter2" not in event_line(1, document, lambda text: text.replace("hunter2", "[hidden]"))


_EVENTS = st.lists(st.tuples(st.integers(0, 400), _any_event()), max_size=25)


def _tape(events: list[tuple[int, Any]]) -> Tape:
    at, lines = T0, []
    for gap, event in events:
        at += gap
        lines.append(event_line(at, event))
    return Tape(HEADER, lines)


def _live(tape: Tape, count: int, at: int) -> Any:
    state = FleetState(network="PRACTICE", read_only=False, initial_balance=Decimal(1000))
    for index in range(count):
        state.apply(tape.event(index))
    return snapshot(state, at, sync_stale_ms=HEADER.sync_stale_ms)


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(_EVENTS, st.lists(st.integers(-100, 6_000), min_size=1, max_size=6), st.integers(1, 7))
def test_wherever_one_goes_it_is_as_it_was_then(
    events: list[tuple[int, Any]], visits: list[int], kept_every: int
) -> None:
    tape = _tape(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aster_tui.domain.replay.KEPT_EVERY", kept_every)
        player = Player(tape)
        for offset in visits:
            player.go(T0 + offset)
            assert player.position == sum(tape.time(i) <= T0 + offset for i in range(tape.count))
            assert player.snapshot() == _live(tape, player.position, T0 + offset)


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(_any_event(), max_size=12), st.lists(_any_event(), max_size=8))
def test_a_fork_and_its_origin_do_not_touch_each_other(before: list[Any], after: list[Any]) -> None:
    def fresh() -> FleetState:
        return FleetState(network="PRACTICE", read_only=False, initial_balance=Decimal(1000))

    origin, straight = fresh(), fresh()
    for event in before:
        origin.apply(event)
        straight.apply(event)
    twin = fork(origin)
    seen = snapshot(origin, T0)
    for event in after:
        twin.apply(event)
        straight.apply(event)
    assert snapshot(origin, T0) == seen
    assert snapshot(twin, T0) == snapshot(straight, T0)


def test_a_long_tape_is_found_by_time_and_goes_back_quickly() -> None:
    lines = [event_line(T0 + n * 10, ev.MarkPrices(n, {"BTCUSDT": Decimal(n)})) for n in range(45_000)]
    tape = Tape(HEADER, lines)
    player = Player(tape)
    player.go(T0 + 449_990)
    assert player.state.marks["BTCUSDT"] == 44_999
    read = _count_reads(tape)
    player.go(T0 + 410_000)
    assert player.state.marks["BTCUSDT"] == 41_000
    assert read[0] <= 1_001  # from the state kept at 40,000 and not from the beginning
    assert tape.first_after(T0 - 1) == 0
    assert tape.first_after(T0 + 10**9) == tape.count


def _count_reads(tape: Tape) -> list[int]:
    read, real = [0], tape.event

    def counted(index: int) -> ev.Event:
        read[0] += 1
        return real(index)

    tape.event = counted  # type: ignore[method-assign]
    return read

"""The command log: requests and lines of the audit joined, whatever order they come in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.audit import AuditLine
from aster_tui.domain.command_log import command_log
from aster_tui.domain.commands import PlaceOrder
from aster_tui.domain.requests import title_of
from aster_tui.domain.ticket import Ticket
from aster_tui.domain.views import RequestView


def line(request: str, phase: Any, at: int, outcome: str = "", answer: str = "") -> AuditLine:
    return AuditLine(
        at, at, "rosa", "desk-1", "console", request, phase, "a title", "words", "", outcome, answer
    )


def test_asked_and_answered_are_one_row_and_ones_own_state_is_the_newest() -> None:
    audit = [line("1", "asked", 10), line("2", "asked", 20), line("1", "answered", 15, "done", "yes")]
    own = RequestView("2", "a title", "words", "running", 20, message="half of it")
    newest, oldest = command_log((own,), audit)
    assert (oldest.at, oldest.ended_at, oldest.state, oldest.answer, oldest.mine) == (
        10,
        15,
        "done",
        "yes",
        False,
    )
    assert (newest.state, newest.answer, newest.mine, newest.operator) == (
        "running",
        "half of it",
        True,
        "rosa",
    )


def test_a_request_that_no_audit_has_is_there_too() -> None:
    (only,) = command_log((RequestView("9", "t", "w", "refused", 5, 6, "read-only"),), ())
    assert (only.state, only.answer, only.operator, only.ended_at) == ("refused", "read-only", "", 6)


@given(
    st.permutations(
        [line(str(n), p, n * 10 + (p == "answered"), "done") for n in range(4) for p in ("asked", "answered")]
    )
)
def test_the_order_of_the_lines_does_not_matter(lines: list[AuditLine]) -> None:
    rows = command_log((), lines)
    assert [row.key for row in rows] == ["3", "2", "1", "0"]
    assert all(row.state == "done" and row.ended_at == row.at + 1 for row in rows)


def test_an_order_without_a_size_is_not_called_one_of_none() -> None:
    asked = PlaceOrder("1", Ticket("BTCUSDT", "BUY"), test=True)
    assert title_of(asked, {"1": "Nova"}) == "TEST Nova: BUY no size of BTCUSDT market"

"""What became of each closing order of a close-all, as the report tells it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aster_tui.domain.flatten.blotter import Blotter
from aster_tui.domain.flatten.steps import Close, Failure, FailureKind
from aster_tui.domain.trading import Order

D = Decimal
CLOSE, OTHER = (Close(number, "BTCUSDT", "BOTH", "SELL", D(1)) for number in (1, 2))


@pytest.mark.parametrize(
    ("kind", "status", "doubtful"),
    [
        ("unsent", "UNSENT", False),
        ("unknown", "UNKNOWN", True),
        ("refused", "REFUSED", False),
        ("limited", "REFUSED", False),
        ("clock", "REFUSED", False),
        ("key", "REFUSED", False),
    ],
)
def test_a_close_that_failed_says_how_and_whether_it_may_be_live(
    kind: FailureKind, status: str, doubtful: bool
) -> None:
    blotter = Blotter()
    blotter.add(CLOSE)
    blotter.add(OTHER)
    blotter.failed(CLOSE, Failure(kind, "the words of the venue"))
    first, second = blotter.made
    assert (first.status, first.words, first.doubtful) == (status, "the words of the venue", doubtful)
    assert (second.close, second.status, second.doubtful) == (OTHER, "SENT", True)


def test_a_close_whose_answer_was_lost_ends_as_the_exchange_says() -> None:
    blotter = Blotter()
    for close in (CLOSE, OTHER):
        blotter.add(close)
        blotter.failed(close, Failure("unknown", "no answer"))
    filled = Order("BTCUSDT", 7, "c", "SELL", "MARKET", "FILLED", D(1), D(1), average_price=D(97000))
    blotter.told(CLOSE, filled)
    blotter.never_placed(OTHER)
    first, second = blotter.made
    assert (first.status, first.executed, first.average_price) == ("FILLED", D(1), D(97000))
    assert (first.order_id, first.words) == (7, "")
    assert (second.status, second.doubtful) == ("NEVER_PLACED", False)

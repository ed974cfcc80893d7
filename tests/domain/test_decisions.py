"""A decision becomes the right order or a refusal that says why; nothing in between."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_tui.domain.decisions import Decision, DecisionRefused, parse_decision, plan_decision
from tests.domain.test_checks import RULES

D = Decimal
MARKS = {"BTCUSDT": D("97250.04"), "DOGEUSDT": D("0.36121")}


def parse(**raw: Any) -> Decision:
    return parse_decision(raw, decision_id="d", agent_id="a", made_at=1)


def why(**raw: Any) -> str:
    with pytest.raises(DecisionRefused) as refused:
        parse(**raw)
    return str(refused.value)


def test_the_existing_systems_document_is_read() -> None:
    read = parse(
        trade_signal_args={
            "coin": "btc",
            "signal": "LONG",
            "size_usd": 200,
            "leverage": 5.0,
            "stop_loss": 95000,
            "profit_target": 0,
            "confidence": 0.8,
            "justification": "because",
            "risk_usd": 10,
        }
    )
    assert (read.coin, read.signal, read.size_usd, read.leverage) == ("BTC", "long", D(200), 5)
    assert (read.stop_loss, read.profit_target, read.confidence) == (D(95000), None, D("0.8"))


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = why(coin="../etc", signal="up", leverage="5", stop_loss=True, size_usd=float("nan"))
    for part in ("coin", "signal", "leverage", "stop_loss", "size_usd"):
        assert part in text


@given(
    st.dictionaries(
        st.sampled_from(["coin", "signal", "size_usd", "leverage", "stop_loss"]),
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(), st.lists(st.integers())),
    )
)
def test_anything_is_either_read_or_refused(raw: dict[str, Any]) -> None:
    try:
        read = parse(**raw)
    except DecisionRefused as refused:
        assert all(refused.reasons)  # noqa: PT017
        return
    assert read.signal in ("long", "short", "close", "hold", "wait")
    if read.opens:
        assert read.size_usd > 0
        assert read.leverage >= 1


sizes = st.decimals(D("0.5"), D(200_000), places=2)
away = st.decimals(D("0.5"), D("1.5"), places=4)


@given(st.sampled_from(["BTC", "DOGE"]), st.sampled_from(["long", "short"]), sizes, away, away)
def test_a_plan_is_on_the_step_never_larger_than_asked_and_protected_on_the_right_side(
    coin: str, signal: Any, size: Decimal, stop: Decimal, target: Decimal
) -> None:
    mark, rules = MARKS[f"{coin}USDT"], RULES[f"{coin}USDT"]
    decision = Decision("d", "a", coin, signal, 1, size, stop_loss=mark * stop, profit_target=mark * target)
    try:
        plan = plan_decision(decision, RULES, MARKS, D(0))
    except DecisionRefused as refused:
        assert all(refused.reasons)  # noqa: PT017
        return
    assert plan.quantity % rules.step_size == 0
    assert plan.notional <= size
    assert plan.notional + rules.step_size * mark > size
    assert plan.stop is not None
    assert plan.target is not None
    assert plan.stop % rules.tick_size == plan.target % rules.tick_size == 0
    below, above = (plan.stop, plan.target) if signal == "long" else (plan.target, plan.stop)
    assert below < mark < above


@given(st.integers(-5000, 5000).map(lambda n: D(n) / 10_000))
def test_a_close_is_of_exactly_the_share(share: Decimal) -> None:
    decision = Decision("d", "a", "BTC", "close", 1)
    if abs(share) < D("0.001"):
        with pytest.raises(DecisionRefused, match="no BTC position"):
            plan_decision(decision, RULES, MARKS, share)
        return
    plan = plan_decision(decision, RULES, MARKS, share)
    assert plan.reduces
    assert (plan.side == "SELL") == (share > 0)
    assert 0 <= abs(share) - plan.quantity < D("0.001")


def test_hold_and_wait_do_nothing_and_the_other_way_is_refused() -> None:
    for signal in ("hold", "wait"):
        assert plan_decision(parse(signal=signal), RULES, MARKS, D(1)).side is None
    with pytest.raises(DecisionRefused, match="holds a short in BTC"):
        plan_decision(parse(signal="long", coin="BTC", size_usd=500), RULES, MARKS, D(-1))
    with pytest.raises(DecisionRefused, match="no mark price"):
        plan_decision(parse(signal="long", coin="ETH", size_usd=500), RULES, MARKS, D(0))

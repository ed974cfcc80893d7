"""An agent's decision, and the plan it becomes: validation, symbol, quantity, stop and target. Pure.

The document is the existing system's (``trade_signal_args``). Nothing is guessed: what is missing or of the
wrong kind is refused with its reason, and all reasons are told at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

from aster_tui.domain.checks import check_order
from aster_tui.domain.documents import as_decimal
from aster_tui.domain.symbols import SymbolRules, plain, round_down, round_nearest, symbol_of
from aster_tui.domain.trading import ZERO, Side

Signal = Literal["long", "short", "close", "hold", "wait"]
SIGNALS = ("long", "short", "close", "hold", "wait")
_COIN = re.compile(r"[A-Za-z0-9]{1,20}")
_TEXT = 2_000
#: A decision may be nested in the field the existing system's model answers in.
ARGUMENTS = "trade_signal_args"


class DecisionRefused(Exception):
    """The decision cannot be carried out. ``reasons`` are lines for people."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Decision:
    """What an agent wants. ``size_usd`` is the notional, prices are USD, ``made_at`` Unix ms; a stop or
    target of None is none."""

    decision_id: str
    agent_id: str
    coin: str
    signal: Signal
    made_at: int
    size_usd: Decimal = ZERO
    leverage: int = 1
    entry_price: Decimal | None = None
    stop_loss: Decimal | None = None
    profit_target: Decimal | None = None
    confidence: Decimal = ZERO
    expected_duration: str = ""
    justification: str = ""

    @property
    def opens(self) -> bool:
        """Whether it adds risk."""
        return self.signal in ("long", "short")


def parse_decision(raw: Mapping[str, Any], *, decision_id: str, agent_id: str, made_at: int) -> Decision:
    """The decision of a document.

    Raises:
        DecisionRefused: with every reason.
    """
    nested = raw.get(ARGUMENTS)
    return _Reader(nested if isinstance(nested, Mapping) else raw).decision(decision_id, agent_id, made_at)


class _Reader:
    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._wrong: list[str] = []

    def decision(self, decision_id: str, agent_id: str, made_at: int) -> Decision:
        signal = self._signal()
        coin = self._coin(needed=signal not in ("hold", "wait"))
        opens = signal in ("long", "short")
        size = self._number("size_usd", needed=opens)
        leverage = self._leverage()
        read = Decision(
            decision_id,
            agent_id,
            coin,
            cast(Signal, signal),
            made_at,
            size_usd=size or ZERO,
            leverage=leverage,
            entry_price=self._price("entry_price"),
            stop_loss=self._price("stop_loss"),
            profit_target=self._price("profit_target"),
            confidence=as_decimal(self._raw.get("confidence")) or ZERO,
            expected_duration=self._text("expected_duration"),
            justification=self._text("justification"),
        )
        if self._wrong:
            raise DecisionRefused(*self._wrong)
        return read

    def _signal(self) -> str:
        value = self._raw.get("signal")
        if isinstance(value, str) and value.lower() in SIGNALS:
            return value.lower()
        self._wrong.append(f"the signal must be one of {', '.join(SIGNALS)}, not {_shown(value)}")
        return ""

    def _coin(self, *, needed: bool) -> str:
        value = self._raw.get("coin")
        if isinstance(value, str) and _COIN.fullmatch(value.strip()):
            return value.strip().upper()
        if needed:
            self._wrong.append(f"the coin must be a name such as BTC, not {_shown(value)}")
        return ""

    def _number(self, field: str, *, needed: bool) -> Decimal | None:
        value = self._raw.get(field)
        if value is None:
            if needed:
                self._wrong.append(f"{field} is missing")
            return None
        if isinstance(value, str):
            self._wrong.append(f"{field} must be a number, not the text {_shown(value)}")
            return None
        number = as_decimal(value)
        if number is None or number < 0 or (needed and number == 0):
            self._wrong.append(f"{field} must be a number above zero, not {_shown(value)}")
            return None
        return number

    def _price(self, field: str) -> Decimal | None:
        # The other side writes 0 for "none".
        return self._number(field, needed=False) or None

    def _leverage(self) -> int:
        value = self._raw.get("leverage")
        if value is None:
            return 1
        number = None if isinstance(value, str) else as_decimal(value)
        if number is None or number < 1 or number != number.to_integral_value():
            self._wrong.append(f"leverage must be a whole number from 1, not {_shown(value)}")
            return 1
        return int(number)

    def _text(self, field: str) -> str:
        value = self._raw.get(field)
        return value[:_TEXT] if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a decision comes to. ``quantity`` is in the base asset, ``notional`` USDT at ``mark``; ``stop``
    and ``target`` are on the symbol's tick. A plan without a side does nothing."""

    decision: Decision
    symbol: str = ""
    side: Side | None = None
    quantity: Decimal = ZERO
    mark: Decimal = ZERO
    reduces: bool = False
    stop: Decimal | None = None
    target: Decimal | None = None

    @property
    def notional(self) -> Decimal:
        """Worth at the mark, USDT."""
        return self.quantity * self.mark

    @property
    def protective_side(self) -> Side:
        """The side of the orders that protect the position it opens."""
        return "SELL" if self.side == "BUY" else "BUY"


def plan_decision(
    decision: Decision, rules: Mapping[str, SymbolRules], marks: Mapping[str, Decimal], share: Decimal
) -> Plan:
    """The order a decision comes to.

    Args:
        share: what this agent holds in the coin, signed, base asset.

    Raises:
        DecisionRefused: with every reason.
    """
    if decision.signal in ("hold", "wait"):
        return Plan(decision)
    symbol = symbol_of(decision.coin)
    found, mark = rules.get(symbol), marks.get(symbol)
    if found is None:
        raise DecisionRefused(f"{decision.coin} is unknown: the exchange has no {symbol}")
    if mark is None or mark <= 0:
        raise DecisionRefused(f"{symbol} has no mark price now")
    if decision.signal == "close":
        return _closing(decision, found, mark, share)
    return _opening(decision, found, mark, share)


def _closing(decision: Decision, rules: SymbolRules, mark: Decimal, share: Decimal) -> Plan:
    quantity = round_down(abs(share), rules.market_step_size or rules.step_size)
    if not quantity:
        raise DecisionRefused(f"there is no {decision.coin} position of this agent to close")
    side: Side = "SELL" if share > 0 else "BUY"
    return Plan(decision, rules.symbol, side, quantity, mark, reduces=True)


def _opening(decision: Decision, rules: SymbolRules, mark: Decimal, share: Decimal) -> Plan:
    side: Side = "BUY" if decision.signal == "long" else "SELL"
    reasons: list[str] = []
    if share and (share > 0) != (side == "BUY"):
        held = "long" if share > 0 else "short"
        reasons.append(f"it holds a {held} in {decision.coin}: close it before going {decision.signal}")
    quantity = round_down(decision.size_usd / mark, rules.market_step_size or rules.step_size)
    if not quantity:
        least = f"{plain(rules.market_min_quantity)} {rules.symbol}"
        raise DecisionRefused(
            *reasons, f"size_usd {plain(decision.size_usd)} is no order: the smallest quantity is {least}"
        )
    refusals = check_order(rules, side=side, order_type="MARKET", quantity=quantity, mark=mark)
    reasons += [f"size_usd {plain(decision.size_usd)} is no order: {r}" for r in refusals]
    stop = _protective("stop_loss", decision.stop_loss, rules, mark, below=side == "BUY", reasons=reasons)
    target = _protective(
        "profit_target", decision.profit_target, rules, mark, below=side == "SELL", reasons=reasons
    )
    if reasons:
        raise DecisionRefused(*reasons)
    return Plan(decision, rules.symbol, side, quantity, mark, stop=stop, target=target)


def _protective(
    name: str, price: Decimal | None, rules: SymbolRules, mark: Decimal, *, below: bool, reasons: list[str]
) -> Decimal | None:
    if price is None:
        return None
    rounded = round_nearest(price, rules.tick_size)
    if rounded <= 0 or ((rounded >= mark) if below else (rounded <= mark)):
        where = "below" if below else "above"
        reasons.append(f"{name} {plain(price)} is on the wrong side: it must be {where} {plain(mark)}")
        return None
    return rounded


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"

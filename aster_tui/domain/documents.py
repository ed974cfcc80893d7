"""The existing system's MongoDB documents, read with suspicion.

A document is written by another program: a field may be missing, null or of a wrong type. Reading one
never fails. What could not be read gets its default and a line in ``warnings`` that says which field
of which document it was. Numbers are doubles there and Decimals here, times are Unix milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from aster_tui.domain.trading import ZERO

Signal = Literal["long", "short"]
AgentStatus = Literal["active", "slow", "error"]

HUNDRED = Decimal(100)
#: The existing system's default balance, USD.
DEFAULT_BALANCE = Decimal(1000)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
#: How much of a foreign text goes into a warning.
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class ActivePosition:
    """One element of an agent's ``activePositions``. Prices and ``size_usd`` (notional) in USD."""

    coin: str
    signal: Signal
    entry_price: Decimal
    current_price: Decimal
    profit_target: Decimal
    stop_loss: Decimal
    leverage: Decimal
    size_usd: Decimal
    opened_at: int


@dataclass(frozen=True, slots=True)
class AgentDocument:
    """One document of ``agents``. ``pnl`` is in percent, ``pnl_absolute`` in USD."""

    agent_id: str
    name: str
    strategy: str = ""
    description: str = ""
    balance: Decimal = DEFAULT_BALANCE
    pnl: Decimal = ZERO
    pnl_absolute: Decimal = ZERO
    win_rate: Decimal = Decimal(50)
    total_trades: int = 0
    volume_24h: Decimal = ZERO
    status: AgentStatus = "active"
    paper: bool = True
    user_address: str | None = None
    signer_address: str | None = None
    keeps_positions: bool = False
    last_thought: str = ""
    active_positions: tuple[ActivePosition, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def on_account(self) -> bool:
        """Whether its account is followed: it is real, or it went to paper and left positions there."""
        return not self.paper or self.keeps_positions


@dataclass(frozen=True, slots=True)
class PositionDocument:
    """One document of ``positions``. ``size_usd`` is the notional at entry, ``pnl`` in percent."""

    position_id: str
    agent_id: str
    agent_name: str
    coin: str
    signal: Signal
    entry_price: Decimal
    exit_price: Decimal | None
    profit_target: Decimal
    stop_loss: Decimal
    leverage: Decimal
    size_usd: Decimal
    confidence: Decimal
    opened_at: int
    closed_at: int | None
    status: Literal["open", "closed"]
    pnl: Decimal
    pnl_absolute: Decimal
    warnings: tuple[str, ...] = ()
    expected_duration: str = ""


@dataclass(frozen=True, slots=True)
class TradeDocument:
    """One document of ``trades``. ``amount`` is in the coin, ``price`` and ``pnl_absolute`` in USD."""

    trade_id: str
    agent_id: str
    agent_name: str
    pair: str
    side: Signal
    amount: Decimal
    price: Decimal
    pnl: Decimal
    pnl_absolute: Decimal
    timestamp: int
    trade_type: Literal["entry", "exit"]
    leverage: Decimal
    size_usd: Decimal
    warnings: tuple[str, ...] = ()


class Fields:
    """Reads the fields of one foreign document and remembers what was wrong with them."""

    def __init__(self, raw: Mapping[str, Any], what: str) -> None:
        self._raw = raw
        self.what = what
        self.warnings: list[str] = []

    def warn(self, field: str, problem: str) -> None:
        """Remember that a field could not be read."""
        self.warnings.append(f"{self.what}: {field} {problem}")

    def text(self, field: str, default: str = "", *, optional: bool = False) -> str:
        """A string."""
        value = self._raw.get(field)
        if isinstance(value, str):
            return value
        if value is None and optional:
            return default
        self._wrong(field, value, "a text")
        return default

    def number(self, field: str, default: Decimal = ZERO, *, optional: bool = False) -> Decimal:
        """A finite number. One written as a text is taken, with a warning."""
        value = self._raw.get(field)
        if value is None and optional:
            return default
        number = as_decimal(value)
        if number is None:
            self._wrong(field, value, "a number")
            return default
        if isinstance(value, str):
            self.warn(field, f"is the text {value[:_SHOWN]!r} instead of a number")
        return number

    def whole(self, field: str, default: int = 0, *, optional: bool = False) -> int:
        """A whole number; a time may also be a date."""
        value = self._raw.get(field)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1000)
        return int(self.number(field, Decimal(default), optional=optional))

    def choice(self, field: str, choices: tuple[str, ...], default: str) -> str:
        """One of a few words."""
        value = self._raw.get(field)
        if isinstance(value, str) and value in choices:
            return value
        self._wrong(field, value, " or ".join(choices))
        return default

    def address(self, field: str) -> str | None:
        """An optional ``0x…`` address of 20 bytes."""
        value = self._raw.get(field)
        if value is None or value == "":
            return None
        if isinstance(value, str) and _ADDRESS.fullmatch(value):
            return value
        self._wrong(field, value, "an address (0x and 40 hex digits)")
        return None

    def flag(self, field: str) -> bool | None:
        """An optional boolean."""
        value = self._raw.get(field)
        if value is None or isinstance(value, bool):
            return value
        self._wrong(field, value, "true or false")
        return None

    def items(self, field: str) -> list[Mapping[str, Any]]:
        """A list of documents; what is no document in it is left out with a warning."""
        value = self._raw.get(field)
        if not isinstance(value, list):
            self._wrong(field, value, "a list")
            return []
        found = [item for item in value if isinstance(item, Mapping)]
        if len(found) != len(value):
            self.warn(field, f"holds {len(value) - len(found)} entries that are no documents")
        return found

    def _wrong(self, field: str, value: Any, wanted: str) -> None:
        if field not in self._raw:
            self.warn(field, "is missing")
        elif value is None:
            self.warn(field, "is null")
        else:
            self.warn(field, f"is {_shown(value)}, not {wanted}")


def as_decimal(value: Any) -> Decimal | None:
    """A finite Decimal from a double, an integer, a Decimal128 or a text; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if hasattr(value, "to_decimal"):  # bson's Decimal128, without importing a driver here
        value = value.to_decimal()
    try:
        number = Decimal(str(value)) if isinstance(value, int | float | str | Decimal) else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def parse_agent(raw: Mapping[str, Any]) -> AgentDocument:
    """Read one document of ``agents``. Real only where ``isPaperTrading`` is exactly false."""
    agent_id = str(raw.get("_id", ""))
    fields = Fields(raw, f"agent {_label(raw, 'name')}")
    return AgentDocument(
        agent_id=agent_id,
        name=fields.text("name") or agent_id,
        strategy=fields.text("strategy"),
        description=fields.text("description", optional=True),
        balance=fields.number("balance", DEFAULT_BALANCE),
        pnl=fields.number("pnl"),
        pnl_absolute=fields.number("pnlAbsolute"),
        win_rate=fields.number("winRate", Decimal(50)),
        total_trades=fields.whole("totalTrades"),
        volume_24h=fields.number("volume24h"),
        status=cast(AgentStatus, fields.choice("status", ("active", "slow", "error"), "active")),
        paper=fields.flag("isPaperTrading") is not False,
        user_address=fields.address("asterUserAddress"),
        signer_address=fields.address("asterSignerAddress"),
        keeps_positions=fields.flag("asterKeepsPositions") is True,
        last_thought=fields.text("aiThought", optional=True),
        active_positions=tuple(_active(item, fields) for item in fields.items("activePositions")),
        warnings=tuple(fields.warnings),
    )


def _active(raw: Mapping[str, Any], agent: Fields) -> ActivePosition:
    fields = Fields(raw, f"{agent.what}: activePositions {_label(raw, 'coin')}")
    active = ActivePosition(
        coin=fields.text("coin"),
        signal=cast(Signal, fields.choice("signal", ("long", "short"), "long")),
        entry_price=fields.number("entry_price"),
        current_price=fields.number("current_price", optional=True),
        profit_target=fields.number("profit_target", optional=True),
        stop_loss=fields.number("stop_loss", optional=True),
        leverage=fields.number("leverage", Decimal(1)),
        size_usd=fields.number("size_usd"),
        opened_at=fields.whole("opened_at", optional=True),
    )
    agent.warnings.extend(fields.warnings)
    return active


def parse_position(raw: Mapping[str, Any]) -> PositionDocument:
    """Read one document of ``positions``. Only the word "closed" closes one: doubt stays visible."""
    fields = Fields(raw, f"position {_label(raw, 'agentName', '?')} {_label(raw, 'coin')}")
    exit_price = fields.number("exit_price", optional=True)
    closed_at = fields.whole("closed_at", optional=True)
    return PositionDocument(
        position_id=str(raw.get("_id", "")),
        agent_id=_reference(raw.get("agentId"), fields, "agentId"),
        agent_name=fields.text("agentName"),
        coin=fields.text("coin"),
        signal=cast(Signal, fields.choice("signal", ("long", "short"), "long")),
        entry_price=fields.number("entry_price"),
        exit_price=exit_price or None,
        profit_target=fields.number("profit_target", optional=True),
        stop_loss=fields.number("stop_loss", optional=True),
        leverage=fields.number("leverage", Decimal(1)),
        size_usd=fields.number("size_usd"),
        confidence=fields.number("confidence", optional=True),
        opened_at=fields.whole("opened_at"),
        closed_at=closed_at or None,
        status=cast(Literal["open", "closed"], fields.choice("status", ("open", "closed"), "open")),
        pnl=fields.number("pnl", optional=True),
        pnl_absolute=fields.number("pnlAbsolute", optional=True),
        warnings=tuple(fields.warnings),
        expected_duration=duration if isinstance(duration := raw.get("expected_duration"), str) else "",
    )


def parse_trade(raw: Mapping[str, Any]) -> TradeDocument:
    """Read one document of ``trades``."""
    fields = Fields(raw, f"trade {_label(raw, 'agentName', '?')} {_label(raw, 'pair')}")
    return TradeDocument(
        trade_id=str(raw.get("_id", "")),
        agent_id=_reference(raw.get("agentId"), fields, "agentId"),
        agent_name=fields.text("agentName"),
        pair=fields.text("pair"),
        side=cast(Signal, fields.choice("side", ("long", "short"), "long")),
        amount=fields.number("amount"),
        price=fields.number("price"),
        pnl=fields.number("pnl", optional=True),
        pnl_absolute=fields.number("pnlAbsolute", optional=True),
        timestamp=fields.whole("timestamp"),
        trade_type=cast(Literal["entry", "exit"], fields.choice("tradeType", ("entry", "exit"), "entry")),
        leverage=fields.number("leverage", Decimal(1), optional=True),
        size_usd=fields.number("size_usd", optional=True),
        warnings=tuple(fields.warnings),
    )


def _label(raw: Mapping[str, Any], field: str, default: str | None = None) -> str:
    """What a document is called in a warning: a short text of one line, its id where it has no name."""
    value = raw.get(field)
    text = value if isinstance(value, str) and value else default
    if text is None:
        text = str(raw.get("_id", "?"))
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _reference(value: Any, fields: Fields, field: str) -> str:
    """An agent's id: a text, or the ObjectId itself where somebody wrote that."""
    if value is None or isinstance(value, bool | int | float | list | Mapping):
        return fields.text(field)
    return str(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def paper_unrealized(position: PositionDocument, price: Decimal) -> Decimal:
    """Unrealized PnL in USD by the existing system's rule: price change in percent (negated for a
    short) / 100 × ``size_usd``. Zero where the entry price is unknown."""
    if position.entry_price <= 0:
        return ZERO
    change = price - position.entry_price
    return (change if position.signal == "long" else -change) / position.entry_price * position.size_usd


def paper_balance(initial: Decimal, exit_pnls: Iterable[Decimal], unrealized: Decimal) -> Decimal:
    """Paper balance in USD by the existing system's rule: initial + realized over exits + unrealized."""
    return initial + sum(exit_pnls, ZERO) + unrealized

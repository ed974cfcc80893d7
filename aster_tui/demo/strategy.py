"""The demo's decision maker, the part that decides: simple, seeded, pure. It is no trading advice."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

MEMORY = 30
MOST_POSITIONS = 3
#: Symbols the demo trades; the first five are in everybody's portfolio.
COINS = ("BTC", "ETH", "SOL", "BNB", "ASTER", "XRP", "DOGE", "AVAX")
FOLLOWING = frozenset({"momentum", "breakout", "trend following"})
AGAINST = frozenset({"mean reversion", "statistical arbitrage", "market making"})


@dataclass(frozen=True, slots=True)
class Decision:
    """What an agent wants. ``size_usd`` is the notional; prices are in USD."""

    agent: str
    coin: str
    signal: Literal["long", "short", "close"]
    size_usd: Decimal = Decimal(0)
    leverage: int = 1
    stop_loss: Decimal = Decimal(0)
    profit_target: Decimal = Decimal(0)
    confidence: float = 0.0
    justification: str = ""


class Strategist:
    """Remembers the marks and decides for one agent at a time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"{seed}/decisions")
        self._marks: dict[str, deque[Decimal]] = {}

    def remember(self, marks: Mapping[str, Decimal]) -> None:
        """Take the marks of a moment, by symbol."""
        for symbol, price in marks.items():
            self._marks.setdefault(symbol, deque(maxlen=MEMORY)).append(price)

    def mark(self, coin: str) -> Decimal | None:
        """The newest mark of a coin."""
        seen = self._marks.get(f"{coin}USDT")
        return seen[-1] if seen else None

    def decide(
        self, agent: str, strategy: str, held: Sequence[str], busy: Collection[str], *, opening: bool = False
    ) -> Decision | None:
        """One decision of an agent; None when nothing is known or there is nothing to do.

        Args:
            held: the coins it may close.
            busy: the coins it holds or has just decided on.
            opening: ask for a new position whatever the mood.
        """
        free = [c for c in COINS if c not in busy and self.mark(c)]
        full = len(busy) >= MOST_POSITIONS
        if not opening and held and (full or self._random.random() < 0.35):
            return Decision(agent, self._random.choice(list(held)), "close", justification="the move is over")
        if full or not free:
            return None
        return self._open(agent, strategy, self._random.choice(free))

    def _open(self, agent: str, strategy: str, coin: str) -> Decision:
        mark = self.mark(coin) or Decimal(0)
        signal = self._side(strategy, coin)
        stop = Decimal(self._random.randint(4, 12)) / 1000
        target = Decimal(self._random.randint(4, 16)) / 1000
        away = 1 if signal == "long" else -1
        return Decision(
            agent=agent,
            coin=coin,
            signal=signal,
            size_usd=Decimal(self._random.randint(11, 15) * 10),
            leverage=self._random.choice((2, 3, 5)),
            stop_loss=_rounded(mark * (1 - away * stop), mark),
            profit_target=_rounded(mark * (1 + away * target), mark),
            confidence=round(self._random.uniform(0.55, 0.95), 2),
            justification=f"{strategy}: {coin} looks {signal}",
        )

    def _side(self, strategy: str, coin: str) -> Literal["long", "short"]:
        seen = self._marks[f"{coin}USDT"]
        rising = seen[-1] > seen[0] if seen[-1] != seen[0] else self._random.random() < 0.5
        if strategy in FOLLOWING:
            return "long" if rising else "short"
        if strategy in AGAINST:
            return "short" if rising else "long"
        return self._random.choice(("long", "short"))


def _rounded(price: Decimal, like: Decimal) -> Decimal:
    """Five significant digits of the mark: a price a person would write."""
    exponent = like.adjusted() - 4
    return price.quantize(Decimal(1).scaleb(exponent), ROUND_HALF_EVEN)

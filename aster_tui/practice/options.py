"""What a practice exchange is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PracticeOptions:
    """Settings of one practice exchange; the same options give the same keys, positions and market.

    ``balance`` is the USDT every account starts with, ``positions`` how many positions each account
    has open at start (each in another symbol), ``volatility`` multiplies every move of the market (0
    holds prices still), ``depth`` is the USDT resting on the best level of each book. ``faults`` maps
    names of :data:`aster_tui.practice.faults.FAULTS` to values. ``listen_key_seconds`` and
    ``stream_life_seconds`` are how long keys and connections live; a connection is pinged every
    ``ping_seconds`` and left when it did not answer for ``pong_seconds``. ``weight_limit`` and
    ``order_limit`` are per minute and told to clients; they refuse while the fault ``limits`` is on.
    ``signature_scheme`` is eip712 or legacy-abi. ``funding`` is whether it is charged when its hour comes; it
    can be asked for at any time.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    accounts: int = 3
    positions: int = 0
    latency_ms: float = 0
    faults: Mapping[str, float] = field(default_factory=dict)
    balance: Decimal = Decimal("1000")
    chain_id: int = 1666
    nonce_window_s: float = 10
    volatility: Decimal = Decimal(1)
    depth: Decimal = Decimal(50_000)
    default_leverage: int = 20
    listen_key_seconds: float = 3600
    stream_life_seconds: float = 24 * 3600
    ping_seconds: float = 300
    pong_seconds: float = 900
    weight_limit: int = 2_400
    order_limit: int = 1_200
    signature_scheme: str = "eip712"
    funding: bool = True

"""Signatures per second: the fast signer against eth-account's typed-data path, in one run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

KEY = "0x4fd0a42218f3eae43a6ce26d22544e986139a01e5b34a62db53757ffca81bae1"
MESSAGE = (
    "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&newOrderRespType=RESULT"
    "&newClientOrderId=bench-{}&nonce=1748310859508867&user=0x63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e"
)


def measure(seconds: float = 1.0, rounds: int = 3) -> dict[str, float]:
    """Signatures per second of both paths, taken in turns so that a busy machine slows both."""
    from aster_tui.aster.reference_signing import reference_signature
    from aster_tui.aster.signing import Signer
    from aster_tui.domain.keys import PrivateKey

    key = PrivateKey.parse(KEY)
    signer = Signer(key, 1666)
    reference_signature(key, 1666, "warm")
    fast = slow = 0.0
    for _ in range(rounds):
        fast = max(fast, _rate(signer.sign, seconds / rounds))
        slow = max(slow, _rate(lambda m: reference_signature(key, 1666, m), seconds / rounds))
    return {"signatures_per_s": round(fast), "eth_account_per_s": round(slow), "ratio": round(fast / slow, 2)}


def _rate(sign: Callable[[str], str], seconds: float) -> float:
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        for _ in range(20):
            count += 1
            sign(MESSAGE.format(count))
    return count / elapsed


if __name__ == "__main__":
    print(json.dumps(measure()))

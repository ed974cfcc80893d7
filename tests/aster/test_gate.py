"""What would be refused or punished is not sent."""

from __future__ import annotations

import pytest

from aster_tui.aster.errors import RateLimited
from aster_tui.aster.gate import Gate, gate_of
from tests.aster.test_rest import ACCEPTED, ORDER, answer, wire


def test_reads_stop_before_the_limit_orders_at_none_of_ours_and_a_new_minute_begins_anew() -> None:
    now = 600.0
    gate = Gate(clock=lambda: now)
    gate.told(2159)
    gate.check("/fapi/v3/balance", changes=False)
    gate.told(2160)
    with pytest.raises(RateLimited, match="2160 of 2400") as raised:
        gate.check("/fapi/v3/balance", changes=False)
    assert raised.value.retry_after_s == 60
    gate.check("/fapi/v3/leverage", changes=True)
    gate.check("/fapi/v3/order", changes=False)
    now = 661.0
    gate.check("/fapi/v3/balance", changes=False)


def test_a_refusal_closes_for_as_long_as_the_venue_says() -> None:
    now = 600.0
    gate = Gate(clock=lambda: now)
    gate.refused(120, banned=True)
    gate.refused(5, banned=True)  # a shorter one does not open it earlier
    for changes in (False, True):
        with pytest.raises(RateLimited, match="banned by the exchange: nothing is sent until"):
            gate.check("/fapi/v3/order", changes=changes)
    now = 720.5
    gate.check("/fapi/v3/order", changes=True)


@pytest.mark.parametrize(
    ("status", "word"), [("429 Too Many", "too many requests"), ("418 Teapot", "banned")]
)
async def test_after_a_refusal_no_client_of_that_address_sends_anything(status: str, word: str) -> None:
    refusal = answer('{"code":-1003,"msg":"Slow down."}', status, "Retry-After: 30\r\n")
    async with wire(lambda n: refusal if n == 1 else answer(ACCEPTED)) as (kept, client):
        with pytest.raises(RateLimited):
            await client.ping()
        for ask in (client.ping, client.positions, lambda: client.place_order(ORDER)):
            with pytest.raises(RateLimited, match=word):
                await ask()
        assert len(kept.requests) == 1


async def test_used_weight_holds_reads_back_and_lets_orders_through() -> None:
    reply = answer(ACCEPTED, headers="X-MBX-USED-WEIGHT-1m: 2399\r\n")
    async with wire(lambda _: reply) as (kept, client):
        await client.ping()
        with pytest.raises(RateLimited, match="the rest is for orders"):
            await client.ping()
        assert (await client.place_order(ORDER)).status == "FILLED"
        assert len(kept.requests) == 2
        assert gate_of(client.venue.rest_url) is gate_of(client.venue.rest_url)

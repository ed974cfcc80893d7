"""What would be refused or punished is not sent, and the emergency always has something left."""

from __future__ import annotations

import time

import pytest

from aster_tui.aster.errors import RateLimited
from aster_tui.aster.gate import Cost, Gate, Priority, cost_of, gate_of
from tests.aster.test_rest import ACCEPTED, ORDER, answer, wire

READ = Cost(5)


class Minute:
    """A gate in a minute that does not end by itself."""

    def __init__(self) -> None:
        self.now = 600.0
        self.gate = Gate(clock=lambda: self.now)

    def spend(self, cost: Cost, priority: Priority, *, told: int | None = None) -> None:
        minute = self.gate.enter("/fapi/v3/balance", cost, priority)
        self.gate.leave(cost, minute, weight=told, orders=None)

    def most(self, cost: Cost, priority: Priority) -> int:
        for count in range(3000):
            try:
                self.spend(cost, priority)
            except RateLimited:
                return count
        return 3000


def test_each_priority_has_its_share_and_the_emergency_is_never_held_back_by_our_count() -> None:
    gate = Minute()
    assert gate.most(READ, Priority.DISPLAY) * 5 == 1440
    assert gate.most(READ, Priority.SYNC) * 5 == 1680 - 1440
    assert gate.most(READ, Priority.ORDERS) * 5 == 2040 - 1680
    with pytest.raises(RateLimited, match="the rest is for an emergency close") as raised:
        gate.spend(READ, Priority.ORDERS)
    assert raised.value.retry_after_s == 60
    assert gate.most(READ, Priority.EMERGENCY) == 3000
    gate.now = 661.0
    gate.spend(READ, Priority.DISPLAY)


def test_what_is_under_way_counts_before_it_is_answered() -> None:
    gate = Minute()
    taken = [gate.gate.enter("/fapi/v3/income", Cost(30), Priority.DISPLAY) for _ in range(48)]
    with pytest.raises(RateLimited, match="1440 of 2400"):
        gate.spend(Cost(30), Priority.DISPLAY)
    for minute in taken:  # the venue counts less than we did
        gate.gate.leave(Cost(30), minute, weight=100, orders=None)
    gate.spend(Cost(30), Priority.DISPLAY)


def test_what_the_venue_tells_outranks_our_count_and_old_minutes_tell_nothing() -> None:
    gate = Minute()
    gate.spend(READ, Priority.DISPLAY, told=2400)
    with pytest.raises(RateLimited):
        gate.spend(READ, Priority.ORDERS)
    late = gate.gate.enter("/fapi/v3/balance", READ, Priority.EMERGENCY)
    gate.now = 661.0
    gate.gate.leave(READ, late, weight=2400, orders=None)
    gate.spend(READ, Priority.DISPLAY)


def test_the_minute_that_counts_is_the_venues() -> None:
    gate = Minute()
    gate.spend(READ, Priority.DISPLAY, told=2400)
    gate.gate.offset_ms = 61_000
    gate.spend(READ, Priority.DISPLAY)


def test_orders_are_counted_by_account_with_a_rest_for_the_emergency() -> None:
    gate = Minute()
    order = Cost(0, 1, "a")
    assert gate.most(order, Priority.ORDERS) == 1020
    with pytest.raises(RateLimited, match="1020 of 1200 orders a minute"):
        gate.spend(order, Priority.ORDERS)
    gate.spend(Cost(0, 1, "b"), Priority.ORDERS)
    gate.spend(order, Priority.EMERGENCY)
    gate.gate.refused_orders("b", 30)
    with pytest.raises(RateLimited, match="too many orders of this account"):
        gate.spend(Cost(0, 1, "b"), Priority.EMERGENCY)
    gate.spend(Cost(1), Priority.ORDERS)  # cancelling and reading go on


def test_a_refusal_closes_for_as_long_as_the_venue_says() -> None:
    gate = Minute()
    gate.gate.refused(120, banned=True)
    gate.gate.refused(5, banned=True)  # a shorter one does not open it earlier
    for priority in Priority:
        with pytest.raises(RateLimited, match="banned by the exchange: nothing is sent until"):
            gate.spend(READ, priority)
    assert gate.gate.closed_until == 720
    gate.now = 719.5
    gate.gate.refused(0.1, banned=False)  # a lighter word does not make less of a ban
    with pytest.raises(RateLimited, match="banned"):
        gate.spend(READ, Priority.ORDERS)
    gate.now = 720.5
    gate.spend(READ, Priority.ORDERS)


@pytest.mark.parametrize(
    ("method", "name", "string", "cost"),
    [
        ("GET", "openOrders", "nonce=1", Cost(40)),
        ("GET", "openOrders", "symbol=BTCUSDT&nonce=1", Cost(1)),
        ("POST", "order", "symbol=BTCUSDT", Cost(1, 1, "a")),
        ("POST", "batchOrders", "batchOrders=%5B%7B%22symbol%22%7D%2C%7B%22symbol%22", Cost(5, 2, "a")),
        ("DELETE", "batchOrders", "", Cost(1)),
        ("GET", "positionSide/dual", "", Cost(30)),
        ("POST", "positionSide/dual", "", Cost(1)),
        ("GET", "somethingNew", "", Cost(1)),
    ],
)
def test_costs(method: str, name: str, string: str, cost: Cost) -> None:
    assert cost_of(method, f"/fapi/v3/{name}", string, "a") == cost


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


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ("Retry-After: 120\r\n", "Way too many requests.", 120),
        ("", "Way too many requests; IP banned until {ms}. Please use the websocket.", 7200),
        ("Retry-After: 5\r\n", "Way too many requests; IP banned until {ms}.", 7200),
        ("", "Way too many requests.", 60),
        ("Retry-After: soon\r\n", "", 60),
        ("", "Way too many requests; IP banned until 9999999999999.", 4 * 24 * 3600),
    ],
)
async def test_the_end_of_a_ban_is_said_and_kept(headers: str, text: str, seconds: int) -> None:
    text = text.replace("{ms}", str(round(time.time() * 1000) + 7_200_000))
    refusal = answer(f'{{"code":-1003,"msg":"{text}"}}', "418 Teapot", headers)
    async with wire(lambda _: refusal) as (_, client):
        with pytest.raises(RateLimited) as raised:
            await client.ping()
        assert abs(raised.value.retry_after_s - seconds) < 2
        until = gate_of(client.venue.rest_url).closed_until
        assert abs(until - time.time() - seconds) < 2
        shown = time.strftime("%H:%M:", time.localtime(until))
        assert "banned by the exchange: nothing is sent until" in str(raised.value)
        assert shown in str(raised.value)
        day = time.strftime("%Y-%m-%d", time.localtime(until))
        assert (day in str(raised.value)) == (day != time.strftime("%Y-%m-%d"))


async def test_a_limit_without_a_word_of_how_long_is_over_with_the_minute() -> None:
    refusal = answer('{"code":-1003,"msg":"Too many requests."}', "429 Too Many")
    async with wire(lambda _: refusal) as (_, client):
        with pytest.raises(RateLimited) as raised:
            await client.ping()
        left = 60 - time.time() % 60
        # The minute may have turned since.
        assert (
            min(abs(raised.value.retry_after_s - 1 - left), 60 - abs(raised.value.retry_after_s - left)) < 2
        )


async def test_too_many_orders_stop_the_orders_of_that_account_only() -> None:
    refusal = answer('{"code":-1015,"msg":"Too many new orders."}', "429 Too Many", "Retry-After: 30\r\n")
    async with wire(lambda n: refusal if n == 1 else answer("{}")) as (kept, client):
        for _ in range(2):
            with pytest.raises(RateLimited, match="too many orders"):
                await client.place_order(ORDER)
        await client.ping()
        assert len(kept.requests) == 2


async def test_used_weight_holds_reads_back_and_lets_orders_through() -> None:
    reply = answer(ACCEPTED, headers="X-MBX-USED-WEIGHT-1m: 2000\r\n")
    async with wire(lambda _: reply) as (kept, client):
        await client.ping()
        with pytest.raises(RateLimited, match="the rest is for orders"):
            await client.ping()
        assert (await client.place_order(ORDER)).status == "FILLED"
        assert len(kept.requests) == 2
        assert gate_of(client.venue.rest_url) is gate_of(client.venue.rest_url)

"""What goes over the wire, and what each kind of answer becomes: a real server that says what it is told."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_tui.aster.connection import Connection
from aster_tui.aster.errors import (
    AnswerError,
    AsterError,
    InvalidOrder,
    MalformedAnswer,
    OutcomeUnknown,
    RateLimited,
    Unreachable,
)
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.orders import OrderRequest
from aster_tui.aster.reports import Reports
from aster_tui.aster.rest import Observer
from aster_tui.aster.signing import Signer
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.keys import PrivateKey

D = Decimal
KEY = PrivateKey.parse("0x4fd0a42218f3eae43a6ce26d22544e986139a01e5b34a62db53757ffca81bae1")
USER = "0x63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e"
SIGNER = Signer(KEY, 1666)
ORDER = OrderRequest("BTCUSDT", "BUY", "MARKET", "t-1", quantity=D("0.010"))
ACCEPTED = (
    '{"orderId":7,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"t-1","price":"0","avgPrice":"64000.10",'
    '"origQty":"0.010","executedQty":"0.010","side":"BUY","type":"MARKET","updateTime":5,"somethingNew":[1]}'
)


def answer(body: str, status: str = "200 OK", headers: str = "") -> bytes:
    data = body.encode()
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(data)}\r\n\r\n".encode() + data


class Wire:
    """A server on a socket: keeps each request's bytes and answers with what it is given, or hangs up."""

    def __init__(self, reply: Callable[[int], bytes | None]) -> None:
        self._reply = reply
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.split("\r\n")
                headers = {k.lower(): v for k, _, v in (x.partition(": ") for x in lines if x)}
                body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
                self.requests.append((first, headers, body))
                reply = self._reply(len(self.requests))
                if reply is None:
                    return
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def wire(
    reply: Callable[[int], bytes | None] | str, **options: Any
) -> AsyncIterator[tuple[Wire, Trader]]:
    kept = Wire((lambda _: answer(reply)) if isinstance(reply, str) else reply)
    server = await asyncio.start_server(kept.serve, "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    venue = Venue(f"http://127.0.0.1:{kept.port}", "ws://127.0.0.1:1", 1666)
    client = Trader(venue, Wallet(USER, SIGNER), **options)
    try:
        yield kept, client
    finally:
        await client.aclose()
        server.close()


def signed_part(string: str) -> tuple[str, str]:
    message, _, signature = string.rpartition("&signature=")
    return message, signature


async def test_an_order_is_a_form_body_whose_exact_bytes_were_signed() -> None:
    async with wire(ACCEPTED) as (kept, client):
        order = await client.place_order(ORDER)
        first, headers, body = kept.requests[0]
        assert first.startswith("POST /fapi/v3/order HTTP/1.1")
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        message, signature = signed_part(body)
        assert signature == SIGNER.sign(message)
        assert "newOrderRespType=RESULT" in message
        assert (order.status, order.average_price, order.executed) == ("FILLED", D("64000.10"), D("0.010"))


async def test_a_read_is_a_query_without_content_type_whose_exact_bytes_were_signed() -> None:
    odd = "t.0:A/b_-"  # what a client id may hold and a query may spell in two ways
    async with wire(ACCEPTED) as (kept, client):
        await client.order("BTCUSDT", client_order_id=odd)
        first, headers, body = kept.requests[0]
        query = first.split(" ")[1].partition("?")[2]
        message, signature = signed_part(query)
        assert signature == SIGNER.sign(message)
        assert odd in unquote(message)
        assert "content-type" not in headers
        assert body == ""


async def test_nonces_rise_from_request_to_request() -> None:
    async with wire("[]") as (kept, client):
        for _ in range(5):
            await client.open_orders("BTCUSDT")
        nonces = [int(r[0].partition("nonce=")[2].partition("&")[0]) for r in kept.requests]
        assert nonces == sorted(set(nonces))


def test_the_observer_has_no_way_to_trade() -> None:
    public = {name for name, _ in inspect.getmembers(Observer) if not name.startswith("_")}
    trading = {name for name, _ in inspect.getmembers(Trader) if not name.startswith("_")} - public
    assert trading == {
        *("prepare_order", "send_order", "place_order", "test_order", "fence"),
        *("cancel_order", "cancel_all", "set_leverage", "place_batch", "cancel_batch", "modify_order"),
        *("set_countdown", "set_hedge_mode", "set_margin_type", "check"),
        *("marks", "open_orders_of"),
        *("prepare_batch", "send_batch"),
    }
    for kind in (Observer, Reports, Connection):
        assert "changes=True" not in inspect.getsource(kind)


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (answer('{"code":-2019,"msg":"Margin is insufficient."}', "400 Bad Request"), AnswerError, "-2019"),
        (answer('{"code":-9999,"msg":"Never seen."}', "400 Bad Request"), AnswerError, "-9999"),
        (answer('{"code":-1003,"msg":"Slow."}', "429 Too Many", "Retry-After: 7\r\n"), RateLimited, "-1003"),
        (answer("", "418 Teapot", "Retry-After: 120\r\n"), RateLimited, "HTTP 418"),
        (answer("<html>", "403 Forbidden"), AnswerError, "HTTP 403"),
        (answer('{"code":-1007,"msg":"Timeout."}', "400 Bad Request"), OutcomeUnknown, "-1007"),
        (answer("<html>502</html>", "502 Bad Gateway"), OutcomeUnknown, "HTTP 502"),
        (answer('{"code":-1001,"msg":"x"}', "503 Unavailable"), OutcomeUnknown, "-1001"),
        (answer("<html>ok</html>"), OutcomeUnknown, ""),
        (answer('{"orderId":7'), OutcomeUnknown, ""),
        (answer('{"orderId":"seven","status":"NEW"}'), OutcomeUnknown, ""),
        (answer(""), OutcomeUnknown, ""),
        (None, OutcomeUnknown, ""),
    ],
)
async def test_what_each_answer_to_an_order_means_and_that_it_is_sent_once(
    reply: bytes | None, kind: type[AsterError], code: str
) -> None:
    async with wire(lambda _: reply) as (kept, client):
        with pytest.raises(AsterError) as raised:
            await client.place_order(ORDER)
        assert type(raised.value) is kind
        assert raised.value.code == code
        assert len(kept.requests) == 1
        assert str(raised.value)


async def test_a_slow_answer_to_an_order_is_an_unknown_outcome() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Trader(Venue(f"http://127.0.0.1:{port}", "", 1666), Wallet(USER, SIGNER), timeout_s=0.2)
    with pytest.raises(OutcomeUnknown, match="may have happened"):
        await client.place_order(ORDER)
    await client.aclose()
    server.close()


async def test_an_exchange_that_is_not_there_is_unreachable_and_nothing_was_sent() -> None:
    client = Trader(Venue("http://127.0.0.1:1", "", 1666), Wallet(USER, SIGNER))
    for ask in (client.ping(), client.place_order(ORDER), client.positions()):
        with pytest.raises(Unreachable):
            await ask
    await client.aclose()


async def test_reads_are_asked_again_with_a_new_nonce_and_not_for_ever() -> None:
    unavailable = answer("<html>", "503 Unavailable")
    async with wire(lambda n: unavailable if n < 3 else answer("[]")) as (kept, client):
        assert await client.open_orders("BTCUSDT") == ()
        assert len({r[0] for r in kept.requests}) == 3
    async with wire(lambda _: unavailable) as (kept, client):
        with pytest.raises(Unreachable):
            await client.positions()
        assert len(kept.requests) == 3


async def test_a_refusal_of_a_read_is_not_asked_again() -> None:
    async with wire(lambda _: answer('{"code":-1022,"msg":"No."}', "400 Bad")) as (kept, client):
        with pytest.raises(AnswerError) as raised:
            await client.positions()
        assert raised.value.key_problem
        assert len(kept.requests) == 1


async def test_html_instead_of_json_is_one_line_for_people() -> None:
    async with wire("<html><h1>Welcome</h1></html>") as (_, client):
        with pytest.raises(MalformedAnswer, match="no JSON") as raised:
            await client.server_time()
        assert "rest_url" in raised.value.remedy
        assert "\n" not in raised.value.message


async def test_a_missing_field_names_itself() -> None:
    async with wire('[{"symbol":"BTCUSDT","positionAmt":"1"}]') as (_, client):
        with pytest.raises(MalformedAnswer, match="entryPrice"):
            await client.positions()


async def test_a_refused_nonce_that_was_our_newest_names_the_stranger() -> None:
    reply = answer('{"code":-4225,"msg":"Nonce Expired"}', "400 Bad")
    nonces = NonceSource()
    async with wire(lambda _: reply, nonces=nonces) as (_, client):
        with pytest.raises(AnswerError, match="another program seems to sign"):
            await client.positions()
        nonces.offset_ms = 9_000  # with such a clock it may be the clock
        with pytest.raises(AnswerError) as raised:
            await client.positions()
        assert "another program" not in raised.value.message
        nonces.measured(9_000, 10)  # with a clock that is known it is not
        with pytest.raises(AnswerError, match="another program seems to sign"):
            await client.positions()
        prepared = client.prepare_order(ORDER)
        for _ in range(100):
            nonces.next(SIGNER.address)
        with pytest.raises(AnswerError) as raised:  # a hundred of our own overtook it
            await client.send_order(prepared)
        assert "another program" not in raised.value.message


async def test_a_read_refused_for_its_time_is_asked_once_more_on_server_time() -> None:
    refused = answer('{"code":-1021,"msg":"Timestamp for this request is outside."}', "400 Bad")
    far = round(time.time() * 1000) + 3_600_000
    replies = {1: refused, 2: answer(f'{{"serverTime":{far}}}')}
    async with wire(lambda n: replies.get(n, answer("[]")), nonces=NonceSource()) as (kept, client):
        assert await client.open_orders("BTCUSDT") == ()
        nonces = [int(r[0].partition("nonce=")[2].partition("&")[0] or 0) for r in kept.requests]
        assert nonces[2] - nonces[0] > 3_590_000_000
        assert len(kept.requests) == 3
    async with wire(lambda n: answer(f'{{"serverTime":{far}}}') if n == 2 else refused) as (kept, client):
        with pytest.raises(AnswerError, match="clock differs"):
            await client.open_orders("BTCUSDT")
        assert len(kept.requests) == 3
    async with wire(lambda n: refused) as (kept, client):  # what places is never sent again
        with pytest.raises(AnswerError, match="clock differs"):
            await client.place_order(ORDER)
        assert len(kept.requests) == 1


async def test_nonces_follow_server_time_once_any_client_measured_it() -> None:
    nonces = NonceSource(clock_ns=lambda: 1_000_000_000_000)
    far = round(time.time() * 1000) + 3_600_000
    async with wire(f'{{"serverTime":{far}}}', nonces=nonces) as (_, client):
        clock = await client.measure_clock()
        assert abs(clock.offset_ms - 3_600_000) < 5_000
    async with wire("[]", nonces=nonces) as (kept, other):
        await other.open_orders("BTCUSDT")
        nonce = int(kept.requests[0][0].partition("nonce=")[2].partition("&")[0])
        assert nonce == 1_000_000_000 + clock.offset_ms * 1000


async def test_without_a_nonce_nothing_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    nonces = NonceSource(tmp_path / "file" / "below")
    async with wire(ACCEPTED, nonces=nonces) as (kept, client):
        with pytest.raises(AsterError, match="nothing was sent"):
            await client.place_order(ORDER)
        assert kept.requests == []


async def test_used_weight_is_told() -> None:
    told: list[int] = []
    reply = answer("{}", headers="X-MBX-USED-WEIGHT-1m: 214\r\n")
    async with wire(lambda _: reply, on_weight=told.append) as (_, client):
        await client.ping()
    assert told == [214]


async def test_an_already_set_leverage_is_success() -> None:
    async with wire(lambda _: answer('{"code":-4046,"msg":"No need."}', "400 Bad")) as (_, client):
        assert await client.set_leverage("BTCUSDT", 5) == 5


async def test_no_error_shows_a_signature() -> None:
    async with wire(lambda _: None) as (kept, client):
        with pytest.raises(OutcomeUnknown) as raised:
            await client.place_order(ORDER)
        signature = signed_part(kept.requests[0][2])[1]
        assert signature[2:] not in f"{raised.value} {raised.value.raw} {raised.value.remedy}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": D("NaN")}, "quantity"),
        ({"quantity": D("-1")}, "quantity"),
        ({"quantity": D(0)}, "quantity"),
        ({"quantity": D(10) ** 30}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"client_order_id": "no spaces"}, "client order id"),
        ({"client_order_id": "x" * 37}, "client order id"),
        ({"client_order_id": ""}, "client order id"),
        ({"symbol": "btc usdt"}, "symbol"),
        ({"symbol": "B" * 400}, "symbol"),
        ({"order_type": "LIMIT"}, "price"),
        ({"price": D(1)}, "price"),
        ({"order_type": "STOP_MARKET"}, "stop price"),
        ({"close_position": True}, "closes the position"),
        ({"side": "HOLD"}, "no such order"),
        ({"order_type": "MAGIC"}, "no such order"),
        ({"time_in_force": "DAY"}, "time in force"),
        ({"time_in_force": "GTC"}, "MARKET does not take a time in force"),
        ({"working_type": "LAST"}, "working type"),
        ({"position_side": "UP"}, "position side"),
        ({"position_side": "LONG", "reduce_only": True}, "opposite side reduces"),
        ({"quantity": None, "close_position": True}, "only STOP_MARKET and TAKE_PROFIT_MARKET"),
        ({"stop_price": D(1)}, "does not take a stop price"),
        ({"callback_rate": D(1)}, "does not take a callback rate"),
        ({"activation_price": D(1)}, "does not take an activation price"),
        (
            {"order_type": "TRAILING_STOP_MARKET", "callback_rate": D("0.55")},
            "steps of 0.1 percent; nearest is 0.6",
        ),
        ({"quantity": D("0." + "0" * 100 + "1")}, "too many digits"),
    ],
)
async def test_what_no_exchange_would_take_is_refused_before_signing(
    changes: dict[str, Any], words: str
) -> None:
    from dataclasses import replace

    async with wire(ACCEPTED) as (kept, client):
        with pytest.raises(InvalidOrder, match=words):
            await client.place_order(replace(ORDER, **changes))
        assert kept.requests == []


@settings(max_examples=200)
@given(
    quantity=st.decimals(allow_nan=True, allow_infinity=True),
    price=st.decimals(),
    client_id=st.text(max_size=50),
)
def test_whatever_becomes_parameters_is_plain(quantity: D, price: D, client_id: str) -> None:
    request = OrderRequest("BTCUSDT", "BUY", "LIMIT", client_id, quantity=quantity, price=price)
    try:
        parameters = dict(request.parameters())
    except InvalidOrder:
        return
    for name in ("quantity", "price"):
        assert set(parameters[name]) <= set("0123456789.")
        assert D(parameters[name]) > 0
    assert len(parameters["newClientOrderId"]) <= 36

"""One HTTP request to the exchange: exact bytes out, one kind of answer or one kind of error back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aster_tui.aster.errors import (
    AnswerError,
    AsterError,
    MalformedAnswer,
    OutcomeUnknown,
    RateLimited,
    Unreachable,
)
from aster_tui.aster.gate import Priority, cost_of, gate_of
from aster_tui.aster.http import Answer, Http, Lost, NotSent
from aster_tui.domain.meanings import meaning

WEIGHT_HEADER, ORDERS_HEADER = "x-mbx-used-weight-1m", "x-mbx-order-count-1m"
TOO_MANY_ORDERS = -1015
#: The venue bans for three days at the most. Without a word of how long: a ban is taken for this, and a limit
#: counts by the venue's minutes, so it is over with the present one and what clocks may differ by.
LONGEST_BAN_S, UNTOLD_BAN_S, MINUTE_MARGIN_S = 4 * 24 * 3600.0, 60.0, 1.0
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
#: How much of an answer is kept for a person to look at.
_RAW_SHOWN = 300


class Transport:
    """Sends requests over kept-alive connections.

    Args:
        base: the REST address.
        timeout_s: for connecting, sending and each wait for bytes.
        on_weight: told the used request weight that an answer's header says.
        account: whose orders these are, for the limit on orders.
    """

    def __init__(
        self, base: str, timeout_s: float, on_weight: Callable[[int], None] | None, account: str = ""
    ) -> None:
        self._base = base
        self._account = account
        self._on_weight = on_weight
        self.gate = gate_of(base)
        self._http = Http(base, timeout_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self, method: str, path: str, string: str, *, changes: bool, priority: Priority = Priority.DISPLAY
    ) -> Any:
        """Send ``string`` (the encoded, signed parameters) exactly as it is; returns the parsed JSON.

        GET carries it as query, without a content type; the others as form body. ``changes`` says whether
        the request can change something, so whether a lost answer leaves an unknown outcome.

        Raises:
            AsterError: one of its subclasses.
        """
        cost = cost_of(method, path, string, self._account)
        minute = self.gate.enter(path, cost, max(priority, Priority.ORDERS) if changes else priority)
        weight = orders = None
        try:
            answer = await self._http.request(method, path, string)
            weight, orders = _told(answer, WEIGHT_HEADER), _told(answer, ORDERS_HEADER)
        except NotSent as error:
            raise Unreachable(
                f"{self._host} cannot be reached: {error}",
                remedy="check the network and rest_url; nothing was sent",
            ) from error
        except Lost as error:
            raise self._lost(method, path, str(error), changes) from error
        finally:
            self.gate.leave(cost, minute, weight=weight, orders=orders)
        if weight is not None and self._on_weight is not None:
            self._on_weight(weight)
        return self._parse(answer, method, path, changes)

    @property
    def _host(self) -> str:
        return self._base.split("://", 1)[-1]

    def _lost(self, method: str, path: str, why: str, changes: bool) -> AsterError:
        if changes:
            return OutcomeUnknown(
                f"{method} {path} was sent and not answered ({why}): it may have happened",
                remedy="do not send it again; look at the exchange",
            )
        return Unreachable(f"{self._host} did not answer {path}: {why}", remedy="it is asked again by itself")

    def _parse(self, answer: Answer, method: str, path: str, changes: bool) -> Any:
        raw = answer.text[:_RAW_SHOWN]
        try:
            body = json.loads(answer.text, parse_float=Decimal)
        except ValueError:
            body = None
        number, text = _code(body)
        if answer.status < 400 and number >= 0:
            return self._whole(body, raw, method, path, changes)
        found = meaning(answer.status, number, text, changes=changes)
        if answer.status >= 500 or found.kind == "unknown":
            error = self._lost(method, path, f"HTTP {answer.status}", changes)
            error.code, error.raw = str(number or f"HTTP {answer.status}"), raw
            raise error
        if found.kind in ("rate-limited", "banned"):
            seconds = self._retry_after(answer, text, is_ban=found.kind == "banned")
            limited = RateLimited(answer.status, number, text, seconds, raw)
            if number == TOO_MANY_ORDERS:
                self.gate.refused_orders(self._account, limited.retry_after_s)
            else:
                self.gate.refused(limited.retry_after_s, banned=found.kind == "banned")
            raise limited
        if body is None and answer.status != 403:
            raise MalformedAnswer(
                f"HTTP {answer.status} without JSON from {path}",
                code=f"HTTP {answer.status}",
                remedy="is rest_url the address of the API?",
                raw=raw,
            )
        raise AnswerError(answer.status, number, text or answer.reason, raw, changes=changes)

    def _retry_after(self, answer: Answer, text: str, *, is_ban: bool) -> float:
        """How long to send nothing (s): by the header, or by the time that the words name."""
        value = answer.headers.get("retry-after", "")
        told = float(value) if value.isascii() and value.isdigit() else 0.0
        if banned := _BANNED_UNTIL.search(text):
            server_now = time.time() * 1000 + self.gate.offset_ms
            told = max(told, (int(banned[1]) - server_now) / 1000)
        if told > 0:
            return min(told, LONGEST_BAN_S)
        return UNTOLD_BAN_S if is_ban else self.gate.minute_left_s + MINUTE_MARGIN_S

    def _whole(self, body: Any, raw: str, method: str, path: str, changes: bool) -> Any:
        """The body of a good answer, unless it is no JSON at all."""
        if body is None:
            if changes:
                raise OutcomeUnknown(
                    f"{method} {path} was answered with something unreadable: it may have happened",
                    remedy="do not send it again; look at the exchange",
                    raw=raw,
                )
            raise MalformedAnswer(
                f"{path} was answered with something that is no JSON",
                remedy="is rest_url the address of the API?",
                raw=raw,
            )
        return body


def _code(body: Any) -> tuple[int, str]:
    if not isinstance(body, dict):
        return 0, ""
    try:
        return int(body.get("code", 0)), str(body.get("msg", ""))
    except (TypeError, ValueError):
        return 0, str(body.get("msg", ""))


def _told(answer: Answer, header: str) -> int | None:
    value = answer.headers.get(header, "")
    return int(value) if value.isascii() and value.isdigit() else None

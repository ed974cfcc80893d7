"""From an answer's JSON to a model, or to an error that names what was wrong with it."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from aster_tui.aster import models
from aster_tui.aster.errors import InvalidOrder, MalformedAnswer, OutcomeUnknown
from aster_tui.aster.orders import checked_client_id, checked_whole
from aster_tui.domain.trading import Order

MOST_ID = 2**63 - 1
M = TypeVar("M", bound=models.Wire)


def identity(order_id: int | None, client_order_id: str | None) -> list[tuple[str, str]]:
    """The parameters that name an order by either id."""
    if order_id is not None:
        return [("orderId", checked_whole("an order id", order_id, 1, MOST_ID))]
    if client_order_id is not None:
        return [("origClientOrderId", checked_client_id(client_order_id))]
    raise InvalidOrder("an order is asked for by its id or its client order id")


def model(kind: type[M], answer: Any) -> M:
    """The answer as a wire model.

    Raises:
        MalformedAnswer: a field this client uses is missing or malformed; it is named.
    """
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise MalformedAnswer(
            f"{kind.__name__.removesuffix('Answer')}: {where}: {first['msg']}",
            remedy="the exchange's answer changed its form; please report it",
            raw=str(answer)[:300],
        ) from None


def answered_order(answer: Any) -> Order:
    """An order that was sent and answered in a form nobody knows is an order of unknown outcome."""
    try:
        return model(models.OrderAnswer, answer).order()
    except MalformedAnswer as error:
        raise OutcomeUnknown(
            f"the answer to an order could not be read: {error.message}",
            remedy="do not send it again; look at the exchange",
            raw=error.raw,
        ) from None


def rows_of(answer: Any) -> list[Any]:
    """The rows of an answer that is a list, or one row."""
    if isinstance(answer, list):
        return answer
    if isinstance(answer, dict):
        return [answer]
    raise MalformedAnswer("a list was expected", raw=str(answer)[:300])

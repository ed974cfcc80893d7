"""What can go wrong with the exchange, as types whose words an operator can act on."""

from __future__ import annotations

import time

from aster_tui.domain.meanings import Meaning, meaning


class AsterError(Exception):
    """Anything that kept an answer from being had.

    ``message`` is for people, ``code`` the venue's or HTTP's, ``remedy`` what to do, ``raw`` the answer as
    it came.
    """

    def __init__(self, message: str, *, code: str = "", remedy: str = "", raw: str = "") -> None:
        super().__init__(message)
        self.message, self.code, self.remedy, self.raw = message, code, remedy, raw

    def __str__(self) -> str:
        return self.message


class Unreachable(AsterError):
    """Nothing was sent, or a read got no answer: nothing changed at the exchange."""


class OutcomeUnknown(AsterError):
    """A request that changes something was sent and its outcome is not known: it may have happened."""


class MalformedAnswer(AsterError):
    """The answer is not what the exchange documents: HTML, cut JSON, a missing field."""


class AnswerError(AsterError):
    """The exchange refused. ``status`` is HTTP's, ``number`` the venue's code (0 if it gave none),
    ``meaning`` what is concluded from them."""

    def __init__(self, status: int, number: int, text: str, raw: str = "", *, changes: bool = False) -> None:
        self.meaning: Meaning = meaning(status, number, text, changes=changes)
        code = str(number) if number else f"HTTP {status}"
        super().__init__(self.meaning.words, code=code, remedy=self.meaning.remedy, raw=raw)
        self.status, self.number, self.text = status, number, text

    @property
    def key_problem(self) -> bool:
        """Whether this wallet cannot work until a person changes something."""
        return self.meaning.kind == "key"


class RateLimited(AnswerError):
    """Too many requests (429) or banned (418). ``retry_after_s`` is how long to send nothing."""

    def __init__(self, status: int, number: int, text: str, retry_after_s: float, raw: str = "") -> None:
        super().__init__(status, number, text, raw)
        self.retry_after_s = retry_after_s
        self.message = f"{self.message}: nothing is sent until {local_time(time.time() + retry_after_s)}"


def local_time(at: float) -> str:
    """A Unix time (s) for people: the time of day, with its date when that is not today's."""
    form = "%H:%M:%S" if time.localtime(at)[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M:%S"
    return time.strftime(form, time.localtime(at))


class InvalidOrder(AsterError, ValueError):
    """Refused here, before signing: the exchange would not take it."""

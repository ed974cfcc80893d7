"""What can go wrong with the exchange, as types whose words an operator can act on."""

from __future__ import annotations

#: Venue code → what it means and what to do. Codes from the published error list (mid-2026).
MEANINGS: dict[int, tuple[str, str]] = {
    -1003: ("too many requests", "wait: nothing new is sent until the limit is free again"),
    -1015: ("too many orders", "wait: nothing new is sent until the limit is free again"),
    -1021: ("the clock differs too much from the exchange's", "set this machine's clock (NTP)"),
    -4225: ("the nonce was used or is too far off", "check the clock; is the signer used elsewhere?"),
    -1022: ("the signature was refused", "check chain id, user, signer and key of this agent"),
    -2014: ("the API wallet is not valid", "approve the signer for this account at the exchange"),
    -2015: ("the API wallet has no permission", "check the signer's permissions and IP list at the exchange"),
    -4087: ("the API wallet may only reduce", "check the signer's permissions at the exchange"),
    -4088: ("the API wallet may not trade", "check the signer's permissions at the exchange"),
    -1102: ("a parameter is missing or empty", "please report this: it should have been caught here"),
    -1111: ("too many decimals", "round to the symbol's step and tick"),
    -1121: ("no such symbol", "check the symbol"),
    -2010: ("the order was refused", "see the exchange's words"),
    -2011: ("the order could not be cancelled", "it may be filled or cancelled already: look at it"),
    -2013: ("no such order", "it may have been filled, or never placed"),
    -2018: ("the balance is too low", "lower the size or add balance"),
    -2019: ("the margin is too low", "lower the size or the leverage, or close something"),
    -2021: ("it would trigger at once", "put the stop on the other side of the price"),
    -2022: ("reduce-only was refused", "the position may be closed already: look at it"),
    -2023: ("the account is being liquidated", "look at the account at once"),
    -2025: ("too many open orders", "cancel orders without a position"),
    -4045: ("too many stop orders", "cancel orders without a position"),
    -4131: ("the price is too far from the mark", "use a limit inside the symbol's band"),
    -4164: ("the order is too small", "raise it above the symbol's smallest notional"),
    -4061: ("the position side does not fit the account's mode", "check one-way and hedge mode"),
    -1125: ("the listen key is gone", "a new one is made"),
}  # fmt: skip

#: Codes that say this wallet cannot work until a person changes something.
KEY_CODES = frozenset({-1022, -2014, -2015, -4087, -4088})
#: Codes whose meaning is in the venue's own words.
VAGUE_CODES = frozenset({-2010, -1102, -4061})
#: Codes that say the limit is used up.
LIMIT_CODES = frozenset({-1003, -1015})


class AsterError(Exception):
    """Anything that kept an answer from being had.

    ``message`` is for people, ``code`` the venue's or HTTP's, ``remedy`` what to do, ``raw`` the answer as
    it came.
    """

    def __init__(self, message: str, *, code: str = "", remedy: str = "", raw: str = "") -> None:
        super().__init__(message)
        self.message, self.code, self.remedy, self.raw = message, code, remedy, raw


class Unreachable(AsterError):
    """Nothing was sent, or a read got no answer: nothing changed at the exchange."""


class OutcomeUnknown(AsterError):
    """A request that changes something was sent and its outcome is not known: it may have happened."""


class MalformedAnswer(AsterError):
    """The answer is not what the exchange documents: HTML, cut JSON, a missing field."""


class AnswerError(AsterError):
    """The exchange refused. ``status`` is HTTP's, ``number`` the venue's code (0 if it gave none)."""

    def __init__(self, status: int, number: int, text: str, raw: str = "") -> None:
        meaning, remedy = MEANINGS.get(number, ("", ""))
        words = f"{meaning} ({text})" if number in VAGUE_CODES and text else meaning or text or "refused"
        super().__init__(words, code=str(number) if number else f"HTTP {status}", remedy=remedy, raw=raw)
        self.status, self.number, self.text = status, number, text

    @property
    def key_problem(self) -> bool:
        """Whether this wallet cannot work until a person changes something."""
        return self.number in KEY_CODES or "no agent found" in self.text.lower()


class RateLimited(AnswerError):
    """Too many requests (429) or banned (418). ``retry_after_s`` is how long to send nothing."""

    def __init__(self, status: int, number: int, text: str, retry_after_s: float, raw: str = "") -> None:
        super().__init__(status, number, text, raw)
        self.retry_after_s = retry_after_s
        if status == 418:
            self.message = f"banned by the exchange for {retry_after_s:.0f} s ({text})"
            self.remedy = "wait: every request lengthens the ban"


class InvalidOrder(AsterError, ValueError):
    """Refused here, before signing: the exchange would not take it."""

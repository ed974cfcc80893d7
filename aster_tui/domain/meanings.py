"""What an answer of the exchange means: one table from (HTTP status, code, text) to kind, words and remedy.

Codes and texts are the venue's published ones (futures v3, mid-2026). A code that is not here is shown as
it came and is of kind ``other``: nothing is concluded from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["rejected", "unknown", "rate-limited", "banned", "clock", "key", "already", "other"]

#: Kinds after which it is certain that the request changed nothing.
CERTAIN: frozenset[Kind] = frozenset({"rejected", "rate-limited", "banned", "clock", "key", "already"})


@dataclass(frozen=True, slots=True)
class Meaning:
    """``words`` say what happened, ``remedy`` what to do; both for people, each on one line."""

    kind: Kind
    words: str
    remedy: str

    @property
    def certain(self) -> bool:
        """Whether the request certainly changed nothing."""
        return self.kind in CERTAIN


_REPORT = "please report it: this should have been caught before it was sent"
_LOOK = "do not send it again; look at the exchange"
_WAIT = "wait: nothing new is sent until the limit is free again"
_KEY = "check chain id, user, signer and key of this agent"
_PERMISSION = "check the signer's permissions at the exchange"
_ORPHANS = "cancel orders without a position"

_TABLE: dict[int, tuple[Kind, str, str]] = {
    # Nobody knows whether it happened.
    -1000: ("unknown", "the exchange failed in an unclear way", _LOOK),
    -1001: ("unknown", "the exchange broke off", _LOOK),
    -1006: ("unknown", "the exchange lost track of the request", _LOOK),
    -1007: ("unknown", "the exchange did not answer itself in time", _LOOK),
    # Limits and clock.
    -1003: ("rate-limited", "too many requests", _WAIT),
    -1015: ("rate-limited", "too many orders", _WAIT),
    -1021: ("clock", "the clock differs too much from the exchange's", "set this machine's clock (NTP)"),
    -4225: (
        "clock",
        "the nonce was used or is too far off",
        "check the clock; is the signer used elsewhere?",
    ),
    # Wallets.
    -1002: ("key", "not authorized", _KEY),
    -1011: ("key", "this machine's address may not use the API", "add this address to the signer's IP list"),
    -1022: ("key", "the signature was refused", _KEY),
    -1109: ("key", "no such account", _KEY),
    -2014: ("key", "the API wallet is not valid", "approve the signer for this account at the exchange"),
    -2015: ("key", "the API wallet, its address or permission is refused", _PERMISSION),
    -4056: ("key", "the API wallet is of the wrong type", "approve another signer at the exchange"),
    -4087: ("key", "the account may only reduce positions now", _PERMISSION),
    -4088: ("key", "the account may not trade now", _PERMISSION),
    # Already so.
    -4046: ("already", "the margin type is set already", ""),
    -4052: ("already", "automatic margin is set already", ""),
    -4059: ("already", "the position mode is set already", ""),
    # Refusals of orders.
    -1010: ("rejected", "the exchange refused the message", "see its words"),
    -1014: ("rejected", "orders of this combination are not supported", "send them one by one"),
    -1016: ("rejected", "this service is no longer available", "check the exchange's announcements"),
    -1020: ("rejected", "this operation is not supported", "check the exchange's announcements"),
    -1112: ("rejected", "nobody is on the other side of the book", "try a limit order"),
    -1125: ("rejected", "the listen key is gone", "a new one is made by itself"),
    -2010: ("rejected", "the order was refused", "see the exchange's words"),
    -2011: (
        "rejected",
        "the order could not be cancelled",
        "it may be filled or cancelled already: look at it",
    ),
    -2013: ("rejected", "no such order", "it may have been filled, or never placed"),
    -2016: ("rejected", "the symbol is not traded now", "wait for its trading hours"),
    -2018: ("rejected", "the balance is too low", "lower the size or add balance"),
    -2019: ("rejected", "the margin is too low", "lower the size or the leverage, or close something"),
    -2020: ("rejected", "it cannot be filled", "try a smaller size or a limit order"),
    -2021: ("rejected", "it would trigger at once", "put the stop on the other side of the price"),
    -2022: ("rejected", "reduce-only was refused", "the position may be closed already: look at it"),
    -2023: ("rejected", "the account is being liquidated", "look at the account at once"),
    -2024: ("rejected", "the position is too small", "look at the position: it may be smaller by now"),
    -2025: ("rejected", "too many open orders", _ORPHANS),
    -2026: ("rejected", "this order type cannot be reduce-only", "use a market or stop order"),
    -2027: ("rejected", "the position is too large for this leverage", "lower the leverage or the size"),
    -2028: ("rejected", "the margin is too low for this leverage", "raise the leverage or add balance"),
    -4028: ("rejected", "this leverage is not possible", "choose one the symbol allows"),
    -4045: ("rejected", "too many stop orders", _ORPHANS),
    -4047: ("rejected", "open orders keep the margin type", "cancel them first"),
    -4048: ("rejected", "a position keeps the margin type", "close it first"),
    -4050: ("rejected", "the cross balance is too low", "add balance"),
    -4051: ("rejected", "the isolated balance is too low", "add margin to the position"),
    -4061: ("rejected", "the position side does not fit the account's mode", "check one-way and hedge mode"),
    -4062: ("rejected", "reduce-only does not fit here", "in hedge mode use the position side instead"),
    -4067: ("rejected", "open orders keep the position mode", "cancel them first"),
    -4068: ("rejected", "a position keeps the position mode", "close it first"),
    -4083: ("rejected", "the batch of orders failed", "look at each order"),
    -4084: ("rejected", "this is not possible yet", "check the exchange's announcements"),
    -4116: ("rejected", "an open order has this client order id", "look at that order: it may be this one"),
    -4118: ("rejected", "reduce-only failed for want of margin", "look at the position and its open orders"),
    -4131: ("rejected", "the best price is too far from the mark", "use a limit inside the symbol's band"),
    -4140: ("rejected", "the symbol takes no new positions now", "only closing is possible"),
    -4141: ("rejected", "the symbol is closed", "check the exchange's announcements"),
    -4142: ("rejected", "it would trigger at once", "put the stop on the other side of the price"),
    -4161: ("rejected", "an isolated position keeps the leverage", "close it first, or raise the leverage"),
    -4164: ("rejected", "the order is too small", "raise it above the symbol's smallest notional"),
    -4016: ("rejected", "the price is above the allowed band", "lower the price"),
    -4024: ("rejected", "the price is below the allowed band", "raise the price"),
    -4183: ("rejected", "the stop price is above the allowed band", "lower the stop price"),
    -4184: ("rejected", "the stop price is below the allowed band", "raise the stop price"),
    -5022: ("rejected", "a post-only order would have taken", "move its price away from the market"),
}

#: Parameters that are checked here before anything is signed.
_CAUGHT_HERE: dict[int, str] = {
    -1013: "the message was malformed",
    -1023: "the start is after the end",
    -1100: "a parameter has letters it may not have",
    -1101: "too many parameters",
    -1102: "a parameter is missing or malformed",
    -1103: "an unknown parameter",
    -1104: "a parameter was not read",
    -1105: "a parameter is empty",
    -1106: "a parameter is not wanted here",
    -1108: "no such asset",
    -1111: "too many decimals",
    -1114: "a time in force is not wanted here",
    -1115: "no such time in force",
    -1116: "no such order type",
    -1117: "no such side",
    -1118: "the client order id is empty",
    -1119: "the original client order id is empty",
    -1120: "no such interval",
    -1121: "no such symbol",
    -1127: "the time span is too long",
    -1128: "these parameters do not go together",
    -1130: "a parameter is not valid",
    -1136: "no such response type",
    -4000: "no such order status",
    -4001: "the price is below zero",
    -4002: "the price is above the symbol's highest",
    -4003: "the quantity is not above zero",
    -4004: "the quantity is below the symbol's smallest",
    -4005: "the quantity is above the symbol's largest",
    -4006: "the stop price is below zero",
    -4007: "the stop price is above the symbol's highest",
    -4013: "the price is below the symbol's lowest",
    -4014: "the price is not a multiple of the tick",
    -4015: "the client order id is not valid",
    -4020: "these order parameters do not go together",
    -4021: "no such depth",
    -4023: "the quantity is not a multiple of the step",
    -4031: "no such working type",
    -4032: "too many orders to cancel at once",
    -4055: "the amount is not above zero",
    -4060: "no such position side",
    -4082: "a batch has one to five orders",
    -4135: "the activation price is not valid",
    -4137: "a quantity does not go with closing the position",
    -4138: "closing the position is reduce-only",
    -4139: "this order cannot be a market order",
}

#: Published refusals of what this program never asks for: options, transfers, the venue's own configuration.
_FOREIGN: dict[int, str] = {
    -1004: "the address is on the list already",
    -1005: "the address is not on the list",
    -1110: "no such kind of symbol",
    -1113: "a withdrawal must be negative",
    -4008: "the tick size is below zero",
    -4009: "the highest price is below the lowest",
    -4010: "the largest quantity is below the smallest",
    -4011: "the step size is below zero",
    -4012: "the most orders are below zero",
    -4017: "the upper price band is below zero",
    -4018: "the lower price band is below zero",
    -4019: "the composite scale is too large",
    -4022: "no such market status",
    -4025: "the decimals of the price band are below zero",
    -4026: "the commission is not valid",
    -4027: "no such kind of account",
    -4029: "the tick size has wrong decimals",
    -4030: "the step size has wrong decimals",
    -4033: "there is no insurance account",
    -4044: "no such kind of balance",
    -4049: "margin is added to isolated positions only",
    -4053: "margin is added by itself to isolated positions only",
    -4054: "there is no position to add margin to",
    -4057: "the public key is not valid",
    -4058: "the highest price is too large",
    -4063: "no such kind of options request",
    -4064: "no such time frame of options",
    -4065: "the amount of options is not valid",
    -4066: "no such kind of options event",
    -4069: "the premium of the options is not valid",
    -4070: "the id of the options is not valid",
    -4071: "no such direction of options",
    -4072: "the premium of the options is not up to date",
    -4073: "the premium of the options is below zero",
    -4074: "the amount of options is out of bounds",
    -4075: "the premium of the options comes to nothing",
    -4076: "the premium of the options is too far from the last",
    -4077: "too many options",
    -4078: "the options failed",
    -4079: "no such options",
    -4080: "no such user of options",
    -4081: "no such options",
    -4085: "the coefficient of the notional limit is not valid",
    -4086: "the threshold of the price spread is not valid",
    -4104: "no such kind of contract",
    -4114: "the transfer's id is not valid",
    -4115: "the transfer's id was used already",
    -4144: "no such pair",
    -4165: "the time span is not valid",
}
_NOT_ASKED = "nothing here asks for this; see the exchange's words"

#: Codes whose meaning stands in the venue's own words only.
_SEE_TEXT = frozenset({-1010, -1102, -1103, -1106, -1130, -2010, -4020, -4061})


def meaning(status: int, code: int, text: str, *, changes: bool) -> Meaning:
    """What an answer means.

    Args:
        status: the HTTP status.
        code: the venue's code, 0 without one.
        text: the venue's words.
        changes: whether the request could change something: only then can an outcome be unknown.
    """
    shown = " ".join(text.split())[:200]
    if status == 418:
        return Meaning("banned", "banned by the exchange", "wait: every request lengthens the ban")
    if status == 429:
        return Meaning("rate-limited", _TABLE[code if code == -1015 else -1003][1], _WAIT)
    if "no agent found" in shown.lower():
        return Meaning("key", "the exchange does not know this signer", _TABLE[-2014][2])
    if status >= 500:
        return _broken(status, changes)
    if status == 403:
        return Meaning("rejected", "the exchange's firewall refused it", "wait, and send less")
    if code in _TABLE:
        kind, words, remedy = _TABLE[code]
        if kind == "unknown" and not changes:
            return Meaning("other", words, "it is asked again by itself")
        return Meaning(kind, _with(words, shown if code in _SEE_TEXT else ""), remedy)
    if code in _CAUGHT_HERE:
        words = _with(_CAUGHT_HERE[code], shown if code in _SEE_TEXT else "")
        return Meaning("rejected", words, _REPORT)
    if code in _FOREIGN:
        return Meaning("rejected", _with(_FOREIGN[code], shown), _NOT_ASKED)
    words = shown or (f"HTTP {status}" if status >= 400 else "an answer without a reason")
    return Meaning("other", words, "an answer nobody here knows; see the exchange's documents")


def _broken(status: int, changes: bool) -> Meaning:
    if changes:
        return Meaning("unknown", f"the exchange failed (HTTP {status}): it may have happened", _LOOK)
    return Meaning("other", f"the exchange failed (HTTP {status})", "it is asked again by itself")


def _with(words: str, text: str) -> str:
    return f"{words} ({text})" if text else words

"""The venue's error answers: codes and texts as published, raised inside and rendered at the edge."""

from __future__ import annotations

TEXTS: dict[int, str] = {
    -1000: "An unknown error occured while processing the request.",
    -1003: (
        "Too many requests; current limit is %s requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    ),
    -1015: "Too many new orders; current limit is %s orders per %s.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1101: "Duplicate values for a parameter detected.",
    -1102: "Mandatory parameter '%s' was not sent, was empty/null, or malformed.",
    -1106: "Parameter '%s' sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1112: "No orders on book for symbol.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1125: "This listenKey does not exist.",
    -1130: "Data sent for parameter '%s' is not valid.",
    -1136: "Invalid newOrderRespType.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2019: "Margin is insufficient.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2025: "Reach max open order limit.",
    -2028: "Leverage is smaller than permitted: insufficient margin balance.",
    -4001: "Price less than 0.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4006: "Stop price less than zero.",
    -4007: "Stop price greater than max price.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id is not valid.",
    -4016: "Price is higher than mark price multiplier cap.",
    -4021: "Invalid depth limit: %s.",
    -4032: "Exceed maximum cancel order size of %s.",
    -4082: "Invalid number of batch place orders.",
    -4020: "Target strategy invalid for orderType '%s',closePosition '%s'.",
    -4023: "Qty not increased by step size.",
    -4024: "Price is lower than mark price multiplier floor.",
    -4028: "Leverage `%s` is not valid",
    -4031: "Invalid parameter working type: `%s`",
    -4045: "Reach max stop order limit.",
    -4060: "Invalid position side.",
    -4061: "Order's position side does not match user's setting.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit",
    -4137: "Quantity must be zero with closePosition equals true",
    -4164: "Order's notional must be no smaller than %s (unless you choose reduce only)",
    -4225: "Nonce Expired",
}


class VenueError(Exception):
    """An answer of the venue that refuses a request: ``{"code", "msg"}`` with an HTTP status."""

    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg
        self.status = status


def refuse(code: int, *details: object, status: int = 400) -> VenueError:
    """The published error ``code``, its text filled with ``details``."""
    text = TEXTS[code]
    return VenueError(code, text % details if details else text, status)


def other(code: int, msg: str, status: int = 400) -> VenueError:
    """An error whose text the published list does not have."""
    return VenueError(code, msg, status)

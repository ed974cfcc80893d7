"""The venue's error answers: codes and texts as published, raised inside and rendered at the edge."""

from __future__ import annotations

TEXTS: dict[int, str] = {
    -1000: "An unknown error occured while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1002: "You are not authorized to execute this request.",
    -1003: (
        "Too many requests; current limit is %s requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    ),
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1010: "ERROR_MSG_RECEIVED.",
    -1011: "This IP cannot access this route.",
    -1013: "INVALID_MESSAGE.",
    -1014: "Unsupported order combination.",
    -1015: "Too many new orders; current limit is %s orders per %s.",
    -1016: "This service is no longer available.",
    -1020: "This operation is not supported.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1023: "Start time is greater than end time.",
    -1100: "Illegal characters found in a parameter.",
    -1101: "Duplicate values for a parameter detected.",
    -1102: "Mandatory parameter '%s' was not sent, was empty/null, or malformed.",
    -1103: "An unknown parameter was sent.",
    -1104: "Not all sent parameters were read.",
    -1105: "A parameter was empty.",
    -1106: "Parameter '%s' sent when not required.",
    -1108: "Invalid asset.",
    -1109: "Invalid account.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1112: "No orders on book for symbol.",
    -1114: "TimeInForce parameter sent when not required.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1118: "New client order ID was empty.",
    -1119: "Original client order ID was empty.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1125: "This listenKey does not exist.",
    -1127: "Lookup interval is too big.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '%s' is not valid.",
    -1136: "Invalid newOrderRespType.",
    -2010: "NEW_ORDER_REJECTED",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2016: "No trading window could be found for the symbol. Try ticker/24hrs instead.",
    -2018: "Balance is insufficient.",
    -2019: "Margin is insufficient.",
    -2020: "Unable to fill.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2023: "User in liquidation mode now.",
    -2024: "Position is not sufficient.",
    -2025: "Reach max open order limit.",
    -2026: "This OrderType is not supported when reduceOnly.",
    -2027: "Exceeded the maximum allowable position at current leverage.",
    -2028: "Leverage is smaller than permitted: insufficient margin balance.",
    -4000: "Invalid order status.",
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
    -4020: "Target strategy invalid for orderType '%s',closePosition '%s'.",
    -4021: "Invalid depth limit: %s.",
    -4023: "Qty not increased by step size.",
    -4024: "Price is lower than mark price multiplier floor.",
    -4028: "Leverage `%s` is not valid",
    -4031: "Invalid parameter working type: `%s`",
    -4032: "Exceed maximum cancel order size of %s.",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4050: "Cross balance insufficient.",
    -4051: "Isolated balance insufficient.",
    -4052: "No need to change auto add margin.",
    -4055: "Amount must be positive.",
    -4056: "Invalid api key type.",
    -4059: "No need to change position side.",
    -4060: "Invalid position side.",
    -4061: "Order's position side does not match user's setting.",
    -4062: "Invalid or improper reduceOnly value.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4082: "Invalid number of batch place orders.",
    -4083: "Fail to place batch orders.",
    -4084: "Method is not allowed currently. Upcoming soon.",
    -4087: "User can only place reduce only order",
    -4088: "User can not place order currently",
    -4116: "ClientOrderId is duplicated.",
    -4118: "ReduceOnly Order Failed. Please check your existing position and open orders",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit",
    -4135: "Invalid activation price",
    -4137: "Quantity must be zero with closePosition equals true",
    -4138: "Reduce only must be true with closePosition equals true",
    -4139: "Order type can not be market if it's unable to cancel",
    -4140: "Invalid symbol status for opening position",
    -4141: "Symbol is closed",
    -4142: "REJECT: take profit or stop order will be triggered immediately",
    -4161: "Leverage reduction is not supported in Isolated Margin Mode with open positions",
    -4164: "Order's notional must be no smaller than %s (unless you choose reduce only)",
    -4183: "Price is higher than stop price multiplier cap.",
    -4184: "Price is lower than stop price multiplier floor.",
    -4225: "Nonce Expired",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected.",
}


class VenueError(Exception):
    """An answer of the venue that refuses a request: ``{"code", "msg"}`` with an HTTP status."""

    def __init__(self, code: int, msg: str, status: int = 400, *, retry_after_s: int = 0) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg
        self.status = status
        self.retry_after_s = retry_after_s


def refuse(code: int, *details: object, status: int = 400) -> VenueError:
    """The published error ``code``, its text filled with ``details``."""
    text = TEXTS[code]
    return VenueError(code, text % details if details else text, status)


def other(code: int, msg: str, status: int = 400) -> VenueError:
    """An error whose text the published list does not have."""
    return VenueError(code, msg, status)

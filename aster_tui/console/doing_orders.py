"""The actions on orders and positions: the ticket, closing, reducing, reversing, cancelling, changing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aster_tui.console.actions import Action, Context, Handler, cannot_act, cannot_add_risk

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp
    from aster_tui.console.screens.reducing import Way


def _cannot_order(context: Context) -> str:
    if why := cannot_act(context):
        return why
    if not any(a.mode == "real" for a in context.snapshot.agents):
        return "no agent trades for real: m flips one"
    return ""


def _cannot_reduce(context: Context) -> str:
    return cannot_act(context) or _not_there(context)


def _cannot_reverse(context: Context) -> str:
    return cannot_act(context) or _not_there(context) or cannot_add_risk(context)


def _cannot_set_leverage(context: Context) -> str:
    if why := cannot_act(context):
        return why
    if context.agent is None:
        return "select an agent first"
    if context.agent.mode == "paper":
        return f"{context.agent.name} trades on paper: it has no leverage at the exchange"
    return cannot_add_risk(context)


def _not_there(context: Context) -> str:
    return "" if context.row is not None else "nothing is selected"


POSITIONS, ORDERS = ("positions",), ("orders",)
REDUCE = "aster-tui reduce --agent NAME --symbol S"

ACTIONS: tuple[Action, ...] = (
    Action(
        *("order", "order ticket: place an order, or have the exchange test it", "o", "o"),
        danger="risk",
        hint=1,
        short="order",
        needs="a real agent, its key, the exchange; placing needs an armed session",
        unavailable=_cannot_order,
        command="aster-tui order --agent NAME --symbol S --side buy --quantity Q",
    ),
    Action(
        *("position.close", "close the selected positions at market", "c", "c"),
        danger="risk",
        panes=POSITIONS,
        hint=1,
        short="close",
        needs="a real position, its agent's key, the exchange",
        unavailable=_cannot_reduce,
        command=f"{REDUCE} --part 1",
    ),
    Action(
        *("position.halve", "close half of the selected positions at market", "h", "h"),
        danger="risk",
        panes=POSITIONS,
        hint=1,
        short="halve",
        needs="a real position, its agent's key, the exchange",
        unavailable=_cannot_reduce,
        command=f"{REDUCE} --part 0.5",
    ),
    Action(
        *("position.reverse", "reverse the selected positions", "r", "r"),
        danger="risk",
        panes=POSITIONS,
        hint=1,
        short="reverse",
        needs="a real position, its agent's key, the exchange, an armed session",
        unavailable=_cannot_reverse,
        command=f"{REDUCE} --reverse",
    ),
    Action(
        *("leverage", "set the leverage of a symbol", "v", "v"),
        danger="risk",
        panes=("agents", "positions"),
        needs="a real agent, its key, the exchange, an armed session",
        unavailable=_cannot_set_leverage,
        command="aster-tui leverage --agent NAME --symbol S N",
    ),
    Action(
        *("order.cancel", "cancel the selected orders", "c", "c"),
        danger="risk",
        panes=ORDERS,
        hint=1,
        short="cancel",
        needs="an open order, its agent's key, the exchange",
        unavailable=_cannot_reduce,
        command="aster-tui cancel --agent NAME --order ID",
    ),
    Action(
        *("order.modify", "change price and quantity of the selected limit order", "e", "e"),
        danger="risk",
        panes=ORDERS,
        hint=1,
        short="change",
        needs="an open limit order, its agent's key, the exchange, an armed session",
        unavailable=_cannot_reverse,
        command="aster-tui modify --agent NAME --symbol S --order ID --quantity Q --price P",
    ),
)


def _order(app: ConsoleApp) -> None:
    from aster_tui.console.screens.ticket import TicketScreen  # 20 ms, and only when it is asked for

    context = app.context()
    real = [a for a in context.snapshot.agents if a.mode == "real"]
    here = context.agent if context.agent in real else None
    view = app.pane.cursor_view
    app.push_screen(TicketScreen(app, (here or real[0]).key, getattr(view, "symbol", "")))


def _reduce(way: Way) -> Handler:
    def do(app: ConsoleApp) -> None:
        from aster_tui.console.screens.reducing import reduce_selected

        reduce_selected(app, way)

    return do


def _leverage(app: ConsoleApp) -> None:
    from aster_tui.console.screens.orders import LeverageForm

    agent = app.context().agent
    if agent is not None:
        app.push_screen(LeverageForm(agent, getattr(app.pane.cursor_view, "symbol", "")))


def _cancel(app: ConsoleApp) -> None:
    from aster_tui.console.screens.orders import cancel_selected

    cancel_selected(app)


def _modify(app: ConsoleApp) -> None:
    from aster_tui.console.screens.orders import modify_selected

    modify_selected(app)


HANDLERS: Mapping[str, Handler] = {
    "order": _order,
    "position.close": _reduce("close"),
    "position.halve": _reduce("halve"),
    "position.reverse": _reduce("reverse"),
    "leverage": _leverage,
    "order.cancel": _cancel,
    "order.modify": _modify,
}

"""The actions on orders and positions: the ticket, closing, reducing, reversing, cancelling, changing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aster_tui.console.actions import Action, Context, Handler, cannot_act

if TYPE_CHECKING:
    from aster_tui.console.app import ConsoleApp


def _cannot_order(context: Context) -> str:
    if why := cannot_act(context):
        return why
    if not any(a.mode == "real" for a in context.snapshot.agents):
        return "no agent trades for real: m flips one"
    return ""


ACTIONS: tuple[Action, ...] = (
    Action(
        *("order", "order ticket: place an order, or have the exchange test it", "o", "o"),
        danger="risk",
        hint=True,
        short="order",
        needs="a real agent, its key, the exchange; placing needs an armed session",
        unavailable=_cannot_order,
        command="aster-tui order --agent NAME --symbol S --side buy --quantity Q",
    ),
)


def _order(app: ConsoleApp) -> None:
    from aster_tui.console.screens.ticket import TicketScreen  # 20 ms, and only when it is asked for

    context = app.context()
    real = [a for a in context.snapshot.agents if a.mode == "real"]
    here = context.agent if context.agent in real else None
    view = app.pane.cursor_view
    app.push_screen(TicketScreen(app, (here or real[0]).key, getattr(view, "symbol", "")))


HANDLERS: Mapping[str, Handler] = {"order": _order}

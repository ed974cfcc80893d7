"""The close-all panel in words: what would be closed, how far it is, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.screens.words import named, short_account
from aster_tui.console.status_line import Styles
from aster_tui.domain.closing import AccountPlan, ClosePlan
from aster_tui.domain.views import RequestView


def plan_text(plan: ClosePlan, styles: Styles) -> Text:
    """What would be closed."""
    text = Text()
    if not plan.accounts:
        text.append("no account is known here: nothing would be closed\n", style=styles["warn"])
    else:
        count = len(plan.positions)
        text.append(
            f"{_counted(count, 'position')}, {fmt.number(plan.notional, 2)} USDT", style=styles["strong"]
        )
        able = sum(not a.refused for a in plan.accounts)
        text.append(
            f", {_counted(plan.orders, 'open order')} on {_counted(able, 'account')}\n",
            style=styles["strong"],
        )
        text.append(
            f"{_estimated(plan.estimate_ms)}, slippage about {fmt.number(plan.slippage, 2)}"
            f" and fees about {fmt.number(plan.fees, 2)} USDT\n",
            style=styles["dim"],
        )
    for account in plan.accounts:
        text.append_text(_account_plan(account, styles))
    for line in plan.untouched:
        text.append(f"not touched: {fmt.one_line(line)}\n", style=styles["dim"])
    return text


def _estimated(milliseconds: int) -> str:
    return f"about {fmt.seconds(milliseconds)}" if milliseconds >= 1000 else "under 1 s"


def _account_plan(account: AccountPlan, styles: Styles) -> Text:
    text = Text()
    text.append("✗ " if account.refused else "● ", style=styles["alarm" if account.refused else "ok"])
    text.append(f"{short_account(account.account)} ", style=styles["dim"])
    text.append(f"{named(map(fmt.one_line, account.agents))}  ", style=styles["strong"])
    symbols = named(p.symbol for p in account.positions)
    text.append(f"{_counted(len(account.positions), 'position')}{f' ({symbols})' if symbols else ''}, ")
    text.append(f"{fmt.number(account.notional, 2)} USDT, {_counted(account.orders, 'order')}\n")
    if account.others:
        words = f"  this closes {named(map(fmt.one_line, account.others))} too: the account is shared\n"
        text.append(words, style=styles["warn"])
    if account.refused:
        text.append(f"  WILL NOT BE CLOSED: {fmt.one_line(account.refused)}\n", style=styles["alarm"])
    for doubt in account.doubts:
        text.append(f"  {fmt.one_line(doubt)}\n", style=styles["warn"])
    return text


def progress_text(view: RequestView, now: int, styles: Styles, untold: Sequence[str] = ()) -> Text:
    """How far a close-all is, account by account, or what came of it. ``untold`` are the keys of the halts
    that the database was not told of yet."""
    running, document = view.state == "running", view.document
    text = Text()
    if running:
        so_far = f" {view.done}/{view.total}" if view.total else ""
        text.append(f" CLOSING{so_far} ", style=styles["closing"])
        text.append(f"  {fmt.seconds(now - view.started_at)}\n")
    elif document.get("flat"):
        text.append(" FLAT ", style=styles["flat"])
        verified = document.get("verified_at")
        at = f"verified at the exchange at {fmt.moment(verified)}" if verified else "verified"
        text.append(f"  {at}, {_seconds(document)}\n", style=styles["ok"])
    else:
        text.append(" NOT FLAT ", style=styles["closing"])
        text.append(f"  {view.state}, {_seconds(document)}\n", style=styles["alarm"])
    if view.message:
        calm = running or document.get("flat")
        text.append(f"{fmt.one_line(view.message)}\n", style=styles["dim" if calm else "alarm"])
    for account in document.get("accounts") or ():
        text.append_text(_account_progress(account, running, styles))
    for name, words, style in (
        ("halt", _halt_words(document, untold), "dim"),
        ("journal", str(document.get("journal") or ""), "warn"),
    ):
        if words:
            text.append(f"{name}: {fmt.one_line(words)}\n", style=styles[style])
    for note in document.get("notes") or ():
        text.append(f"{fmt.one_line(str(note))}\n", style=styles["warn"])
    if document.get("incident"):
        text.append(f"incident report: {document['incident']}\n", style=styles["key"])
    return text


def _halt_words(document: Mapping[str, Any], untold: Sequence[str]) -> str:
    """What became of the halt, also after the close-all: the database may be told much later."""
    words, keys = str(document.get("halt") or ""), document.get("halt_keys") or ()
    if not keys:
        return words
    waits = any(key in untold for key in keys)
    return f"{words}; the database {'is told as soon as it can be' if waits else 'was told'}"


def _account_progress(account: Mapping[str, Any], running: bool, styles: Styles) -> Text:
    remaining = account.get("remaining") or ()
    error = str(account.get("error") or "")
    left = int(account.get("open_orders_left") or 0)
    bad = bool(error or remaining or left) and not running
    sign, style = ("✗", "alarm") if bad else ("…", "dim") if running else ("✓", "ok")
    text = Text.assemble((f"{sign} ", styles[style]))
    text.append(f"{short_account(str(account.get('account') or ''))} ", style=styles["dim"])
    agents = [fmt.one_line(str(name)) for name in account.get("agents") or ()]
    text.append(f"{named(agents)}  ", style=styles["strong"])
    closes = account.get("close_orders") or ()
    filled = sum(row.get("status") == "FILLED" for row in closes)
    words = f"{filled} of {len(closes)} closes filled, " if closes else ""
    words += f"{account.get('orders_cancelled') or 0} orders cancelled"
    text.append(f"{_counted(int(account.get('positions_before') or 0), 'position')} found, {words}\n")
    for row in remaining:
        why = f": {row['why']}" if row.get("why") else ""
        line = f"  {row.get('symbol')} {row.get('position_amt')} is open{fmt.one_line(why)}\n"
        text.append(line, style=styles["dim" if running else "alarm"])
    if left:
        text.append(f"  {left} open orders left\n", style=styles["dim" if running else "alarm"])
    if error:
        text.append(f"  {fmt.one_line(error)}\n", style=styles["warn" if running else "alarm"])
    return text


def _seconds(document: Mapping[str, Any]) -> str:
    return f"{int(document.get('elapsed_ms') or 0) / 1000:.2f} s"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

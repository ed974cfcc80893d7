"""The incident report of a close-all: every step, time, request and answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from aster_tui.domain.flatten.report import (
    STEP_NAMES,
    AccountReport,
    FlattenReport,
    counted,
    document,
    step_times,
)
from aster_tui.domain.symbols import plain

#: What it means that an account came through a step.
STEPS = {
    "keys": "its key was found",
    "read": "the exchange said what is open",
    "close": "its positions were closed",
    "cancel": "its orders were gone",
    "verify": "the exchange said that nothing is open",
    "prove": "it said so again",
}


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One request with its answer, in words without secrets: ``account`` is empty where it is for all, ``at``
    is when it began (Unix ms), ``ms`` how long it took."""

    at: int
    account: str
    request: str
    answer: str
    ms: int


def incident_document(
    report: FlattenReport, trace: Sequence[TraceLine], *, network: str, by: str
) -> dict[str, Any]:
    """The report as JSON has it: the ``close-all`` document with everything that was asked and answered."""
    return {
        "network": network,
        "by": by,
        "began_at": report.began_at,
        "symbols": list(report.symbols),
        **document(report),
        "trace": [asdict(line) for line in sorted(trace, key=lambda line: line.at)],
    }


def incident_markdown(report: FlattenReport, trace: Sequence[TraceLine], *, network: str, by: str) -> str:
    """The report for people."""
    lines = [
        f"# Close-all of {stamp(report.began_at)} UTC",
        "",
        f"**{report.message}**",
        "",
        f"- network: {network}",
        f"- asked for by: {by}",
        f"- symbols: {', '.join(report.symbols) or 'all'}",
        f"- took: {report.elapsed_ms} ms",
        f"- verified: {f'{stamp(report.verified_at)} UTC' if report.flat and report.verified_at else 'no'}",
        f"- halt: {report.halt or 'none'}",
        f"- journal: {report.journal or 'every order was written down before it was sent'}",
        *(f"- note: {note}" for note in report.notes),
        "- to let trading go on: aster-tui resume --reason WHY (with --agent NAME for one agent)",
        "",
        "## Steps",
        "",
        *table(
            ("step", "ms", "ended when, for the last account,"),
            [(row["name"], str(row["ms"]), STEPS[row["name"]]) for row in step_times(report.accounts)],
        ),
        "",
        "## Accounts",
    ]
    for account in report.accounts:
        state = account.state
        lines += [
            "",
            f"### {account.account} ({', '.join(account.agents) or 'no agent'})",
            "",
            f"{_flat_words(account)}: "
            f"{counted(state.positions_before, 'position')} before, "
            f"{counted(len(state.closes), 'closing order')} in {counted(state.rounds, 'round')}, "
            f"{counted(state.orders_cancelled, 'order')} cancelled, {state.open_orders} left open.",
        ]
        if account.marks:
            marks = ", ".join(
                f"{STEPS[name]} at {account.marks[name]} ms" for name in STEP_NAMES if name in account.marks
            )
            lines += ["", f"{marks[0].upper()}{marks[1:]}."]
        lines += ["", f"Error: {account.error}"] if account.error else []
        if state.remaining:
            rows = [(r.symbol, r.position_side, plain(r.quantity), r.why) for r in state.remaining]
            lines += ["", *table(("left", "side", "quantity", "why"), rows)]
        if state.orders_left:
            orders = [
                (
                    str(o.order_id),
                    o.client_order_id,
                    o.symbol,
                    o.side,
                    o.order_type,
                    plain(o.quantity),
                    "reduces" if o.reduces else "may add risk",
                )
                for o in state.orders_left
            ]
            lines += [
                "",
                *table(
                    ("order left open", "client order id", "symbol", "side", "type", "quantity", "kind"),
                    orders,
                ),
            ]
        if state.closes:
            closes = [
                (
                    account.client_ids.get(made.close.number, ""),
                    made.close.symbol,
                    made.close.side,
                    plain(made.close.quantity),
                    made.status,
                    plain(made.executed),
                    plain(made.average_price),
                    plain(made.close.mark),
                    made.words,
                )
                for made in state.closes
            ]
            heads = (
                "client order id",
                "symbol",
                "side",
                "quantity",
                "status",
                "executed",
                "average",
                "mark before",
                "error",
            )
            lines += ["", *table(heads, closes)]
    lines += ["", "## Everything asked and answered", ""]
    ordered = sorted(trace, key=lambda line: line.at)
    rows4 = [(stamp(t.at), t.account or "all", t.request, t.answer, str(t.ms)) for t in ordered]
    lines += table(("at (UTC)", "account", "request", "answer", "ms"), rows4)
    return "\n".join(lines) + "\n"


def _flat_words(account: AccountReport) -> str:
    if not account.flat:
        return "NOT FLAT"
    return f"flat, verified at {stamp(account.verified_at)} UTC" if account.verified_at else "flat"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    shown = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(row)} |" for row in shown),
    ]


def stamp(at: int) -> str:
    """A time (Unix ms) in UTC to the millisecond."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

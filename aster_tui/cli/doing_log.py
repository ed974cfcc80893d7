"""``aster-tui log``: orders, errors and the audit, from the database or from this machine; the audit with its
chain verified."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import click

from aster_tui.cli.doing import logging_to_file
from aster_tui.config import Settings
from aster_tui.console.format import moment
from aster_tui.domain.audit import AuditLine
from aster_tui.domain.symbols import plain
from aster_tui.exits import DONE, FAILED, UNREACHABLE

SHOWN = 200
TELL_SECONDS = 3.0


def log(settings: Settings, kind: str, agent: str | None, *, follow: bool, limit: int, as_json: bool) -> int:
    """Print a log, oldest first; with ``follow`` until it is interrupted."""
    with logging_to_file(settings):
        try:
            if kind == "audit":
                return asyncio.run(_audit(settings, follow=follow, limit=limit, as_json=as_json))
            return asyncio.run(_log(settings, kind, agent, follow=follow, limit=limit, as_json=as_json))
        except KeyboardInterrupt:
            return DONE


async def _log(
    settings: Settings, kind: str, agent: str | None, *, follow: bool, limit: int, as_json: bool
) -> int:
    from aster_tui.store.base import StoreError

    store = _store(settings)
    rows: list[dict[str, Any]] = []
    code, problem = DONE, ""
    try:
        if store is None:
            raise StoreError("no database is configured", remedy="set MONGODB_URI")
        found = await (store.recent_orders(limit) if kind == "orders" else store.recent_errors(limit))
        rows = [_plain(asdict(row)) for row in found]
    except StoreError as error:
        # This machine's own journal knows what was sent from here.
        code, problem = UNREACHABLE, str(error)
        if kind == "orders":
            rows, code = await _journal_orders(settings, limit), DONE
        click.echo(f"aster-tui: {error}; shown is what this machine knows", err=True)
    show = _printer(kind, agent, as_json)
    chosen = [row for row in rows if agent is None or (row.get("agent") or "").lower() == agent.lower()]
    if as_json and not follow:
        document = {"ok": code == DONE, "code": "done" if code == DONE else "unreachable", "message": problem}
        click.echo(json.dumps(document | {kind: chosen}, indent=1))
    else:
        for row in chosen:
            show(row)
    try:
        if follow and store is not None and code == DONE and not problem:
            await _follow(store, kind, show)
    except StoreError as error:
        click.echo(f"aster-tui: {error}", err=True)
        code = UNREACHABLE
    finally:
        if store is not None:
            await store.close()
    return code


async def _follow(store: Any, kind: str, show: Callable[[dict[str, Any]], None]) -> None:
    from aster_tui.domain.records import parse_audit, parse_error_record, parse_order_record

    parse: Any = {"orders": parse_order_record, "errors": parse_error_record, "audit": parse_audit}[kind]
    async for change in store.watch():
        if change.collection == kind and change.document is not None:
            row = parse(change.document)
            if row is not None:
                show(_plain(asdict(row)))


async def _audit(settings: Settings, *, follow: bool, limit: int, as_json: bool) -> int:
    """This machine's chains, verified also against the end the database knows."""
    from aster_tui.store.audit import chains
    from aster_tui.store.base import StoreError

    store = _store(settings)
    found: list[dict[str, Any]] = []
    lines: list[AuditLine] = []
    try:
        for path, chain, wrong in chains(settings.state_folder):
            if not wrong and chain and store is not None:
                wrong = await _cut(store, chain)
            found.append({"file": str(path), "lines": len(chain), "ok": not wrong, "wrong": wrong})
            lines += chain
        if store is not None:
            try:
                known = {line.hash for line in lines}
                lines += [line for line in await store.recent_audit(limit) if line.hash not in known]
            except StoreError as error:
                click.echo(f"aster-tui: {error}; shown is what this machine knows", err=True)
        lines.sort(key=lambda line: (line.at, line.seq))
        broken = [row for row in found if not row["ok"]]
        message = f"{len(found)} chains, {sum(row['lines'] for row in found)} lines: "
        message += f"BROKEN: {broken[0]['file']}: {broken[0]['wrong']}" if broken else "sound"
        if as_json and not follow:
            document = {"ok": not broken, "code": "failed" if broken else "done", "message": message}
            shown = [_plain(asdict(line)) for line in lines[-limit:]]
            click.echo(json.dumps(document | {"chains": found, "lines": shown}, indent=1))
        else:
            show = _printer("audit", None, as_json)
            for line in lines[-limit:]:
                show(_plain(asdict(line)))
            click.echo(message, err=True)
        if follow and store is not None:
            await _follow(store, "audit", _printer("audit", None, as_json))
        return FAILED if broken else DONE
    finally:
        if store is not None:
            await store.close()


async def _cut(store: Any, chain: list[AuditLine]) -> str:
    """Whether the database knows lines that the file has not."""
    from aster_tui.store.base import StoreError

    try:
        last = await store.last_audit(chain[-1].chain)
    except StoreError:
        return ""
    if last is None or last.seq < chain[-1].seq:
        return ""
    if last.seq > chain[-1].seq:
        return f"its end was cut: the database knows {last.seq - chain[-1].seq} more lines"
    return "" if last.hash == chain[-1].hash else "its last line is another in the database"


async def _journal_orders(settings: Settings, limit: int) -> list[dict[str, Any]]:
    from aster_tui.domain.lifecycle import as_data
    from aster_tui.store.journal import Journal

    journal = Journal(settings.state_folder)
    try:
        if not await journal.open_to_read():
            return []
        records = await journal.orders()
    finally:
        await journal.close()
    return [as_data(record) | {"at": record.intent_at} for record in records[-limit:]]


def _store(settings: Settings) -> Any:
    from aster_tui.store.mongo import connect

    if settings.mongodb_uri is None:
        return None
    uri = settings.mongodb_uri.get_secret_value()
    return connect(uri, settings.mongodb_database, writable=False, timeout_s=TELL_SECONDS)


def _printer(kind: str, agent: str | None, as_json: bool) -> Callable[[dict[str, Any]], None]:
    def show(row: dict[str, Any]) -> None:
        if agent is not None and (row.get("agent") or "").lower() != agent.lower():
            return
        click.echo(json.dumps(row) if as_json else _line(kind, row))

    return show


def _line(kind: str, row: dict[str, Any]) -> str:
    at = moment(row.get("at"))
    if kind == "orders":
        slow = f"{row['latency_ms']} ms" if row.get("latency_ms") is not None else ""
        price = row.get("average_price") or row.get("price") or ""
        return (
            f"{at}  {row['agent'] or '?':<16} {row['side']:<4} {row['quantity'] or '':>12}"
            f" {row['symbol']:<12} {row['order_type']:<20} {row['status']:<16} {price:>14} {slow}"
        )
    if kind == "errors":
        remedy = f"  → {row['remedy']}" if row["remedy"] else ""
        return f"{at}  {row['agent'] or row['source']:<16} {row['code']:<8} {row['message']}{remedy}"
    outcome = f"{row['outcome']}: {row['answer']}" if row["phase"] == "answered" else "asked"
    return f"{at}  {row['operator']} on {row['host']}  {row['title']}  {outcome}"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in row.items()}

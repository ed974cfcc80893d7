"""What an operator sets: modes, halts, syncs, preflights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aster_tui.domain.commands import Preflight, ReducePosition, SetMode, SetTrading, SyncAgents
from aster_tui.domain.controls import FLEET
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.symbols import plain
from aster_tui.domain.trading import account_key
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.feeds.sync import SyncService
from aster_tui.engine.halts import Controls
from aster_tui.engine.identity import Identity
from aster_tui.engine.operator.operator import Answer, Move, Refused, answer
from aster_tui.engine.operator.orders import OrderTasks
from aster_tui.engine.operator.preflight import Check, Checker, checks_document
from aster_tui.store.base import StoreError, StoreUnavailable
from aster_tui.store.trading import TradingStore

SYNC_SECONDS, SEEN_SECONDS, LOOK_SECONDS = 30.0, 5.0, 0.05
MakeChecker = Callable[[Callable[[Check], None]], Checker]


class ModeTasks:
    """Flips agents, halts and resumes, syncs, checks.

    Args:
        checker: makes what checks, told each check as it is made.
    """

    def __init__(
        self,
        core: Core,
        store: TradingStore | None,
        controls: Controls,
        sync: SyncService,
        orders: OrderTasks,
        checker: MakeChecker,
        who: Identity,
    ) -> None:
        self._core, self._store, self._controls = core, store, controls
        self._sync, self._orders, self._checker, self._who = sync, orders, checker, who

    async def preflight(self, asked: Preflight, move: Move) -> Answer:
        """Check everything, for these agents."""
        document = checks_document(await self._checked(self._chosen(asked.agent_ids), move))
        return Answer("done" if document["ok"] else "failed", document["message"], document)

    async def set_mode(self, asked: SetMode, move: Move) -> Answer:
        """Flip agents; to real only what passed the preflight whole."""
        if self._store is None:
            raise Refused("no database is configured: set MONGODB_URI")
        agents = [a for a in self._chosen(asked.agent_ids) if a.paper != asked.paper or a.keeps_positions]
        if not agents:
            mode = "paper" if asked.paper else "real"
            return answer("done", f"already on {mode}", agents=[])
        try:
            if asked.paper:
                return await self._to_paper(self._store, agents, asked.close_positions, move)
            return await self._to_real(self._store, agents, move)
        except StoreUnavailable as error:
            return answer("unreachable", str(error), remedy=error.remedy)
        except StoreError as error:
            return answer("failed", str(error), remedy=error.remedy)

    async def set_trading(self, asked: SetTrading, move: Move) -> Answer:
        """Halt, only reduce, or resume."""
        keys = [a.agent_id for a in self._chosen(asked.agent_ids)] if asked.agent_ids else [FLEET]
        reason = " ".join(asked.reason.split())
        if asked.state == "ACTIVE" and not reason:
            raise Refused("resuming wants a reason, for whoever reads it later")
        before = dict(self._core.state.desk.controls)
        if asked.state == "ACTIVE" and not any(key in before for key in keys):
            return answer("done", "nothing of this was halted", trading="ACTIVE")
        try:
            await asyncio.to_thread(self._controls.write, keys, asked.state, reason, self._who.operator)
        except OSError as error:
            return answer("failed", f"it could not be written down: {error}")
        self._controls.wake()
        words = {"HALTED": "halted", "REDUCING": "only reducing", "ACTIVE": "resumed"}[asked.state]
        whom = ", ".join(self._name(key) for key in keys)
        # Said aloud to everybody, also to those who are not at a screen.
        self._core.problem(
            "halt", f"{whom}: {words} by {self._who.operator}{': ' + reason if reason else ''}"
        )
        return answer("done", f"{whom}: {words}", trading=asked.state, reason=reason)

    async def sync(self, asked: SyncAgents, move: Move) -> Answer:
        """Sync agents and tell what differed."""
        real = [a for a in self._chosen(asked.agent_ids) if not a.paper]
        if not real:
            raise Refused("none of them trades for real: nothing to sync")
        since = now_ms()
        self._sync.ask(tuple(a.agent_id for a in real))
        syncs = self._core.state.syncs

        def ended(agent: AgentDocument) -> bool:
            view = syncs.get(agent.agent_id)
            if view is None or view.running:
                return False
            return bool(view.error) or (view.at is not None and view.at >= since)

        try:
            async with asyncio.timeout(SYNC_SECONDS):
                while left := [a for a in real if not ended(a)]:
                    move(f"syncing {left[0].name}", len(real) - len(left), len(real))
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            pass
        rows = [self._sync_row(agent, ended(agent)) for agent in real]
        bad = [row for row in rows if not row["ok"]]
        drift = [line for row in rows for line in row["drift"]]
        words = f"{len(rows) - len(bad)} of {len(rows)} agents synced"
        words += f"; {bad[0]['name']}: {bad[0]['error']}" if bad else ""
        words += (
            f"; drift: {drift[0]}{f' and {len(drift) - 1} more' if len(drift) > 1 else ''}" if drift else ""
        )
        return answer("failed" if bad else "done", words, agents=rows)

    # Parts

    def _chosen(self, agent_ids: tuple[str, ...]) -> list[AgentDocument]:
        agents = self._core.state.agents
        if not agent_ids:
            return sorted(agents.values(), key=lambda a: (a.paper, a.name))
        if missing := [key for key in agent_ids if key not in agents]:
            raise Refused(f"no such agent is known: {', '.join(missing)}")
        return [agents[key] for key in agent_ids]

    def _name(self, key: str) -> str:
        agent = self._core.state.agents.get(key)
        return "the fleet" if key == FLEET else agent.name if agent is not None else key

    async def _checked(self, agents: list[AgentDocument], move: Move) -> list[Check]:
        found: list[Check] = []

        def made(check: Check) -> None:
            found.append(check)
            sign = "✓" if check.ok else "✗"
            move(
                f"{sign} {check.agent + ' ' if check.agent else ''}{check.name}: {check.message}", len(found)
            )

        checker = self._checker(made)
        checks = await checker.general()
        for per_agent in await asyncio.gather(*(checker.agent(agent) for agent in agents)):
            checks += per_agent
        return checks

    async def _to_real(self, store: TradingStore, agents: list[AgentDocument], move: Move) -> Answer:
        checks = await self._checked(agents, move)
        document = checks_document(checks)
        general = [c for c in checks if not c.agent and not c.ok]
        rows: list[dict[str, Any]] = []
        for agent in agents:
            bad = general or [c for c in checks if c.agent == agent.name and not c.ok]
            if not bad:
                await store.set_paper(agent.agent_id, False)
                await store.keep_positions(agent.agent_id, False)
            why = f"{bad[0].name}: {bad[0].message}" if bad else ""
            rows.append({"name": agent.name, "ok": not bad, "mode": "paper" if bad else "real", "why": why})
        bad_rows = [row for row in rows if not row["ok"]]
        words = f"{len(rows) - len(bad_rows)} of {len(rows)} agents trade for REAL now"
        if bad_rows:
            words += f"; {bad_rows[0]['name']} stays on paper: {bad_rows[0]['why']}"
        state: Any = "refused" if bad_rows else "done"
        return answer(state, words, agents=rows, checks=document["checks"])

    async def _to_paper(
        self, store: TradingStore, agents: list[AgentDocument], close: bool, move: Move
    ) -> Answer:
        rows: list[dict[str, Any]] = []
        for agent in agents:
            held = self._held(agent)
            # On paper first: nothing new is opened while the old is closed; and watched until it is flat.
            if held:
                await store.keep_positions(agent.agent_id, True)
            await store.set_paper(agent.agent_id, True)
            await self._seen_on_paper(agent.agent_id)
            left: list[str] = []
            if close:
                for symbol in held:
                    part = ReducePosition(agent.agent_id, symbol, Decimal(1))
                    try:
                        closed = await self._orders.reduce(part, move)
                        if closed.state != "done":
                            left.append(f"{symbol}: {closed.message}")
                    except Refused as why:
                        left.append(f"{symbol}: {why}")
                if held and not left:
                    await store.keep_positions(agent.agent_id, False)
            kept = list(held) if held and not close else []
            rows.append(
                {"name": agent.name, "ok": not left, "mode": "paper", "kept": kept, "not_closed": left}
            )
        bad = [row for row in rows if not row["ok"]]
        words = (
            f"{len(rows)} agents trade on paper now"
            if len(rows) != 1
            else f"{rows[0]['name']} trades on paper now"
        )
        kept = [f"{row['name']} {', '.join(row['kept'])}" for row in rows if row["kept"]]
        words += f"; kept and watched: {'; '.join(kept)}" if kept else ""
        words += f"; NOT CLOSED: {bad[0]['name']} {bad[0]['not_closed'][0]}" if bad else ""
        return answer("failed" if bad else "done", words, agents=rows)

    def _held(self, agent: AgentDocument) -> list[str]:
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        symbols = {symbol for symbol, _ in account.positions} if account is not None else set()
        return sorted(s for s in symbols if self._orders.share(agent, s))

    async def _seen_on_paper(self, agent_id: str) -> None:
        """Until the database's change came back here, or for a while."""
        deadline = asyncio.get_running_loop().time() + SEEN_SECONDS
        agents = self._core.state.agents
        while asyncio.get_running_loop().time() < deadline:
            if (agent := agents.get(agent_id)) is None or agent.paper:
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _sync_row(self, agent: AgentDocument, ended: bool) -> dict[str, Any]:
        view = self._core.state.syncs.get(agent.agent_id)
        error = view.error if view is not None else ""
        account = self._core.state.accounts.get(account_key(agent.user_address or ""))
        return {
            "name": agent.name,
            "ok": ended and not error,
            "balance": plain(account.wallet) if account is not None and account.wallet is not None else None,
            "positions": len(account.positions) if account is not None else 0,
            "open_orders": len(account.orders) if account is not None else 0,
            "drift": list(view.drift) if view is not None and ended else [],
            "error": error or ("" if ended else "no answer in time"),
        }

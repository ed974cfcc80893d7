"""Close-all as an operator's request: the same run as the command's, on the engine's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.rest import Observer
from aster_tui.aster.venue import Venue
from aster_tui.config import Settings
from aster_tui.domain.commands import CloseAll
from aster_tui.domain.controls import FLEET
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import KnownHere
from aster_tui.domain.flatten.report import FlattenReport, document
from aster_tui.domain.fleet_views import user_feed
from aster_tui.domain.lifecycle import OrderRecord
from aster_tui.domain.symbols import symbol_among
from aster_tui.domain.views import RequestState
from aster_tui.engine.apart import apart
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.engine.flatten.incidents import keep_incident
from aster_tui.engine.flatten.run import FlattenRun
from aster_tui.engine.flatten.targets import Scope, Target, known_here, merged, scope_of
from aster_tui.engine.halts import Controls
from aster_tui.engine.identity import Identity
from aster_tui.engine.operator.operator import Answer, Move, Refused
from aster_tui.store.journal import Journal

HALT_SECONDS, INCIDENT_SECONDS = 1.0, 2.0
#: So begins what a halt on this machine says, after whom.
HALTED_HERE = "halted on this machine"
_STATES: Mapping[str, RequestState] = {
    "flat": "done",
    "left": "failed",
    "doubtful": "unknown",
    "refused": "refused",
    "unreachable": "unreachable",
}


class CloseAllTask:
    """Flattens accounts from the console.

    Args:
        environment: the variables that name addresses and keys.
        client_of: the client that reads an account, if there is one: its wallet is open already.
        on_record: told each closing order's record as it changes.
    """

    def __init__(
        self,
        core: Core,
        settings: Settings,
        environment: Mapping[str, str],
        venue: Venue,
        journal: Journal,
        controls: Controls,
        who: Identity,
        client_of: Callable[[str], Observer | None],
        on_record: Callable[[OrderRecord], None] | None = None,
    ) -> None:
        self._core, self._settings, self._environment = core, settings, environment
        self._venue, self._journal, self._controls, self._who = venue, journal, controls, who
        self._client_of, self._on_record = client_of, on_record

    async def close_all(self, asked: CloseAll, move: Move) -> Answer:
        """Close, and prove it; ends by itself, whoever looks on."""
        scope = await self._scope(asked)
        if not scope.targets:
            who = ", ".join((*scope.unknown, *scope.without_account))
            raise Refused(f"no account is known{f' of {who}' if who else ''}: nothing was closed")
        nonces = NonceSource(self._settings.state_folder / "nonces", insists=True)
        nonces.offset_ms = self._core.state.clock_offset_ms or 0

        keys = _halted(asked, scope)

        def told(report: FlattenReport) -> None:
            done = sum(account.flat for account in report.accounts)
            move(_words(report), done, len(report.accounts), document=self._document(report, keys))

        run = FlattenRun(
            self._venue,
            nonces,
            scope.targets,
            symbols=frozenset(symbol_among(symbol, self._symbols()) for symbol in asked.symbols),
            deadline_s=asked.deadline_s,
            rules=self._core.state.rules or None,
            book=FlattenBook(self._journal, on_record=self._on_record),
            halt=lambda tell: self._halt(asked, scope, keys, tell),
            on_progress=told,
        )
        for name in scope.without_account:
            run.note(f"no account is known of {name}")
        if scope.others:
            run.note(f"{', '.join(scope.others)} share these accounts: theirs is closed, too")
        try:
            report = await self._kept(run, await run.run(), keys)
        finally:
            nonces.close()
        given = self._document(report, keys)
        state = _STATES[report.ending]
        return Answer(state, report.message, {"ok": report.flat, "code": state, **given})

    async def tell_known(self) -> None:
        """Tell which accounts are closed though the database may not know them, for the panel."""
        known = await self._known_here()
        accounts = tuple((agent.name, agent.user_address) for agent in known if agent.user_address)
        self._core.emit(KnownHere(now_ms(), accounts))

    def _symbols(self) -> set[str]:
        """The symbols the exchange has, and those that are held."""
        state = self._core.state
        held = {p.symbol for account in state.accounts.values() for p in account.positions.values()}
        return held | state.rules.keys()

    async def _scope(self, asked: CloseAll) -> Scope:
        settings, state = self._settings, self._core.state
        agents: Iterable[AgentDocument] = state.agents.values()
        if not asked.agent_ids:
            # Everything is everything: also what only the environment or this machine's memory knows.
            agents = merged(await self._known_here(), agents, self._environment)
        names = [state.agents[key].name for key in asked.agent_ids if key in state.agents]
        if asked.agent_ids and len(names) != len(asked.agent_ids):
            raise Refused("no such agent is known: nothing was closed")
        scope = scope_of(agents, names, self._environment, self._venue.chain_id, settings.state_folder)
        return replace(scope, targets=tuple(self._hinted(self._opened(t)) for t in scope.targets))

    async def _known_here(self) -> tuple[AgentDocument, ...]:
        environment, settings = self._environment, self._settings
        try:
            return await apart(
                lambda: known_here(environment, settings.state_folder, settings.network), HALT_SECONDS
            )
        except (TimeoutError, OSError):  # a disk that hangs: what the engine knows is closed
            return ()

    def _opened(self, target: Target) -> Target:
        """With the wallet that its feed opened: no keystore is decrypted anew and no command asked again."""
        client = self._client_of(target.account)
        wallet = client.wallet if client is not None else None
        return target if wallet is None else replace(target, open_wallet=lambda: wallet, slow=False)

    def _hinted(self, target: Target) -> Target:
        """With what a live stream knows to be open: closing need not wait for the first reading."""
        feed = self._core.state.feeds.get(user_feed(target.account))
        account = self._core.state.accounts.get(target.key)
        if feed is None or feed.state != "live" or account is None:
            return target
        marks = self._core.state.marks
        held = (replace(p, mark_price=marks.get(p.symbol, p.mark_price)) for p in account.positions.values())
        return replace(target, hints=tuple(held))

    async def _halt(
        self, asked: CloseAll, scope: Scope, keys: list[str], tell: Callable[[str], None]
    ) -> None:
        names = ", ".join(agent.name for target in scope.targets for agent in target.agents)
        whom = f"{names}:" if asked.agent_ids else "the fleet is"
        try:
            await apart(
                lambda: self._controls.write(keys, "HALTED", "close-all", self._who.operator), HALT_SECONDS
            )
        except (OSError, TimeoutError) as error:
            tell(f"{whom} NOT halted on this machine ({str(error) or 'the disk did not answer'})")
            return
        self._controls.wake()
        alone = "" if self._controls.shared else "; no database is configured, so no other machine knows"
        tell(f"{whom} {HALTED_HERE}{alone}")

    def _document(self, report: FlattenReport, keys: list[str]) -> dict[str, Any]:
        """The document of a report; ``halt_keys`` are those of the halt that the database is told of too,
        now or later: whether it was, the snapshot says."""
        shared = (
            self._controls.shared and HALTED_HERE in report.halt and f"NOT {HALTED_HERE}" not in report.halt
        )
        return {**document(report), "halt_keys": keys if shared else []}

    async def _kept(self, run: FlattenRun, report: FlattenReport, keys: list[str]) -> FlattenReport:
        told = report
        if self._document(report, keys)["halt_keys"]:
            waits = set(keys) & set(self._core.state.desk.untold)
            words = "the database was not told by then" if waits else "the database was told"
            told = replace(report, halt=f"{report.halt}; {words}")

        def keep() -> str:
            by = f"{self._who.operator} at {self._who.host}"
            folder, network = self._settings.state_folder, self._core.state.network
            return str(keep_incident(folder, told, run.trace, network=network, by=by, name=run.run_id))

        try:
            return replace(report, incident=await apart(keep, INCIDENT_SECONDS))
        except (OSError, TimeoutError) as error:
            words = f"the incident report was not written: {str(error) or 'the disk did not answer'}"
            return replace(report, notes=(*report.notes, words))


def _halted(asked: CloseAll, scope: Scope) -> list[str]:
    if not asked.agent_ids:
        return [FLEET]
    return [agent.agent_id for target in scope.targets for agent in target.agents]


def _words(report: FlattenReport) -> str:
    left: list[Any] = [row for account in report.accounts for row in account.state.remaining]
    done = sum(account.flat for account in report.accounts)
    return f"{done} of {len(report.accounts)} accounts flat, {len(left)} positions left"

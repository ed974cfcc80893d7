"""One feed per exchange account: its user stream, and a snapshot whenever the stream began anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aster_tui.aster.errors import AsterError
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.rest import Observer
from aster_tui.aster.signing import Signer
from aster_tui.aster.streams import UserStream
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import (
    AgentChanged,
    AgentRemoved,
    AgentsLoaded,
    Event,
    FeedHeard,
)
from aster_tui.domain.fleet_views import user_feed
from aster_tui.domain.trading import account_key
from aster_tui.domain.views import FeedState
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.keys import AgentKeys, KeyProblem, check_signer, find_keys
from aster_tui.engine.supervise import Tasks, keep_running

SNAPSHOT_RETRY_SECONDS = 3.0
#: How long the first snapshot waits for the stream.
FIRST_SNAPSHOT_SECONDS = 1.0


class AccountFeed:
    """Follows one account until cancelled."""

    def __init__(self, core: Core, client: Observer, account: str, agent: str) -> None:
        self._core = core
        self.client = client
        self.account = account_key(account)
        self.name = user_feed(account)
        self._agent = agent
        self._wanted = asyncio.Event()
        self._asked = False
        self._stream = UserStream(
            client,
            account=account,
            on_event=core.emit,
            on_state=self._state,
            on_connected=self._want,
            on_heard=lambda: core.emit(FeedHeard(self.name, now_ms())),
            on_problem=lambda message, raw: core.problem("stream", message, agent=agent, raw=raw),
        )

    async def run(self) -> None:
        """Until cancelled: the stream, and the snapshots that close its gaps."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stream.run())
            tasks.create_task(self._snapshots())
            # Usually the stream connects first and asks for the snapshot; one snapshot is enough then.
            await asyncio.sleep(FIRST_SNAPSHOT_SECONDS)
            if not self._asked:
                self._want()

    def _want(self) -> None:
        self._asked = True
        self._wanted.set()

    async def _snapshots(self) -> None:
        failing = ""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                self._core.emit(await self.client.account_snapshot())
                failing = ""
            except AsterError as error:
                if error.message != failing:
                    failing = error.message
                    self._core.problem(
                        "exchange",
                        f"account {self.name.removeprefix('user:')} cannot be read: {error.message}",
                        agent=self._agent,
                        code=error.code,
                        remedy=error.remedy,
                        raw=error.raw,
                    )
                self._core.settle(self.name)
                await asyncio.sleep(SNAPSHOT_RETRY_SECONDS)
                self._wanted.set()
            self._core.settle(self.name)

    def _state(self, state: FeedState, detail: str) -> None:
        known = self._core.state.feeds.get(self.name)
        if state == "down" and (known is None or known.state != "down"):
            self._core.problem("stream", f"user stream: {detail}", agent=self._agent)
        self._core.feed(self.name, state, detail)


@dataclass(slots=True)
class _Running:
    feed: AccountFeed
    identity: tuple[str, ...]


class AccountFeeds:
    """Starts and ends account feeds as agents become real or paper, change their wallet, come or go."""

    def __init__(
        self,
        core: Core,
        venue: Venue,
        environment: Mapping[str, str],
        *,
        no_keys: bool,
        on_weight: Callable[[int], None],
        nonces: NonceSource,
    ) -> None:
        self._core = core
        self._venue = venue
        self._environment = environment
        self._no_keys = no_keys
        self._on_weight = on_weight
        self._nonces = nonces
        self._tasks = Tasks(core)
        self._running: dict[str, _Running] = {}
        self._told: set[str] = set()
        self._changed = asyncio.Event()

    def listen(self, event: Event) -> None:
        """Look again whenever agents changed."""
        if isinstance(event, AgentsLoaded | AgentChanged | AgentRemoved):
            self._changed.set()
            if isinstance(event, AgentsLoaded) and not self._no_keys:
                for account in self._accounts():
                    if account not in self._running:
                        self._core.expect(user_feed(account))

    def client(self, account: str) -> Observer | None:
        """The client that reads an account, if its feed runs."""
        running = self._running.get(account_key(account))
        return running.feed.client if running else None

    async def run(self) -> None:
        """Until cancelled; ends every feed on the way out."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._reconcile()
        finally:
            await self._tasks.close()
            for running in self._running.values():
                await running.feed.client.aclose()
            self._running.clear()

    def _accounts(self) -> dict[str, AgentDocument]:
        """Accounts of real agents, each with the first of its agents by name."""
        found: dict[str, AgentDocument] = {}
        for agent in sorted(self._core.state.agents.values(), key=lambda a: a.name):
            if not agent.paper and agent.user_address:
                found.setdefault(account_key(agent.user_address), agent)
        return found

    async def _reconcile(self) -> None:
        wanted = self._accounts()
        for account in [a for a in self._running if a not in wanted]:
            await self._end(account, "no real agent uses it")
        for account, agent in wanted.items():
            await self._follow(account, agent)

    async def _follow(self, account: str, agent: AgentDocument) -> None:
        name = user_feed(account)
        if self._no_keys:
            self._core.feed(name, "off", "no keys are loaded")
            return
        try:
            keys = find_keys(agent, self._environment)
            signer = Signer(keys.key, self._venue.chain_id)
            check_signer(agent.name, keys.signer, signer.address)
        except KeyProblem as problem:
            if account in self._running:
                await self._end(account, str(problem))
            self._core.feed(name, "off", str(problem))
            if str(problem) not in self._told:
                self._told.add(str(problem))
                self._core.problem("keys", str(problem), agent=agent.name)
            self._core.settle(name)
            return
        identity = (keys.user, signer.address)
        running = self._running.get(account)
        if running is not None and running.identity != identity:
            await self._end(account, "its wallet changed")
            running = None
        if running is None:
            self._start(account, agent, keys, signer, identity)

    def _start(
        self, account: str, agent: AgentDocument, keys: AgentKeys, signer: Signer, identity: tuple[str, ...]
    ) -> None:
        client = Observer(
            self._venue, Wallet(keys.user, signer), nonces=self._nonces, on_weight=self._on_weight
        )
        feed = AccountFeed(self._core, client, account, agent.name)
        self._running[account] = _Running(feed, identity)
        self._core.feed(feed.name, "down", "connecting")
        self._tasks.start(account, keep_running(self._core, feed.name, feed.run))

    async def _end(self, account: str, why: str) -> None:
        running = self._running.pop(account)
        await self._tasks.end(account)
        await running.feed.client.aclose()
        self._core.feed(running.feed.name, "off", why)

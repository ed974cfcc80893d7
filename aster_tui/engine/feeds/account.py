"""One feed per exchange account: its user stream, and a snapshot whenever the stream began anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aster_tui.aster.errors import AsterError
from aster_tui.aster.gate import Priority
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.rest import Observer
from aster_tui.aster.signing import Signer
from aster_tui.aster.streams import UserStream
from aster_tui.aster.trader import Trader
from aster_tui.aster.venue import Venue, Wallet
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.events import (
    AgentChanged,
    AgentRemoved,
    AgentsLoaded,
    Event,
    FeedHeard,
    StreamMissed,
    StreamOpened,
)
from aster_tui.domain.fleet_views import user_feed
from aster_tui.domain.trading import account_key
from aster_tui.domain.views import FeedState
from aster_tui.engine.core import Core, now_ms
from aster_tui.engine.key_sources import KeyProblem
from aster_tui.engine.keys import AgentKeys, check_signer, find_keys
from aster_tui.engine.supervise import Tasks, keep_running

SNAPSHOT_RETRY_SECONDS = 3.0
#: How long the first snapshot waits for the stream.
FIRST_SNAPSHOT_SECONDS = 1.0
#: How long after a snapshot the stream may still come with what it showed.
GRACE_MS = 3_000
#: How often the account is read to compare, if nobody else read it, and while the stream is known silent.
COMPARE_SECONDS, DEGRADED_POLL_SECONDS = 30.0, 5.0
#: After this many polls that found nothing missed, an opened stream counts as telling again.
QUIET_POLLS = 2
#: A silent stream is not opened anew more often than this: each time costs a whole snapshot.
REOPEN_SECONDS = 60.0


class AccountFeed:
    """Follows one account until cancelled.

    A stream that is open and does not tell is caught by comparing it with what the REST API knows: when a
    snapshot shows a change that the stream has not told a moment later, the stream counts as stale, it is
    opened anew, and the account is polled until it tells again or nothing more is missed.
    """

    def __init__(self, core: Core, client: Observer, account: str, agent: str) -> None:
        self._core = core
        self.client = client
        self.account = account_key(account)
        self.name = user_feed(account)
        self._agent = agent
        self._wanted = asyncio.Event()
        self._asked = False
        self._anew = asyncio.Event()
        self._missed = ""
        self._quiet_polls = 0
        self._reopened_at = -REOPEN_SECONDS
        self._stream = UserStream(
            client,
            account=account,
            on_event=self._told,
            on_state=self._state,
            on_connected=self._connected,
            on_heard=lambda: core.emit(FeedHeard(self.name, now_ms())),
            on_problem=lambda message, raw: core.problem("stream", message, agent=agent, raw=raw),
        )

    async def run(self) -> None:
        """Until cancelled: the stream, and the snapshots that close its gaps."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._streaming())
            tasks.create_task(self._snapshots())
            tasks.create_task(self._compare())
            # Usually the stream connects first and asks for the snapshot; one snapshot is enough then.
            await asyncio.sleep(FIRST_SNAPSHOT_SECONDS)
            if not self._asked:
                self._want()

    async def _streaming(self) -> None:
        """The stream, opened anew whenever it was caught silent."""
        while True:
            self._anew.clear()
            stream = asyncio.create_task(self._stream.run())
            again = asyncio.create_task(self._anew.wait())
            try:
                await asyncio.wait({stream, again}, return_when="FIRST_COMPLETED")
                if stream.done():
                    return stream.result()
            finally:
                for task in (stream, again):
                    task.cancel()
                await asyncio.wait({stream, again})

    def _connected(self) -> None:
        server_now = now_ms() + self.client.clock_offset_ms
        self._core.emit(StreamOpened(self.account, server_now))
        self._want()

    def _want(self) -> None:
        self._asked = True
        self._wanted.set()

    def _told(self, event: Event) -> None:
        self._core.emit(event)
        if self._missed:
            self._healed()

    async def _snapshots(self) -> None:
        failing = ""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._snapshot(open_orders=True)
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

    async def _snapshot(self, *, open_orders: bool) -> None:
        self._core.emit(await self.client.account_snapshot(open_orders=open_orders))

    async def _compare(self) -> None:
        """Look every second whether the stream missed something, and poll: now and then to catch it, often
        while it is known to be silent, and when its events leave open which was the later."""
        loop = asyncio.get_running_loop()
        polled_at = -DEGRADED_POLL_SECONDS
        while True:
            await asyncio.sleep(1)
            state = self._core.state.accounts.get(self.account)
            if state is None or not state.told_at:
                continue
            server_now = now_ms() + self.client.clock_offset_ms
            if missed := state.missed(server_now, GRACE_MS):
                self._caught(", ".join(missed), server_now)
            every = DEGRADED_POLL_SECONDS if self._missed else COMPARE_SECONDS
            unclear = state.unclear and loop.time() - polled_at > DEGRADED_POLL_SECONDS
            if unclear or server_now - state.told_at >= every * 1000:
                polled_at = loop.time()
                await self._poll()

    async def _poll(self) -> None:
        try:
            await self._snapshot(open_orders=False)
        except AsterError:
            return  # the exchange's own feed says what is wrong
        if self._missed:
            self._quiet_polls += 1
            if self._quiet_polls > QUIET_POLLS:
                self._healed()

    def _caught(self, what: str, server_now: int) -> None:
        often = f"{DEGRADED_POLL_SECONDS:.0f} s"
        detail = f"the stream did not tell of {what}: the account is polled every {often}"
        if not self._missed:
            remedy = "the stream is opened anew; what is shown comes from polling until it tells again"
            self._core.problem("stream", f"user stream: {detail}", agent=self._agent, remedy=remedy)
        self._missed, self._quiet_polls = detail, 0
        self._core.emit(StreamMissed(self.account, server_now))
        self._core.feed(self.name, "stale", detail)
        now = asyncio.get_running_loop().time()
        if now - self._reopened_at > REOPEN_SECONDS:
            self._reopened_at = now
            self._anew.set()

    def _healed(self) -> None:
        self._missed = ""
        known = self._core.state.feeds.get(self.name)
        if known is not None and known.state == "stale":
            self._core.feed(self.name, "live")

    def _state(self, state: FeedState, detail: str) -> None:
        known = self._core.state.feeds.get(self.name)
        if state == "down" and (known is None or known.state != "down") and not self._missed:
            self._core.problem("stream", f"user stream: {detail}", agent=self._agent)
        if state == "live" and self._missed:
            state, detail = "stale", self._missed  # open again is not yet telling again
        self._core.feed(self.name, state, detail)


@dataclass(slots=True)
class _Running:
    feed: AccountFeed
    identity: tuple[str, ...]
    agent: tuple[str | None, ...]


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
        trading: bool = False,
        state_folder: Path | None = None,
    ) -> None:
        self._core = core
        self._venue = venue
        self._environment = environment
        self._no_keys = no_keys
        self._on_weight = on_weight
        self._nonces = nonces
        self._trading = trading
        self._state_folder = state_folder
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

    def trader(self, account: str) -> Trader | None:
        """The client that trades on an account, if its feed runs and something may be changed here."""
        client = self.client(account)
        if not isinstance(client, Trader):
            return None
        state = self._core.state
        client.rules, client.marks = state.rules or None, state.marks
        known = state.accounts.get(account_key(account))
        client.open_orders_of = known.open_of if known is not None else None
        return client

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
            if agent.on_account and agent.user_address:
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
        running = self._running.get(account)
        if running is not None and running.agent == _identity(agent):
            return  # a balance changed, or a thought: no keystore is decrypted and no command asked for that
        try:
            # On a thread: a keystore takes a second to open, a command or a keyring may take longer.
            keys = await asyncio.to_thread(find_keys, agent, self._environment, self._state_folder)
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
        if running is not None:
            running.agent = _identity(agent)
        else:
            self._start(account, agent, keys, signer, identity)

    def _start(
        self, account: str, agent: AgentDocument, keys: AgentKeys, signer: Signer, identity: tuple[str, ...]
    ) -> None:
        # Read-only is a type: where nothing may be changed there is no client that could.
        kind = Trader if self._trading else Observer
        client = kind(
            self._venue,
            Wallet(keys.user, signer),
            nonces=self._nonces,
            on_weight=self._on_weight,
            priority=Priority.SYNC,
        )
        feed = AccountFeed(self._core, client, account, agent.name)
        self._running[account] = _Running(feed, identity, _identity(agent))
        self._core.feed(feed.name, "down", "connecting")
        self._tasks.start(account, keep_running(self._core, feed.name, feed.run))

    async def _end(self, account: str, why: str) -> None:
        running = self._running.pop(account)
        await self._tasks.end(account)
        await running.feed.client.aclose()
        self._core.feed(running.feed.name, "off", why)


def _identity(agent: AgentDocument) -> tuple[str | None, ...]:
    """What decides which wallet an agent has."""
    return agent.agent_id, agent.name, agent.user_address, agent.signer_address

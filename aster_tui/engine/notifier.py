"""Tells a person who is not at the screen, through apprise: mail, Slack, Telegram, webhooks and many more.

Lines of a few seconds become one message, and no more than a few messages a minute leave: what comes faster
is counted. A notifier that fails is a line in the errors pane, never a blocked order; what a receiver did not
take is told to it again, later and with its time, until it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from aster_tui.domain.events import Control, ControlsChanged, ErrorRaised, Event
from aster_tui.engine.core import Core, now_ms
from aster_tui.store.base import StoreError
from aster_tui.store.journal import Journal

log = structlog.get_logger(__name__)

#: Parts whose lines are worth waking somebody for and that one process alone sees. The notifier's own are not
#: among them: that would go round for ever.
OURS = frozenset({"decision", "safeguard", "naked", "worker", "dead-man", "sync", "drift", "journal"})
#: Parts whose lines every process of this machine sees: one of them tells.
SEEN_BY_ALL = frozenset({"exchange", "stream", "marks", "mongo", "keys"})
#: A feed that comes back by itself this soon is nobody's business.
LOST_SECONDS = 10.0
GROUP_SECONDS, LOOK_SECONDS = 3.0, 1.0
#: How long the last message may take when the process ends.
LAST_SECONDS = 2.5
MOST_A_MINUTE = 6
MOST_LINES = 20
SEND_SECONDS = 20.0
#: What was not taken is told again, one message at a time, this often; of very many the latest.
AGAIN_SECONDS, KEPT = 10.0, 50
TURN, TURN_MS = "notifier", 15_000

#: Tells (the message's number, title, body) whoever has not taken that number before.
Send = Callable[[int, str, str], bool]


class Notifier:
    """Groups alarms and sends them.

    Args:
        send: says whether every receiver has taken it; blocks, so it runs on a thread.
        journal: several processes of a machine see the same; one of them tells.
    """

    def __init__(self, core: Core, send: Send, journal: Journal | None, *, network: str) -> None:
        self._core = core
        self._send = send
        self._journal = journal
        self._network = network
        #: Each with whether all processes see it.
        self._lines: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self._sent: deque[float] = deque(maxlen=MOST_A_MINUTE)
        self._failing = False
        self._number = 0
        #: Messages that not everybody took: (number, title, body, when).
        self._again: deque[tuple[int, str, str, float]] = deque(maxlen=KEPT)
        self._controls: Mapping[str, Control] = {}
        self._started_at = now_ms()
        self._lost: set[str] = set()

    def listen(self, event: Event) -> None:
        """Take an event; nothing is waited for here."""
        if isinstance(event, ErrorRaised) and not event.recorded_at:
            if event.source in OURS or event.source in SEEN_BY_ALL:
                self._lines.put_nowait((event.message, event.source in SEEN_BY_ALL))
        elif isinstance(event, ControlsChanged):
            for line in self._halts(event):
                self._lines.put_nowait((line, True))

    async def run(self) -> None:
        """Until cancelled; what is known by then is still told."""
        beside = [asyncio.create_task(self._look()), asyncio.create_task(self._repeat())]
        try:
            while True:
                lines = [await self._lines.get()]
                try:
                    await asyncio.sleep(GROUP_SECONDS)
                    await self._wait_for_room()
                finally:
                    lines += self._rest()
                    if (task := asyncio.current_task()) is not None and task.cancelling():
                        await self._last(lines)
                await self._deliver(lines)
        finally:
            for task in beside:
                task.cancel()
            await self._last(self._rest())

    def _rest(self) -> list[tuple[str, bool]]:
        found = []
        while not self._lines.empty():
            found.append(self._lines.get_nowait())
        return found

    async def _last(self, lines: list[tuple[str, bool]]) -> None:
        """A command that ends at once has something to tell, too."""
        if lines:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._deliver(lines)

    async def _deliver(self, lines: list[tuple[str, bool]]) -> None:
        mine = lines
        if self._journal is not None and any(shared for _, shared in lines):
            try:
                if not await self._journal.take_turn(TURN, now_ms(), TURN_MS):
                    mine = [line for line in lines if not line[1]]
            except StoreError:
                pass  # told twice is better than not at all
        if mine:
            await self._tell([text for text, _ in mine])

    async def _look(self) -> None:
        """Tell of feeds that are lost for a while, and of their return."""
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for name, feed in [*self._core.state.feeds.items()]:
                if feed.state not in ("down", "stale"):
                    since.pop(name, None)
                    if name in self._lost:
                        self._lost.discard(name)
                        self._lines.put_nowait((f"the feed {name} is {feed.state} again", True))
                elif now - since.setdefault(name, now) >= LOST_SECONDS and name not in self._lost:
                    self._lost.add(name)
                    self._lines.put_nowait((f"the feed {name} is {feed.state}: {feed.detail}", True))

    def _halts(self, event: ControlsChanged) -> list[str]:
        """What persons stopped or let go since; what was so at the start is no news."""
        before, self._controls = self._controls, dict(event.controls)
        found = []
        for key in sorted({*event.controls, *before}):
            now = event.controls.get(key)
            if now == before.get(key):
                continue
            agent = self._core.state.agents.get(key)
            name = agent.name if agent is not None else f"the {key}"
            if now is None:
                found.append(f"{name} may trade again")
            elif now.at >= self._started_at:
                who = f" (by {now.by})" if now.by else ""
                found.append(f"{name} is {now.state}{': ' + now.reason if now.reason else ''}{who}")
        return found

    async def _wait_for_room(self) -> None:
        if len(self._sent) == MOST_A_MINUTE:
            await asyncio.sleep(max(0.0, 60 - (time.monotonic() - self._sent[0])))

    async def _tell(self, lines: Sequence[str]) -> None:
        counted = Counter(lines)
        shown = [f"{line} (×{count})" if count > 1 else line for line, count in counted.items()]
        if len(shown) > MOST_LINES:
            shown = [*shown[:MOST_LINES], f"… and {len(shown) - MOST_LINES} more"]
        title = f"aster-tui {self._network}: {shown[0][:80]}"
        self._sent.append(time.monotonic())
        self._number += 1
        number, body, at = self._number, "\n".join(shown), time.time()
        if not await self._hand_over(number, title, body):
            self._again.append((number, title, body, at))

    async def _repeat(self) -> None:
        """Tell again what was not taken, the oldest first."""
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            if not self._again:
                continue
            number, title, body, at = waiting = self._again[0]
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
            if await self._hand_over(number, title, f"{body}\n(of {when}, could not be told before)"):
                with contextlib.suppress(ValueError):  # too many came meanwhile
                    self._again.remove(waiting)

    async def _hand_over(self, number: int, title: str, body: str) -> bool:
        """Whether every receiver has it."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                taken = await asyncio.to_thread(self._send, number, title, body)
        except TimeoutError:
            self._failed("no answer in time")
            return False
        except Exception as error:  # apprise's plugins raise what they like
            self._failed(type(error).__name__)
            return False
        if not taken:
            self._failed("a receiver did not take it")
            return False
        self._failing = False
        return True

    def _failed(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            self._core.problem(
                "notifier",
                f"the alarm was not delivered: {why}",
                remedy="look at the setting notify; it is tried again, and this pane has it all the same",
            )


def apprise_sender(urls: Sequence[str]) -> Send:
    """Sends to every address of a list, as apprise writes them; to each once."""
    taken: dict[int, set[int]] = {}
    one_at_a_time = threading.Lock()  # a thread that nobody waits for any more may still be at it

    def send(number: int, title: str, body: str) -> bool:
        import apprise  # 0.1 s, and only where somebody is to be told

        with one_at_a_time:
            done = taken.setdefault(number, set())
            for place, url in enumerate(urls):
                receiver = apprise.Apprise()
                if place not in done and receiver.add(url) and receiver.notify(title=title, body=body):
                    done.add(place)
            # One that everybody took is asked for no more, but by who gave it up for lost.
            for old in [*taken][: -2 * KEPT]:
                del taken[old]
            return len(done) == len(urls)

    return send

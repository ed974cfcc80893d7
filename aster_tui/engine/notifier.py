"""Tells a person who is not at the screen, through apprise: mail, Slack, Telegram, webhooks and many more.

Lines of a few seconds become one message, and no more than a few messages a minute leave: what comes faster
is counted. A notifier that fails is a line in the errors pane, never a blocked order.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

import structlog

from aster_tui.domain.events import ErrorRaised, Event
from aster_tui.engine.core import Core, now_ms
from aster_tui.store.journal import Journal

log = structlog.get_logger(__name__)

#: Parts whose lines are worth waking somebody for. The notifier's own are not: that would go round for ever.
SOURCES = frozenset(
    {
        "decision",
        "safeguard",
        "naked",
        "halt",
        "worker",
        "exchange",
        "stream",
        "marks",
        "mongo",
        "sync",
        "keys",
    }
)
GROUP_SECONDS = 3.0
MOST_A_MINUTE = 6
MOST_LINES = 20
SEND_SECONDS = 20.0
TURN, TURN_MS = "notifier", 15_000

Send = Callable[[str, str], bool]


class Notifier:
    """Groups alarms and sends them.

    Args:
        send: sends (title, body) and says whether every receiver took it; blocks, so it runs on a thread.
        journal: several processes of a machine see the same; one of them tells.
    """

    def __init__(self, core: Core, send: Send, journal: Journal | None, *, network: str) -> None:
        self._core = core
        self._send = send
        self._journal = journal
        self._network = network
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._sent: deque[float] = deque(maxlen=MOST_A_MINUTE)
        self._failing = False

    def listen(self, event: Event) -> None:
        """Take an event; nothing is waited for here."""
        if isinstance(event, ErrorRaised) and event.source in SOURCES and not event.recorded_at:
            self._lines.put_nowait(event.message)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            lines = [await self._lines.get()]
            await asyncio.sleep(GROUP_SECONDS)
            await self._wait_for_room()
            while not self._lines.empty():
                lines.append(self._lines.get_nowait())
            if self._journal is None or await self._journal.take_turn(TURN, now_ms(), TURN_MS):
                await self._tell(lines)

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
        try:
            async with asyncio.timeout(SEND_SECONDS):
                taken = await asyncio.to_thread(self._send, title, "\n".join(shown))
        except TimeoutError:
            return self._failed("no answer in time")
        except Exception as error:  # apprise's plugins raise what they like
            return self._failed(type(error).__name__)
        if not taken:
            return self._failed("a receiver did not take it")
        self._failing = False
        return None

    def _failed(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            self._core.problem(
                "notifier",
                f"the alarm was not delivered: {why}",
                remedy="look at the setting notify; what is wrong is in this pane all the same",
            )


def apprise_sender(urls: Sequence[str]) -> Send:
    """Sends to every address of a list, as apprise writes them."""

    def send(title: str, body: str) -> bool:
        import apprise  # 0.1 s, and only where somebody is to be told

        receiver = apprise.Apprise()
        known = [receiver.add(url) for url in urls]
        return bool(all(known) and receiver.notify(title=title, body=body))

    return send

"""``aster-tui close-all``: flatten, and prove it. It needs no database, no console and no screen.

It begins with what this machine knows and adds what the database knows when that answers. A terminal that
hangs or is gone holds nothing up: what is said on the way is said by a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import click

from aster_tui import logs
from aster_tui.aster.errors import AsterError
from aster_tui.aster.gate import Priority
from aster_tui.aster.nonces import NonceSource
from aster_tui.aster.rest import Observer
from aster_tui.aster.venue import Venue
from aster_tui.cli.flatten_beside import DATABASE_SECONDS, DISK_SECONDS, DISK_SILENT, Audit, Halting
from aster_tui.cli.voice import Voice, typed_line
from aster_tui.config import Settings, agent_environment
from aster_tui.domain.documents import AgentDocument
from aster_tui.domain.flatten.report import AccountReport, FlattenReport, counted, document
from aster_tui.domain.symbols import plain, symbol_among, symbol_of
from aster_tui.engine.apart import apart
from aster_tui.engine.flatten.book import FlattenBook
from aster_tui.engine.flatten.database import DatabaseProblem, DatabaseProcess
from aster_tui.engine.flatten.incidents import keep_incident
from aster_tui.engine.flatten.preview import AccountPreview, preview
from aster_tui.engine.flatten.run import FlattenRun
from aster_tui.engine.flatten.targets import Scope, Target, known_here, merged, scope_of
from aster_tui.engine.identity import identity
from aster_tui.exits import DONE, FAILED, REFUSED, UNKNOWN, UNREACHABLE, USAGE
from aster_tui.store.journal import Journal

EXITS = {"flat": DONE, "left": FAILED, "doubtful": UNKNOWN, "refused": REFUSED, "unreachable": UNREACHABLE}
#: How long the exchange is asked whether it has the symbols that were named.
SYMBOLS_SECONDS = 1.5
#: How long the question waits for the accounts that only the database knows.
CONFIRM_SECONDS = 1.5
WORD = "close"


def close_all(
    settings: Settings,
    names: tuple[str, ...],
    symbols: tuple[str, ...],
    deadline_s: float | None,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """Flatten everything, or agents' accounts, or symbols; returns the exit code."""
    voice = Voice()
    if settings.watching:
        return _refused(voice, "read-only: nothing was closed", REFUSED, "refused", as_json)
    if not yes and not sys.stdin.isatty():
        return _refused(voice, "without a terminal this wants --yes", USAGE, "usage", as_json)
    command = CloseAll(settings, names, symbols, deadline_s, voice)
    with _logging(settings):
        code = asyncio.run(command.run(yes=yes, as_json=as_json))
    if command.hangs:
        # Threads that wait for the disk or for a name server would hold up the end.
        sys.stdout.flush()
        os._exit(code)
    return code


class Lookups(ThreadPoolExecutor):
    """Where the loop has names looked up: room for every connection, and nobody waits for those that hang."""

    def __init__(self) -> None:
        super().__init__(max_workers=64, thread_name_prefix="lookup")
        self.under_way: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin one."""
        future = super().submit(fn, *args, **kwargs)
        self.under_way.add(future)
        future.add_done_callback(self.under_way.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more; whatever is asked, wait for none."""
        super().shutdown(wait=False, cancel_futures=True)


class CloseAll:
    """One run of the command."""

    def __init__(
        self,
        settings: Settings,
        names: tuple[str, ...],
        symbols: tuple[str, ...],
        deadline_s: float | None,
        voice: Voice,
    ) -> None:
        self._settings, self._names = settings, names
        self._asked_symbols, self._symbols = symbols, frozenset(map(symbol_of, symbols))
        self._deadline_s, self._voice = deadline_s, voice
        self._environment = agent_environment()
        self._who = identity()
        self._database: DatabaseProcess | None = None
        self._asking: asyncio.Task[tuple[AgentDocument, ...]] | None = None
        self._notes: list[str] = []
        self._lookups = Lookups()
        self._disk_hangs = False

    @property
    def hangs(self) -> bool:
        """Whether something is under way that may never end."""
        return self._disk_hangs or bool(self._lookups.under_way)

    async def run(self, *, yes: bool, as_json: bool) -> int:
        """Close; returns the exit code."""
        asyncio.get_running_loop().set_default_executor(self._lookups)
        settings = self._settings
        if settings.mongodb_uri is not None:
            uri = settings.mongodb_uri.get_secret_value()
            self._database = DatabaseProcess(uri, settings.mongodb_database, settings.state_folder)
            self._asking = asyncio.create_task(self._ask_database(self._database))
        try:
            here = known_here(self._environment, settings.state_folder, settings.network)
            scope = self._scope(here)
            if self._asking is not None:
                if scope.unknown or not scope.targets:
                    await self._asking  # only the database may know them
                elif not yes:
                    # Somebody reads first: what is confirmed is what will be closed.
                    await asyncio.wait({self._asking}, timeout=CONFIRM_SECONDS)
                if self._asking.done():
                    scope = self._scope(merged(here, self._asking.result(), self._environment))
            problem, code = self._wrong(scope)
            if not problem and (unknown := await self._unknown_symbols()):
                problem, code = f"the exchange has no {', '.join(unknown)}: nothing was closed", USAGE
            if problem:
                word = {USAGE: "usage", REFUSED: "refused"}.get(code, "unreachable")
                return _refused(self._voice, problem, code, word, as_json)
            if not yes and not await self._confirmed(scope):
                return _refused(
                    self._voice, "it was not confirmed: nothing was closed", REFUSED, "refused", as_json
                )
            report = await self._flatten(scope, here)
        finally:
            if self._asking is not None:
                self._asking.cancel()
            if self._database is not None:
                await self._database.close()
        return _told(report, self._voice, as_json)

    # Who

    def _scope(self, agents: Iterable[AgentDocument]) -> Scope:
        settings = self._settings
        return scope_of(agents, self._names, self._environment, settings.chain_id, settings.state_folder)

    def _wrong(self, scope: Scope) -> tuple[str, int]:
        if scope.unknown:
            known = f"known are {', '.join(scope.known) or 'none'}"
            problem = f"no real agent is called {', '.join(scope.unknown)}: nothing was closed; {known}"
            if self._notes:  # it may be one that only the database knows
                return f"{problem}; {'; '.join(self._notes)}", UNREACHABLE
            return problem, USAGE
        if scope.targets:
            return "", DONE
        if scope.without_account:
            who = ", ".join(scope.without_account)
            return f"no account is known of {who}: set AGENT_<NAME>_USER; nothing was closed", REFUSED
        if self._notes:
            return f"no account is known here, and {'; '.join(self._notes)}", UNREACHABLE
        return "no account is known: set AGENT_<NAME>_USER and its key, or MONGODB_URI", REFUSED

    async def _unknown_symbols(self) -> list[str]:
        """The chosen symbols that the exchange does not have, as far as it says so soon: "flat" of a mistyped
        one would be believed."""
        if not self._symbols:
            return []
        asking = Observer(self._venue(), timeout_s=SYMBOLS_SECONDS, priority=Priority.EMERGENCY, read_tries=1)
        try:
            async with asyncio.timeout(SYMBOLS_SECONDS):
                info = await asking.exchange_info()
        except (AsterError, TimeoutError):
            return []
        finally:
            await asking.aclose()
        known = {*info.rules, *info.unreadable}
        self._symbols = frozenset(symbol_among(name, known) for name in self._asked_symbols)
        return sorted(self._symbols - known)

    async def _ask_database(self, database: DatabaseProcess) -> tuple[AgentDocument, ...]:
        """The agents the database knows, in a bounded time; none when it cannot be asked."""
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                return await database.agents()
        except TimeoutError:
            self._notes.append("MongoDB did not answer: accounts that only it knows are not in this")
        except DatabaseProblem as problem:
            self._notes.append(f"{problem}: accounts that only it knows are not in this")
        return ()

    async def _more(self, here: tuple[AgentDocument, ...], scope: Scope) -> tuple[Target, ...]:
        if self._asking is None:
            return ()
        known = {target.key for target in scope.targets}
        homeless = {*scope.without_account}
        found = self._scope(merged(here, await self._asking, self._environment))
        fresh = tuple(target for target in found.targets if target.key not in known)
        for target in fresh:
            self._voice.say(f"MongoDB knows {target.account} ({', '.join(target.names)}), too")
        for name in found.without_account:
            if name not in homeless:
                self._notes.append(f"no account is known of {name}")
        return fresh

    async def _confirmed(self, scope: Scope) -> bool:
        say = self._voice.say
        say(f"{self._settings.network}: close {', '.join(sorted(self._symbols)) or 'everything'} of")
        for row in await preview(self._venue(), self._nonces(), scope.targets, self._symbols):
            say(_previewed(row))
        if scope.others:
            say(f"this closes {', '.join(scope.others)}, too: they share these accounts")
        for note in self._notes:
            say(note)
        say("all of these agents are halted until a person resumes them")
        self._voice.say(f"type {WORD} to go on: ", end="")
        return (await typed_line()).strip().lower() == WORD

    # Closing

    async def _flatten(self, scope: Scope, here: tuple[AgentDocument, ...]) -> FlattenReport:
        settings = self._settings
        book = FlattenBook(Journal(settings.state_folder), opens=True)
        halting = Halting(self._settings, self._names, scope, self._who.operator, self._database)
        run = FlattenRun(
            self._venue(),
            self._nonces(),
            scope.targets,
            symbols=self._symbols,
            deadline_s=self._deadline_s,
            book=book,
            halt=halting.run,
            on_progress=Progress(self._voice).tell,
        )
        for name in scope.without_account:
            run.note(f"no account is known of {name}")
        if scope.others:
            run.note(f"{', '.join(scope.others)} share these accounts: theirs is closed, too")
        self._hear_signals(run)
        audit = Audit(settings, self._who, self._names, self._symbols, run.run_id)
        report = await run.run(self._more(here, scope))
        self._disk_hangs = bool(book.trouble)
        report = await self._keep(run, replace(report, notes=(*report.notes, *self._notes)))
        if problem := await audit.answered(report):
            report = replace(report, notes=(*report.notes, problem))
        return report

    async def _keep(self, run: FlattenRun, report: FlattenReport) -> FlattenReport:
        """The report with the path of its incident report; a disk that refuses or hangs is said."""

        def keep() -> str:
            path = keep_incident(
                self._settings.state_folder,
                report,
                run.trace,
                network=self._settings.network,
                by=f"{self._who.operator} at {self._who.host}",
                name=run.run_id,
            )
            return str(path)

        try:
            return replace(report, incident=await apart(keep, DISK_SECONDS))
        except (TimeoutError, OSError) as error:
            self._disk_hangs |= isinstance(error, TimeoutError)
            words = f"the incident report was not written: {str(error) or DISK_SILENT}"
            return replace(report, notes=(*report.notes, words))

    def _hear_signals(self, run: FlattenRun) -> None:
        """A hang-up and a request to end change nothing: it ends when it is done. A second interrupt has it
        send nothing more."""
        loop = asyncio.get_running_loop()
        interrupts = 0

        def interrupted() -> None:
            nonlocal interrupts
            interrupts += 1
            if interrupts == 1:
                self._voice.say("closing goes on; interrupt again to send nothing more")
            else:
                run.stop("it was interrupted")

        with suppress(NotImplementedError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, lambda: None)
            loop.add_signal_handler(
                signal.SIGTERM, lambda: self._voice.say("closing goes on; this ends when it is done")
            )
            loop.add_signal_handler(signal.SIGINT, interrupted)

    def _venue(self) -> Venue:
        settings = self._settings
        return Venue(
            settings.rest_url,
            settings.ws_url,
            settings.chain_id,
            settings.nonce_window_s,
            settings.signature_scheme,
        )

    def _nonces(self) -> NonceSource:
        return NonceSource(self._settings.state_folder / "nonces", insists=True)


class Progress:
    """Says what changed: each account's phases, and in the end how it stands."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._said: dict[str, str] = {}

    def tell(self, report: FlattenReport) -> None:
        """The report as it stands now."""
        for account in report.accounts:
            words = _progress(account)
            if self._said.get(account.account) != words:
                self._said[account.account] = words
                self._voice.say(f"{report.elapsed_ms:>6} ms  {account.account}  {words}")


def _progress(account: AccountReport) -> str:
    state = account.state
    if account.problem:
        return account.problem
    if state.phase == "not flat":
        return f"NOT FLAT: {account.error}"
    words = {
        "reading": "reading",
        "closing": f"closing {counted(len(state.remaining), 'position')}",
        "cancelling": f"cancelling {counted(state.open_orders, 'order')}",
        "verifying": "verifying",
        "flat": "flat, verified twice",
    }[state.phase]
    return f"{words}: {account.error}" if account.error else words


def _previewed(row: AccountPreview) -> str:
    who = f"  {row.account} ({', '.join(row.agents) or 'no agent'}): "
    if row.problem:
        return f"{who}not known: {row.problem}"
    held = ", ".join(f"{p.symbol} {plain(p.quantity)}" for p in row.positions)
    return f"{who}{counted(len(row.positions), 'position')}, {row.notional:,.2f} USDT  {held}"


def _told(report: FlattenReport, voice: Voice, as_json: bool) -> int:
    """Print the answer; returns the exit code."""
    code = EXITS[report.ending]
    for words in (
        report.halt,
        report.journal and f"nothing was written down: {report.journal}",
        *report.notes,
    ):
        if words:
            voice.say(words)
    if report.incident:
        voice.say(f"incident report: {report.incident}")
    voice.finish()
    try:
        if as_json:
            click.echo(json.dumps(document(report), indent=1))
        else:
            click.echo(report.message, err=code != DONE)
    except OSError:
        # Whoever would read it is gone: what was done is in the incident report, and the code tells it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _refused(voice: Voice, message: str, code: int, word: str, as_json: bool) -> int:
    voice.finish()
    if as_json:
        told: dict[str, Any] = {"ok": False, "code": word, "message": message, "flat": False, "accounts": []}
        click.echo(json.dumps(told, indent=1))
    else:
        click.echo(message, err=True)
    return code


@contextmanager
def _logging(settings: Settings) -> Iterator[None]:
    """The log file, where it can be written: a full disk keeps nobody from closing."""
    close: Callable[[], None] | None = None
    try:
        close = logs.configure(settings.state_folder, settings.log_level)
    except OSError:
        logs.silence()
    try:
        yield
    finally:
        if close is not None:
            close()

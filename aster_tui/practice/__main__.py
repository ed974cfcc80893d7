"""``aster-tui practice``: the practice exchange alone, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from aster_tui.practice.faults import FAULTS, FaultError, Faults
from aster_tui.practice.options import PracticeOptions

DEFAULT_PORT = 8899


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Prints one JSON line when it is ready."""
    arguments = _parser().parse_args(argv)
    try:
        faults = dict(_fault(text) for text in arguments.fault)
        Faults(arguments.seed, faults)
        options = PracticeOptions(
            host=arguments.host,
            port=arguments.port,
            seed=arguments.seed,
            accounts=arguments.accounts,
            positions=arguments.positions,
            funding=not arguments.no_funding,
            latency_ms=arguments.latency_ms,
            faults=faults,
            balance=arguments.balance,
            weight_limit=arguments.weight_limit,
            order_limit=arguments.order_limit,
            signature_scheme=arguments.signature_scheme,
        )
    except FaultError as error:
        return _wrong(str(error))
    try:
        run(_serve(options, exit_with_stdin=arguments.exit_with_stdin))
    except OSError as error:
        return _wrong(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror or error}")
    except KeyboardInterrupt:
        pass
    return 0


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Run the server on uvloop, where there is one: half the time of each request is the loop's."""
    try:
        import uvloop
    except ImportError:  # no wheel for this machine
        asyncio.run(serving)
    else:
        uvloop.run(serving)


async def _serve(options: PracticeOptions, *, exit_with_stdin: bool) -> None:
    from aster_tui.practice.server import serve

    until = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, until.set)
    if exit_with_stdin:
        threading.Thread(target=_read_stdin, args=(loop, until), daemon=True).start()
    await serve(options, _announce, until)


def _announce(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def _read_stdin(loop: asyncio.AbstractEventLoop, until: asyncio.Event) -> None:
    # Unbuffered: a thread in a buffered read would hold the stream's lock at exit.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(until.set)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aster-tui practice", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_between(0, 65_535), default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument("--seed", type=_between(0, 2**63), default=1, help="same seed, same market")
    parser.add_argument("--accounts", type=_between(1, 500), default=3)
    parser.add_argument("--positions", type=_between(0, 15), default=0, help="open positions per account")
    parser.add_argument("--no-funding", action="store_true", help="charge funding only when it is asked for")
    parser.add_argument("--latency-ms", type=_between(0, 60_000), default=0)
    faults = f"may be given more than once: {', '.join(FAULTS)}; limits=1 has the limits refuse"
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=VALUE", help=faults)
    parser.add_argument("--balance", type=_balance, default=Decimal(1000), help="USDT of each account")
    parser.add_argument("--weight-limit", type=_between(1, 10**9), default=2_400, help="per minute")
    parser.add_argument("--order-limit", type=_between(1, 10**9), default=1_200, help="per minute, account")
    parser.add_argument("--signature-scheme", choices=("eip712", "legacy-abi"), default="eip712")
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input ends")
    return parser


def _between(least: int, most: int) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be from {least} to {most}")
        return value

    return number


def _balance(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError("must be a number") from None
    if not (value.is_finite() and 0 <= value <= 10**9):
        raise argparse.ArgumentTypeError("must be from 0 to 1000000000")
    return value


def _fault(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise FaultError(f"--fault wants NAME=VALUE, not {text}") from None


def _wrong(message: str) -> int:
    print(f"aster-tui practice: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

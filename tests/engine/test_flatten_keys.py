"""A close-all and keys that are missing, never come or cannot be read: said, and the others go on."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from aster_tui.engine.key_sources import KeyProblem
from tests.flatten_rig import a_run, practice, targets

D = Decimal


async def test_without_a_key_an_account_is_said_and_without_any_nothing_is_tried(tmp_path: Path) -> None:
    def none() -> Any:
        raise KeyProblem("Alpha has no key: set AGENT_ALPHA_PRIVATE_KEY")

    async with practice(accounts=2, positions=1) as exchange:
        first, second = targets(exchange)
        keyless = replace(first, open_wallet=none)
        report = await a_run(exchange, tmp_path, [keyless, second]).run()
        assert report.ending == "left"
        assert [a.flat for a in report.accounts] == [False, True]
        assert "has no key" in report.accounts[0].error
        report = await a_run(exchange, tmp_path, [keyless]).run()
        assert report.ending == "refused"


async def test_a_key_that_never_comes_is_given_up_at_the_deadline_and_nobody_waits_for_it(
    tmp_path: Path,
) -> None:
    asks = threading.Event()

    def forever() -> Any:
        asks.wait()  # as a keyring does that asks somebody who is not there
        raise KeyProblem("nobody answered")

    async with practice(accounts=2, positions=1) as exchange:
        first, second = targets(exchange)
        # More of them than a pool of threads has room for.
        hanging = [replace(first, account=f"0x{n:040x}", open_wallet=forever, slow=True) for n in range(40)]
        try:
            report = await a_run(exchange, tmp_path, [*hanging, second], deadline_s=5.0).run()
        finally:
            asks.set()
        assert report.ending == "left"
        assert [a.flat for a in report.accounts] == [False] * 40 + [True]
        assert report.accounts[-1].marks["prove"] < 5_000
        assert "not found by the deadline" in report.accounts[0].error
        assert "not known" in report.message


async def test_interrupted_it_waits_for_no_key(tmp_path: Path) -> None:
    asks = threading.Event()

    def forever() -> Any:
        asks.wait()
        raise KeyProblem("nobody answered")

    async with practice() as exchange:
        run = a_run(
            exchange,
            tmp_path,
            [replace(target, open_wallet=forever, slow=True) for target in targets(exchange)],
        )
        running = asyncio.create_task(run.run())
        await asyncio.sleep(0.1)
        run.stop("it was interrupted")
        report = await running
        asks.set()
        assert "interrupted" in report.accounts[0].error


async def test_a_key_that_cannot_be_read_is_said_without_its_words(tmp_path: Path) -> None:
    def denied() -> Any:
        raise PermissionError(13, "denied: 0xsecret")

    async with practice(accounts=2, positions=1) as exchange:
        first, second = targets(exchange)
        for slow in (True, False):
            broken = replace(first, open_wallet=denied, slow=slow)
            report = await a_run(exchange, tmp_path, [broken, second]).run()
            assert [a.flat for a in report.accounts] == [False, True]
            assert report.accounts[0].error == "its key cannot be read: PermissionError"

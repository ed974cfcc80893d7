"""The console in a real terminal: a pty with an emulator behind it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.pty_terminal import Terminal, show

BREAKS = """
import logging, sys
from aster_tui.console.run import run_console
from tests.console.scripted import Scripted
class Breaking(Scripted):
    def snapshot(self):
        if self.started:
            password = "a local nobody may see"
            raise RuntimeError("out of luck")
        return super().snapshot()
logging.basicConfig(filename=sys.argv[1])
port = Breaking()
code = run_console(port)
sys.exit(code if port.stopped else 99)
"""


@contextlib.contextmanager
def terminal(*arguments: str, size: tuple[int, int] = (120, 40)) -> Iterator[Terminal]:
    opened = Terminal(show(*arguments), *size)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_it_shows_the_fleet_takes_keys_and_leaves_the_terminal_as_it_was(size: tuple[int, int]) -> None:
    with terminal(size=size) as term:
        before = termios.tcgetattr(term.child)
        term.until(lambda text: "● REAL" in text and "PRACTICE" in text)
        term.press("2")
        term.until(lambda text: "Positions 11" in text and "BTCUSDT" in text)
        term.press("?")
        term.until(lambda text: "in every list" in text)
        term.press("\x1b")
        term.until(lambda text: "in every list" not in text)
        term.press("q")
        assert term.wait() == 0
        after = termios.tcgetattr(term.child)
        assert before[:4] == after[:4]


def test_it_follows_a_resize_down_to_too_small_and_back() -> None:
    with terminal() as term:
        term.until(lambda text: "Errors" in text and "Agents" in text)
        term.resize(80, 24)
        term.until(lambda text: "1 agents 8" in text)
        term.resize(50, 12)
        term.until(lambda text: "too small" in text)
        term.resize(120, 40)
        term.until(lambda text: "Errors" in text and "● REAL" in text)


def test_a_terminal_that_does_not_read_stalls_neither_engine_nor_console(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with terminal("--moving", "--beats", str(beats)) as term:
        term.until(lambda text: "Positions 100" in text)
        time.sleep(8)  # this is the hung terminal: nobody reads, and 30 waiting frames are soon there
        term.press("3")
        term.until(lambda text: "Orders 100" in text)
        term.press("q")
        assert term.wait() == 0
    # The terminal's silent seconds must show neither in the engine's thread nor in the console's loop.
    engine_gap, console_gap = (float(text) for text in beats.read_text().split())
    assert engine_gap < 5000
    assert console_gap < 5000


@pytest.mark.parametrize("way", ["hang up", "SIGTERM"])
def test_it_ends_when_the_terminal_goes_or_it_is_told_to(way: str) -> None:
    with terminal("--moving") as term:
        term.until(lambda text: "Positions 100" in text)
        if way == "hang up":
            term.hang_up()
            assert term.process.wait(60) in (128 + signal.SIGHUP, -signal.SIGHUP)
        else:
            os.kill(term.process.pid, signal.SIGTERM)
            assert term.wait() == 128 + signal.SIGTERM


def test_by_setting_the_engine_goes_on_without_its_terminal_until_it_is_told_to_end(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with terminal("--moving", "--stay", "--beats", str(beats)) as term:
        term.until(lambda text: "Positions 100" in text)
        term.hang_up()
        time.sleep(3)  # what would end at a hang-up has ended by now
        assert term.process.poll() is None
        os.kill(term.process.pid, signal.SIGTERM)
        assert term.process.wait(30) == 128 + signal.SIGHUP
    assert beats.exists()


def test_told_to_end_while_the_terminal_does_not_read_it_still_leaves_in_order(tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    with terminal("--moving", "--beats", str(beats)) as term:
        before = termios.tcgetattr(term.child)
        term.until(lambda text: "Positions 100" in text)
        time.sleep(4)  # nobody reads: the pty is full and a write is held up
        os.kill(term.process.pid, signal.SIGTERM)
        assert term.process.wait(60) == 128 + signal.SIGTERM
        assert termios.tcgetattr(term.child)[:4] == before[:4]
    assert beats.exists()  # the console returned to its caller, so the engine was stopped too


def test_a_console_that_breaks_says_one_line_and_the_log_the_rest(tmp_path: Path) -> None:
    log = tmp_path / "log"
    broken = Terminal([sys.executable, "-c", BREAKS, str(log)])
    try:
        assert broken.wait() == 1
        assert "the console broke and was closed" in broken.text()
        for word in ("Traceback", "out of luck", "a local nobody may see"):
            assert word not in broken.text()
        assert "RuntimeError: out of luck" in log.read_text()
    finally:
        broken.close()


@pytest.mark.parametrize("when", ["while it is made", "while it is shown"])
def test_a_console_that_breaks_without_a_log_says_what_happened_in_its_line(when: str) -> None:
    code = BREAKS.replace("logging.basicConfig(filename=sys.argv[1])", "")
    code = code.replace('"out of luck"', '"out of\\nluck with 0x" + "1" * 64')
    if when == "while it is made":
        code = code.replace("def snapshot(self):", "@property\n    def submit(self):")
        code = code.replace("if self.started:", "if True:")
    broken = Terminal([sys.executable, "-c", code])
    try:
        assert broken.wait() == 1
        said = "".join(broken.text().split())  # the line is longer than the terminal is wide
        assert "RuntimeError:outofluckwith[hidden]" in said
        assert "agentsandorderswerenottouched" in said
        for word in ("Traceback", "nobodymaysee", "Thelogsaysmore"):
            assert word not in said
    finally:
        broken.close()


def test_a_filter_typed_in_one_go_is_all_in_its_line_and_the_terminal_goes() -> None:
    with terminal() as term:
        term.until(lambda text: "● REAL" in text)
        term.press("2/sSqsymbol:btc")  # as a slow line delivers it: at once
        term.until(lambda text: "/sSqsymbol:btc hides 11" in text)
        term.press("\x1b")
        term.until(lambda text: "hides" not in text)
        term.press("/btc\r")
        term.until(lambda text: "/btc hides 7" in text and "ETHUSDT" not in text)
        term.press("/x")
        term.until(lambda text: "/btcx hides 11" in text)
        term.hang_up()
        assert term.process.wait(60) in (128 + signal.SIGHUP, -signal.SIGHUP)


def test_with_no_color_no_colour_is_sent_and_the_words_are_there() -> None:
    term = Terminal(show(), NO_COLOR="1")
    try:
        term.until(lambda text: "● REAL" in text and "PRACTICE" in text)
        term.press(" 2/btc\r")
        term.until(lambda text: "/btc hides 7" in text and "✓" in text)
        term.press("q")
        assert term.wait() == 0
    finally:
        term.close()
    codes = {
        int(code)
        for found in re.findall(rb"\x1b\[([0-9;]*)m", bytes(term.raw))
        for code in found.split(b";")
        if code
    }
    # 39 and 49 are the terminal's own; the others are what colours begin with.
    assert not codes & {*range(30, 39), *range(40, 49), *range(90, 98), *range(100, 108)}


def test_without_the_mouse_the_terminal_is_not_asked_for_it() -> None:
    for mouse in (True, False):
        with terminal(*([] if mouse else ["--no-mouse"])) as term:
            term.until(lambda text: "● REAL" in text)
            assert (b"\x1b[?1000h" in term.raw) == mouse
            term.press("q")
            assert term.wait() == 0

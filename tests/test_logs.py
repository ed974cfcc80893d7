"""No secret reaches the log, whichever way it is handed over."""

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from aster_tui import locations, logs

KEY = "4fd0a42218f3eae43a6ce26d22544e986139a01e5b34a62db53757ffca81bae1"


@pytest.fixture
def lines(tmp_path: Path) -> Iterator["Lines"]:
    found = Lines(tmp_path, logs.configure(tmp_path))
    yield found
    found.close()


class Lines:
    def __init__(self, state: Path, close: object) -> None:
        self.path = locations.log_file(state)
        self._close = close

    def close(self) -> None:
        if self._close is not None:
            self._close()  # type: ignore[operator]
            self._close = None

    def read(self) -> list[dict[str, object]]:
        self.close()
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def test_a_line_is_json_with_time_level_and_fields(lines: Lines) -> None:
    structlog.get_logger("engine").info("order placed", symbol="BTCUSDT", quantity="0.010")
    logging.getLogger("elsewhere").warning("plain %s", "words")
    first, second = lines.read()
    assert first["event"] == "order placed"
    assert first["symbol"] == "BTCUSDT"
    assert first["level"] == "info"
    assert str(first["timestamp"]).endswith("Z")
    assert second["event"] == "plain words"
    assert stat.S_IMODE(lines.path.stat().st_mode) == 0o600


def test_secrets_are_hidden_in_every_form(lines: Lines) -> None:
    log = structlog.get_logger("engine")
    log.info("sent", body=f"symbol=BTCUSDT&signature=0x{KEY}{KEY}1b")
    log.info("mongo", uri="mongodb+srv://me:hunter2@host/db")
    log.info(f"key {KEY}", nested={"private_key": "short", "list": [f"0x{KEY}"]})
    log.info(
        "stream", url="wss://host/ws/" + "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"
    )
    try:
        raise ValueError(f"bad key 0x{KEY}")
    except ValueError:
        log.exception("failed")
    logging.getLogger("x").error("%s", f"0x{KEY.upper()}")
    found = lines.read()
    assert len(found) == 6
    text = lines.path.read_text().lower()
    for secret in (KEY, "hunter2", "pqia91", "short"):
        assert secret not in text


@given(st.text(max_size=30), st.binary(min_size=32, max_size=32), st.text(max_size=30))
def test_a_key_is_hidden_wherever_it_stands(before: str, key: bytes, after: str) -> None:
    hexadecimal = key.hex()
    text = f"{before} {hexadecimal} {after}"
    assert hexadecimal not in logs.redact(text)


def test_addresses_and_order_ids_stay_readable() -> None:
    text = "user 0x63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e order 22542179 at https://fapi.asterdex.com/fapi"
    assert logs.redact(text) == text

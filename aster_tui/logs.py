"""JSON-lines logs in the state folder, rotated, with secrets removed by construction.

Two nets: keys are a type that shows nothing (:mod:`aster_tui.domain.keys`), and what still looks like
a key, a signature, a listen key or a password in an address is blotted out before a line is written.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import re
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import structlog

from aster_tui import locations

HIDDEN = "[hidden]"
MEGABYTE = 1024 * 1024

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A signature or listen key as it stands in a request or an address.
    (re.compile(r"(?i)((?:signature|listenKey)\"?\s*[=:]\s*\"?)(?:0x)?[0-9a-z]{16,}"), rf"\1{HIDDEN}"),
    (re.compile(r"(/ws/)[0-9A-Za-z]{32,}"), rf"\1{HIDDEN}"),
    # scheme://user:password@host
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s@]*@"), rf"\1{HIDDEN}@"),
    # 32 or 65 bytes in hex: a private key or a signature, whatever it is called.
    (re.compile(r"(?<![0-9a-fA-F])(?:0x)?(?:[0-9a-fA-F]{130}|[0-9a-fA-F]{64})(?![0-9a-fA-F])"), HIDDEN),
)

_SECRET_NAMES = re.compile(r"(?i)private_?key|secret|password|passphrase|mongodb_uri")


def redact(text: str) -> str:
    """``text`` without anything that looks like a key, signature, listen key or password."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {str(k): HIDDEN if _SECRET_NAMES.search(str(k)) else _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    cleaned: dict[str, Any] = _clean(event)
    return cleaned


def configure(state: Path, level: str = "info") -> Callable[[], None]:
    """Send every log line to ``<state>/log/aster-tui.jsonl`` (5 MB, four old files kept, mode 0600).

    Writing happens on a thread of its own: a slow disk delays no order. Returns a function that
    writes out what is queued and stops that thread.

    Raises:
        OSError: the folder cannot be written.
    """
    path = locations.log_file(state)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=5 * MEGABYTE, backupCount=4, encoding="utf-8"
    )
    lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_event,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    queued = _Queued(lines)
    root = logging.getLogger()
    root.handlers = [queued]
    root.setLevel(level.upper())
    # Their debug lines carry whole requests; ours say what matters.
    for noisy in ("websockets", "pymongo", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    listener = logging.handlers.QueueListener(lines, handler)
    listener.start()

    def close() -> None:
        root.removeHandler(queued)
        listener.stop()
        handler.close()

    return close


def silence() -> None:
    """Write no log at all: for what must go on where the log file cannot be written."""
    logging.getLogger().handlers = [logging.NullHandler()]
    structlog.configure(
        logger_factory=structlog.ReturnLoggerFactory(), processors=[structlog.dev.set_exc_info]
    )


class _Queued(logging.handlers.QueueHandler):
    """Hands records over whole: the formatter behind the queue wants the event, not its text."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

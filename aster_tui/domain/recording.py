"""Events as text and back, exactly: the lines of a recording. Pure.

A line is ``time type {fields}``: Unix ms of the console that recorded, the event's type, its fields as JSON
without those that have their default. Decimals are texts, so nothing is rounded; a mapping is a list of
pairs, since its keys need not be texts.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from aster_tui.domain.events import Event

#: Rises when lines written before can no longer be read.
FORMAT = 1
MAGIC = "aster-tui-recording"

Clean = Callable[[str], str]
_Encode = Callable[[Any, Clean], Any]
_Decode = Callable[[Any], Any]


class RecordingError(Exception):
    """A recording cannot be read. The text is one line for people."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording begins with: of which program and network it is, and what settings its state needs.

    ``started_at`` is Unix ms, ``sync_stale_ms`` after how long a sync counts as stale.
    """

    program: str
    network: str
    read_only: bool
    initial_balance: Decimal
    sync_stale_ms: int
    started_at: int
    format: int = FORMAT


def header_line(header: Header) -> str:
    """The first line."""
    return f"{MAGIC} {_dumped(_codec(Header)[0](header, _as_it_is))}"


def read_header(line: str) -> Header:
    """Read the first line.

    Raises:
        RecordingError: it is none, or of a program newer than this one.
    """
    magic, _, rest = line.partition(" ")
    if magic != MAGIC:
        raise RecordingError("this is no recording of aster-tui")
    try:
        raw = json.loads(rest)
        written = raw.get("format", FORMAT)
        if written > FORMAT:
            raise RecordingError(
                f"it was written by a newer aster-tui ({raw.get('program')}): update this one"
            )
        header: Header = _codec(Header)[1](raw)
    except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation) as error:
        raise RecordingError(f"its first line cannot be read: {error}") from None
    return header


def _as_it_is(text: str) -> str:
    return text


def event_line(at: int, event: Event, clean: Clean = _as_it_is) -> str:
    """An event's line. ``clean`` goes over every free text: what must not be in a file is taken out there."""
    kind: Any = type(event)
    return f"{at} {kind.__name__} {_dumped(_codec(kind)[0](event, clean))}"


def line_time(line: str) -> int:
    """When a line's event came."""
    return int(line[: line.index(" ")])


def read_event(line: str) -> Event:
    """The event of a line.

    Raises:
        RecordingError: it cannot be read.
    """
    at, _, rest = line.partition(" ")
    name, _, body = rest.partition(" ")
    kind: Any = EVENT_TYPES.get(name)
    if kind is None or not at.isdigit():
        raise RecordingError(f"a line has an event that this aster-tui does not know: {name[:40]!r}")
    try:
        event: Event = _codec(kind)[1](json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError, InvalidOperation) as error:
        raise RecordingError(f"a line of {name} cannot be read: {error}") from None
    return event


EVENT_TYPES: Mapping[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}


def _dumped(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


# How a type is written and read


@cache
def _codec(hint: Any) -> tuple[_Encode, _Decode]:
    """What writes and what reads a value of a type.

    Raises:
        TypeError: a type that nobody taught this yet.
    """
    origin = get_origin(hint)
    if hint is Decimal:
        return lambda value, clean: str(value), Decimal
    if hint is str:
        return lambda value, clean: clean(value), _checked(str)
    if hint in (int, bool, float, type(None)) or origin is Literal:
        return lambda value, clean: value, lambda raw: raw
    if hint is Any:  # a document of JSON already
        return _any, lambda raw: raw
    if origin in (Union, types.UnionType):
        return _optional(hint)
    if origin in (tuple, frozenset):
        return _sequence(hint, origin)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return _record(hint)
    raise TypeError(f"a recording cannot hold {hint}: teach aster_tui.domain.recording")


def _checked(kind: type[Any]) -> _Decode:
    def read(raw: Any) -> Any:
        if not isinstance(raw, kind):
            raise TypeError(f"{str(raw)[:40]!r} is no {kind.__name__}")
        return raw

    return read


def _any(value: Any, clean: Clean) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {str(name): _any(item, clean) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_any(item, clean) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else clean(str(value))


def _optional(hint: Any) -> tuple[_Encode, _Decode]:
    others = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(others) != 1:
        raise TypeError(f"a recording cannot hold {hint}: teach aster_tui.domain.recording")
    write, read = _codec(others[0])
    return (
        lambda value, clean: None if value is None else write(value, clean),
        lambda raw: None if raw is None else read(raw),
    )


def _sequence(hint: Any, origin: Any) -> tuple[_Encode, _Decode]:
    kinds = get_args(hint)
    if origin is frozenset or (len(kinds) == 2 and kinds[1] is Ellipsis):
        write, read = _codec(kinds[0])
        order: Callable[[Any], Any] = sorted if origin is frozenset else iter
        return (
            lambda value, clean: [write(item, clean) for item in order(value)],
            lambda raw: origin(read(item) for item in raw),
        )
    parts = [_codec(kind) for kind in kinds]
    return (
        lambda value, clean: [part[0](item, clean) for part, item in zip(parts, value, strict=True)],
        lambda raw: tuple(part[1](item) for part, item in zip(parts, raw, strict=True)),
    )


def _mapping(hint: Any) -> tuple[_Encode, _Decode]:
    (write_key, read_key), (write, read) = (_codec(kind) for kind in get_args(hint))
    return (
        lambda value, clean: [[write_key(k, clean), write(v, clean)] for k, v in value.items()],
        lambda raw: {read_key(k): read(v) for k, v in raw},
    )


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _record(kind: type[Any]) -> tuple[_Encode, _Decode]:
    hints = get_type_hints(kind)
    parts = [(f.name, _codec(hints[f.name]), _default(f)) for f in fields(kind)]

    def write(value: Any, clean: Clean) -> Any:
        said = {}
        for name, (write_part, _), default in parts:
            part = getattr(value, name)
            # Equal is not the same for decimals: 1 and 1.0 are equal.
            if part is default or (part == default and str(part) == str(default)):
                continue
            said[name] = write_part(part, clean)
        return said

    def read(raw: Any) -> Any:
        unknown = raw.keys() - {name for name, _, _ in parts}
        if unknown:
            raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
        return kind(**{name: part[1](raw[name]) for name, part, _ in parts if name in raw})

    return write, read

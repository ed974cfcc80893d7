"""``make bench``: what is promised to be fast, each against a baseline in the same run."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from typing import Any


def _signing() -> dict[str, Any]:
    from tests.bench import signing

    return signing.measure()


def _first_frame() -> dict[str, Any]:
    from tests.bench import first_frame

    return first_frame.measure()


def _terminal() -> dict[str, Any]:
    from tests.bench import terminal

    return terminal.measure()


def _journal() -> dict[str, Any]:
    from tests.bench import journal

    return journal.measure()


def _orders() -> dict[str, Any]:
    from tests.bench import orders

    return orders.measure()


@functools.cache
def _flatten() -> dict[str, Any]:
    from tests.bench import flatten

    return flatten.measure()


#: Name, measure, the promised figure's name, and whether it must be at least or at most that.
BENCHES: tuple[tuple[str, Callable[[], dict[str, Any]], str, str, float], ...] = (
    ("signing", _signing, "ratio", "at least", 8.0),
    ("orders", _orders, "cpu_ratio", "at least", 8.0),
    ("journal", _journal, "ratio", "at least", 20.0),
    ("first frame", _first_frame, "ratio", "at most", 1.6),
    ("close-all", _flatten, "flat_ms", "at most", 800.0),
    ("close-all x", _flatten, "ratio", "at least", 10.0),
    ("terminal", _terminal, "key_to_paint_p95_ms", "at most", 50.0),
)


def main() -> int:
    """Run all, or those named; exit 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("only", nargs="*")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    kept = True
    for name, measure, figure, bound, promise in BENCHES:
        if arguments.only and name not in arguments.only:
            continue
        found = measure()
        good = found[figure] >= promise if bound == "at least" else found[figure] <= promise
        kept &= good
        results[name] = {**found, "promise": f"{figure} {bound} {promise}", "kept": good}
        if not arguments.json:
            figures = "  ".join(f"{key} {value}" for key, value in found.items())
            print(
                f"{name:<12} {figures}\n{'':<12} {figure} {bound} {promise}: {'kept' if good else 'NOT KEPT'}"
            )
            sys.stdout.flush()
    if arguments.json:
        print(json.dumps(results))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())

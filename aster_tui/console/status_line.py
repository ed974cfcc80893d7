"""The header and the footer: one line each, from a snapshot."""

from __future__ import annotations

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.actions import SHORT, Context, hints
from aster_tui.domain.views import FeedView, FleetSnapshot

DOTS = {"live": "●", "stale": "◐", "down": "○", "off": "·"}
#: Style names of theme variables, resolved by :func:`header`'s caller.
FEED_STYLES = {"live": "ok", "stale": "warn", "down": "alarm", "off": "dim"}
#: Under this width the header uses short words.
WIDE = 112

Styles = dict[str, str]


def header(snapshot: FleetSnapshot, now: int, width: int, styles: Styles, note: str = "") -> Text:
    """Program, network, mode, feeds with their age, clock offset and used weight."""
    wide = width >= WIDE
    left = Text(" aster-tui ", style=styles["strong"])
    left.append(f" {snapshot.network} ", style=styles[snapshot.network])
    if snapshot.read_only:
        left.append(" ")
        left.append(" ◉ WATCH " if wide else " WATCH ", style=styles["watch"])
    if note and wide:
        left.append(f" {note}", style=styles["dim"])
    right = Text()
    for name, feeds in _groups(snapshot).items():
        _feed(right, name, feeds, snapshot, now, wide, styles)
    offset = snapshot.clock_offset_ms
    if offset is not None:
        words = f"{'clock ' if wide else '±'}{_signed_ms(offset)}"
        right.append(words, style=styles["warn" if abs(offset) > 1000 else "dim"])
        right.append("  ")
    if snapshot.weight_used is not None:
        heavy = snapshot.weight_used * 2 > snapshot.weight_limit
        used, limit = snapshot.weight_used, snapshot.weight_limit
        words = f"weight {used}/{limit}" if wide else f"w {used}"
        right.append(words, style=styles["warn" if heavy else "dim"])
        right.append(" ")
    gap = width - left.cell_len - right.cell_len
    left.append(" " * max(1, gap))
    left.append_text(right)
    left.truncate(width)
    return left


def _groups(snapshot: FleetSnapshot) -> dict[str, list[FeedView]]:
    groups: dict[str, list[FeedView]] = {"exchange": [], "marks": [], "streams": [], "mongo": []}
    for feed in snapshot.feeds:
        groups.setdefault("streams" if feed.name.startswith("user:") else feed.name, []).append(feed)
    return groups


def _feed(
    line: Text,
    name: str,
    feeds: list[FeedView],
    snapshot: FleetSnapshot,
    now: int,
    wide: bool,
    styles: Styles,
) -> None:
    if not feeds:
        if name != "streams":
            line.append(f"{name if wide else name[:4]} {DOTS['off']}  ", style=styles["dim"])
        return
    order = ("down", "stale", "off", "live")
    worst = min(feeds, key=lambda f: order.index(f.state))
    state = worst.state
    line.append(f"{name if wide else SHORT_FEEDS.get(name, name)} ", style=styles["dim"])
    line.append(DOTS[state], style=styles[FEED_STYLES[state]])
    line.append(f" {_feed_words(name, feeds, worst, snapshot, now)}", style=styles[_feed_tone(state)])
    line.append("  ")


SHORT_FEEDS = {"exchange": "exch", "marks": "mark", "streams": "user", "mongo": "mongo"}


def _feed_tone(state: str) -> str:
    return "alarm" if state == "down" else "warn" if state == "stale" else "dim"


def _feed_words(name: str, feeds: list[FeedView], worst: FeedView, snapshot: FleetSnapshot, now: int) -> str:
    age = fmt.age(now - worst.heard_at) if worst.heard_at is not None else ""
    if worst.state == "stale":
        return f"STALE {age}"
    if name == "streams":
        live = sum(f.state == "live" for f in feeds)
        return f"{live}/{len(feeds)} {age}".rstrip()
    if worst.state in ("down", "off"):
        return f"{worst.state} {age}".rstrip()
    if name == "exchange" and snapshot.round_trip_ms is not None:
        return f"{snapshot.round_trip_ms} ms {age}"
    return age


def _signed_ms(value: int) -> str:
    sign = "+" if value > 0 else fmt.MINUS if value < 0 else ""
    return f"{sign}{abs(value)} ms"


def footer(context: Context, width: int, styles: Styles, notice: str = "") -> Text:
    """The hints of the focused pane; a notice takes their place while it lasts."""
    line = Text(" ")
    if notice:
        line.append(f"{notice} ", style=styles["notice"])
        line.truncate(width, overflow="ellipsis")
        return line
    for action, unavailable in hints(context):
        dim = bool(unavailable)
        line.append(action.shown, style=styles["dim" if dim else "strong"])
        line.append(f" {SHORT.get(action.id, action.title)}   ", style=styles["dim"])
    line.truncate(width)
    return line


def tabs(active: str, snapshot: FleetSnapshot, styles: Styles) -> Text:
    """The line of tabs of a narrow screen."""
    counts = {
        "agents": len(snapshot.agents),
        "positions": len(snapshot.positions),
        "orders": len(snapshot.orders),
        "errors": len(snapshot.errors),
    }
    line = Text(" ")
    for number, (name, count) in enumerate(counts.items(), start=1):
        style = styles["tab"] if name == active else styles["dim"]
        line.append(f" {number} {name} {count or ''}".rstrip() + " ", style=style)
        line.append(" ")
    return line

"""The header and the footer: one line each, from a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.text import Text

from aster_tui.console import format as fmt
from aster_tui.console.acting import newest_close_all
from aster_tui.console.actions import Action
from aster_tui.domain.views import FeedView, FleetSnapshot

DOTS = {"live": "●", "stale": "◐", "down": "○", "off": "·"}
#: Style names of theme variables, resolved by :func:`header`'s caller.
FEED_STYLES = {"live": "ok", "stale": "warn", "down": "alarm", "off": "dim"}
SHORT_FEEDS = {"exchange": "exch", "marks": "mark", "streams": "user", "mongo": "mongo"}

#: Six tabs have to fit into 80 columns.
SHORT_TABS = {"commands": "log", "operators": "who"}

#: The hint that leads to all the others, and what stands between two.
LAST_HINT, HINT_GAP = "help", 3

Styles = dict[str, str]


def header(
    snapshot: FleetSnapshot,
    now: int,
    width: int,
    styles: Styles,
    note: str = "",
    armed_until: int = 0,
    replay: Callable[[int], str] | None = None,
) -> Text:
    """Program, network, mode, what a person set, feeds with their age, clock offset and used weight, as long
    as fits.

    What gives way first is how it is said, then the ages of feeds that are live, then the weight and the
    clock offset while they are harmless: whole, for half a number is another. Never a feed in trouble.
    ``replay`` says, for a shortness, what recording this is.
    """
    for shortness in range(6):
        left = _left(snapshot, shortness, styles, note)
        if replay is not None:
            left.append(" ")
            left.append(replay(shortness), style=styles["watch"])
        for words, style in _set_by_persons(snapshot, armed_until, shortness):
            left.append(" ")
            left.append(f" {words} ", style=styles[style])
        right = _right(snapshot, now, shortness, styles)
        gap = width - left.cell_len - right.cell_len
        if gap >= 1:
            break
    left.append(" " * max(1, gap))
    left.append_text(right)
    left.rstrip()
    left.truncate(width, overflow="ellipsis")
    return left


def _left(snapshot: FleetSnapshot, shortness: int, styles: Styles, note: str) -> Text:
    left = Text.assemble((" aster-tui " if not shortness else "", styles["strong"]))
    left.append(f" {snapshot.network} ", style=styles[snapshot.network])
    if snapshot.read_only:
        left.append(" ")
        left.append(" WATCH " if shortness else " ◉ WATCH ", style=styles["watch"])
    elif snapshot.locked:
        left.append(" ")
        left.append(" LOCKED " if shortness else " ◉ LOCKED ", style=styles["watch"])
    if note and not shortness:
        left.append(f" {note}", style=styles["dim"])
    return left


def _set_by_persons(snapshot: FleetSnapshot, armed_until: int, shortness: int) -> Iterator[tuple[str, str]]:
    """What a person set that must not be forgotten, the gravest first, each with its style."""
    close_all = newest_close_all(snapshot)
    if close_all is not None and close_all.state == "running":
        so_far = f" {close_all.done}/{close_all.total}" if close_all.total else ""
        yield f"CLOSING{'' if shortness else ' ALL'}{so_far}", "closing"
    elif close_all is not None and close_all.state != "done" and not close_all.document.get("flat"):
        yield "NOT FLAT", "closing"
    if armed_until:
        yield f"ARMED {fmt.clock(armed_until)[:5]}", "armed"
    if snapshot.halted:
        yield snapshot.trading, "closing"
    elif stopped := sum(agent.halted for agent in snapshot.agents):
        yield f"{stopped} halted", "armed"
    ending, lost = set(snapshot.dead_man_ending), set(snapshot.dead_man_lost)
    if lost:
        yield f"†NOT HELD×{len(lost)}" if shortness else f"dead-man NOT HELD ×{len(lost)}", "closing"
    if held := [seconds for key, seconds in snapshot.dead_man.items() if key not in ending | lost]:
        yield f"†{min(held)}s" if shortness else f"dead-man {min(held)} s ×{len(held)}", "armed"
    if ending:
        yield f"†stop×{len(ending)}" if shortness else f"dead-man being stopped ×{len(ending)}", "armed"


def _right(snapshot: FleetSnapshot, now: int, shortness: int, styles: Styles) -> Text:
    right = Text()
    for name, feeds in _groups(snapshot).items():
        _feed(right, name, feeds, snapshot, now, shortness, styles)
    offset, used, limit = snapshot.clock_offset_ms, snapshot.weight_used, snapshot.weight_limit
    if offset is not None and (shortness < 5 or abs(offset) > 1000):
        words = _signed_ms(offset).replace(" ", "") if shortness else f"clock {_signed_ms(offset)}"
        right.append(words, style=styles["warn" if abs(offset) > 1000 else "dim"])
        right.append("  ")
    if used is not None and (shortness < 4 or used * 2 > limit):
        words = f"w {used}" if shortness else f"weight {used}/{limit}"
        right.append(words, style=styles["warn" if used * 2 > limit else "dim"])
        right.append(" ")
    return right


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
    shortness: int,
    styles: Styles,
) -> None:
    shown = SHORT_FEEDS.get(name, name) if shortness else name
    if not feeds:
        if name != "streams":
            line.append(f"{shown} {DOTS['off']}  ", style=styles["dim"])
        return
    order = ("down", "stale", "off", "live")
    worst = min(feeds, key=lambda f: order.index(f.state))
    state = worst.state
    line.append(f"{shown} ", style=styles["dim"])
    line.append(DOTS[state], style=styles[FEED_STYLES[state]])
    words = _feed_words(name, feeds, worst, snapshot, now, shortness)
    tone = "alarm" if state == "down" else "warn" if state == "stale" else "dim"
    line.append(f" {words}  " if words else "  ", style=styles[tone])


def _feed_words(
    name: str, feeds: list[FeedView], worst: FeedView, snapshot: FleetSnapshot, now: int, shortness: int
) -> str:
    if name == "exchange" and snapshot.held_until > now:
        return f"{'BANNED' if snapshot.banned else 'held'} until {fmt.clock(snapshot.held_until)}"
    age = fmt.age(now - worst.heard_at) if worst.heard_at is not None else ""
    if shortness:
        age = age.replace(" ", "")
    if worst.state == "stale":
        return f"STALE {age}"
    if shortness > 2 and worst.state == "live":
        age = ""
    if name == "streams":
        live = sum(f.state == "live" for f in feeds)
        return f"{live}/{len(feeds)} {age}".rstrip()
    if worst.state in ("down", "off"):
        return f"{worst.state} {age}".rstrip()
    if name == "exchange" and snapshot.round_trip_ms is not None and shortness < 2:
        return f"{snapshot.round_trip_ms}{'' if shortness else ' '}ms {age}".rstrip()
    return age


def _signed_ms(value: int) -> str:
    sign = "+" if value > 0 else fmt.MINUS if value < 0 else ""
    return f"{sign}{abs(value)} ms"


def requests_line(snapshot: FleetSnapshot, now: int, width: int, styles: Styles) -> Text:
    """What operators' requests are doing here, the oldest first; empty while nothing runs."""
    line = Text()
    for request in reversed(snapshot.requests):
        if request.state != "running":
            continue
        line.append("   " if line else " ")
        line.append(fmt.one_line(request.title), style=styles["strong"])
        if request.total:
            line.append(f" {progress(request.done, request.total)}", style=styles["key"])
        if request.message:
            line.append(f" {fmt.one_line(request.message)}", style=styles["dim"])
        line.append(f" {fmt.age(now - request.started_at)}", style=styles["dim"])
    line.truncate(width, overflow="ellipsis")
    return line


def progress(done: int, total: int, width: int = 10) -> str:
    """How far it is, as a bar and in figures: ``████······ 4/10``."""
    full = width * max(0, min(done, total)) // max(1, total)
    return f"{'█' * full}{fmt.NOTHING * (width - full)} {done}/{total}"


def footer(hints: Sequence[tuple[Action, str]], width: int, styles: Styles, notice: str = "") -> Text:
    """The hints of the focused pane, each with why it is unavailable; a notice takes their place while it
    lasts, but not that of what cannot wait.

    What does not fit is left out whole, the last one first; what tells of everything else stays.
    """
    urgent, line = _hints((h for h in hints if h[0].everywhere), styles, "alarm"), Text(" ")
    room = max(0, width - urgent.cell_len - 1)
    if notice:
        line.append(f"{notice} ", style=styles["notice"])
    else:
        last = _hints((h for h in hints if h[0].id == LAST_HINT), styles, "dim")
        for hint in hints:
            if hint[0].everywhere or hint[0].id == LAST_HINT:
                continue
            part = _hints((hint,), styles, "dim")
            if line.cell_len + part.cell_len + HINT_GAP + last.cell_len > room:
                break
            line.append_text(part).append(" " * HINT_GAP)
        line.append_text(last)
    line.truncate(room, overflow="ellipsis", pad=True)
    line.append(" ")
    line.append_text(urgent)
    line.truncate(width)
    return line


def _hints(hints: Iterable[tuple[Action, str]], styles: Styles, words: str) -> Text:
    line = Text()
    for action, unavailable in hints:
        line.append(" " * HINT_GAP if line else "")
        line.append(action.shown, style=styles["dim" if unavailable else "strong"])
        line.append(f" {action.short or action.title}", style=styles["dim" if unavailable else words])
    return line


def tabs(active: str, snapshot: FleetSnapshot, styles: Styles) -> Text:
    """The line of tabs of a narrow screen. A click on one goes to its pane, as its key does."""
    counts = {
        "agents": len(snapshot.agents),
        "positions": len(snapshot.positions),
        "orders": len(snapshot.orders),
        "errors": len(snapshot.errors),
        # As the pane joins them: the requests of this console and the audit's lines of all.
        "commands": len({row.request_id for rows in (snapshot.requests, snapshot.audit) for row in rows}),
        "operators": len(snapshot.consoles),
    }
    line = Text()
    for number, (name, count) in enumerate(counts.items(), start=1):
        style = styles["tab"] if name == active else styles["dim"]
        begin = len(line)
        line.append(f" {number} {SHORT_TABS.get(name, name)} {count or ''}".rstrip() + " ", style=style)
        line.apply_meta({"@click": f"app.act('pane.{name}')"}, begin)
    return line

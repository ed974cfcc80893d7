"""The dead-man timer: should this process die, the venue cancels; what that would take away is named."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult

from aster_tui.console import format as fmt
from aster_tui.console.screens.confirm import Confirm
from aster_tui.console.screens.form import Form, row
from aster_tui.console.screens.orders import order_line
from aster_tui.console.screens.words import hidden_words, named, short_account, where
from aster_tui.console.widgets.field import Field
from aster_tui.domain.commands import Asked, SetDeadMan
from aster_tui.domain.deadman import LEAST_SECONDS, MOST_SECONDS
from aster_tui.domain.symbols import symbol_of
from aster_tui.domain.trading import account_key
from aster_tui.domain.views import AgentView, FleetSnapshot, OrderView

USUAL_SECONDS = 60
WORD = "timer"


class DeadManForm(Form):
    """For which symbols, and how many seconds; 0 takes it off."""

    HEADING = "dead-man timer"
    DOES = "set it…"

    def __init__(self, agents: Sequence[AgentView], hidden: int) -> None:
        super().__init__()
        self._agents, self._hidden = tuple(agents), hidden

    def fields(self) -> ComposeResult:
        """Symbols and seconds."""
        yield row("symbols", Field(" ".join(self._in_use()), placeholder="every symbol in use", id="symbols"))
        yield row("seconds", Field(str(USUAL_SECONDS), longest=6, id="seconds"))

    def _accounts(self) -> set[str]:
        return {account_key(a.account) for a in self._agents if a.account}

    def _in_use(self) -> list[str]:
        """The symbols with a position or an open order on these accounts."""
        snapshot, ids = self.operator.newest(), {a.key for a in self._agents}
        held = {p.symbol for p in snapshot.positions if p.mode == "real" and ids & set(p.agent_id.split("+"))}
        return sorted(held | {o.symbol for o in self._resting()})

    def _resting(self) -> list[OrderView]:
        accounts = self._accounts()
        orders = self.operator.newest().orders
        return [o for o in orders if o.open and account_key(o.account or "") in accounts]

    def _symbols(self) -> tuple[str, ...]:
        words = self.query_one("#symbols", Field).value.replace(",", " ").split()
        return tuple(dict.fromkeys(symbol_of(word) for word in words))

    def _taken_away(self) -> list[OrderView]:
        """What the venue would cancel."""
        chosen = self._symbols() or tuple(self._in_use())
        return [o for o in self._resting() if o.symbol in chosen]

    def drawn(self, width: int) -> Text:
        """Where, what runs already, and what it would cancel."""
        snapshot, styles = self.operator.newest(), self.styles_of
        text = where(snapshot, self._agents, styles)
        text.append_text(hidden_words(self._hidden, styles))
        accounts = self._accounts()
        for (account, symbol), seconds in snapshot.dead_man.items():
            if account_key(account) in accounts:
                word, style = _standing(snapshot, (account, symbol))
                text.append(f"{word}: {short_account(account)} {symbol} {seconds} s\n", style=styles[style])
        text.append(
            "While this process lives it renews the timer. When it dies, hangs or loses the network for so"
            " long, the venue cancels the symbols' open orders. It closes no position.\n",
            style=styles["dim"],
        )
        if self.is_mounted and self.query("#symbols"):
            text.append_text(self._would_cancel())
        return text

    def _would_cancel(self) -> Text:
        styles, taken = self.styles_of, self._taken_away()
        protective = [o for o in taken if o.reduce_only]
        text = Text()
        if protective:
            words = "it would also cancel what protects positions, and leave them naked:\n"
            text.append(words, style=styles["alarm"])
            for order in protective:
                text.append(f"  {order_line(order)}\n", style=styles["alarm"])
        others = len(taken) - len(protective)
        text.append(f"other orders it would cancel: {others}\n", style=styles["dim"])
        return text

    def asked(self) -> Asked | str:
        """The timer, where it may be."""
        typed = self.query_one("#seconds", Field).value.strip()
        if not typed.isascii() or not typed.isdigit():
            return "the seconds are a whole number"
        seconds = int(typed)
        if seconds and not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            return f"the timer is from {LEAST_SECONDS} to {MOST_SECONDS} s, or 0 to take it off"
        known = self.operator.newest().rules
        strange = [symbol for symbol in self._symbols() if symbol not in known]
        if strange:
            return f"not traded here: {named(map(fmt.one_line, strange))}"
        return SetDeadMan(tuple(a.key for a in self._agents), self._symbols(), seconds)

    def question(self, asked: Asked) -> Confirm | None:
        """Taking it off is asked at once; a word where protection would go."""
        if not isinstance(asked, SetDeadMan) or not asked.seconds:
            return None
        text = where(self.operator.newest(), self._agents, self.styles_of)
        symbols = named(asked.symbols) if asked.symbols else "every symbol in use"
        text.append(f"\n{asked.seconds} s for {symbols}\n", style=self.styles_of["strong"])
        text.append_text(self._would_cancel())
        protects = any(o.reduce_only for o in self._taken_away())
        return self.confirm(
            "arm the dead-man timer?", text, asked, does="arms it", word=WORD if protects else ""
        )


def _standing(snapshot: FleetSnapshot, timer: tuple[str, str]) -> tuple[str, str]:
    """How a timer stands, in a word and with its style."""
    if timer in snapshot.dead_man_lost:
        return "NOT HELD any more", "alarm"
    return ("being stopped", "warn") if timer in snapshot.dead_man_ending else ("armed", "ok")

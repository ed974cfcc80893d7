"""The quiet dark theme: one colour per meaning, the same in style sheets and in the status lines."""

from __future__ import annotations

from textual.theme import Theme

from aster_tui.console.status_line import Styles

_C = {
    "ground": "#0f1317",
    "panel": "#151a20",
    "frame": "#2c343d",
    "focus": "#5b9bc8",
    "text": "#cbd3db",
    "strong": "#eef2f6",
    "dim": "#7b8794",
    "real": "#7cb7e8",
    "paper": "#8a94a0",
    "profit": "#5fb98c",
    "loss": "#e07b6a",
    "buy": "#74ab91",
    "sell": "#c48a7f",
    "warn": "#d6a548",
    "alarm": "#ff6f61",
    "cursor": "#24303b",
    "rest": "#1b2229",
    "marked": "#2b2f1e",
}

THEME = Theme(
    name="aster",
    primary=_C["focus"],
    secondary=_C["real"],
    warning=_C["warn"],
    error=_C["alarm"],
    success=_C["profit"],
    accent=_C["focus"],
    foreground=_C["text"],
    background=_C["ground"],
    surface=_C["ground"],
    panel=_C["panel"],
    dark=True,
    variables={f"aster-{name}": colour for name, colour in _C.items()},
)

#: Styles of the header, the footer and the overlays, in Rich's words.
STYLES: Styles = {
    "strong": f"bold {_C['strong']}",
    "dim": _C["dim"],
    "ok": _C["profit"],
    "warn": _C["warn"],
    "alarm": f"bold {_C['alarm']}",
    "key": _C["focus"],
    "tab": f"bold {_C['strong']} on {_C['cursor']}",
    "notice": f"bold {_C['warn']}",
    "watch": f"bold {_C['ground']} on {_C['warn']}",
    "armed": f"bold {_C['ground']} on {_C['sell']}",
    "closing": f"bold {_C['ground']} on {_C['alarm']}",
    "flat": f"bold {_C['ground']} on {_C['profit']}",
    "MAINNET": "bold #ffffff on #a32a2f",
    "TESTNET": f"bold {_C['ground']} on {_C['warn']}",
    "PRACTICE": f"bold {_C['ground']} on {_C['focus']}",
}

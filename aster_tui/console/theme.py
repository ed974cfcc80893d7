"""The themes: one colour per meaning, the same in style sheets and in the status lines.

No colour says what a word or a sign does not say too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from textual.theme import Theme

from aster_tui.console.status_line import Styles

_DARK = {
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
    "danger": "#a32a2f",
}
_LIGHT = {
    "ground": "#f7f8fa",
    "panel": "#e9edf1",
    "frame": "#b9c2cc",
    "focus": "#1b6699",
    "text": "#2a333c",
    "strong": "#0a0f14",
    "dim": "#5d6873",
    "real": "#0b5e9e",
    "paper": "#66707a",
    "profit": "#19703f",
    "loss": "#b03a28",
    "buy": "#2f6f4f",
    "sell": "#984a3c",
    "warn": "#875700",
    "alarm": "#bd1408",
    "cursor": "#d3e1ee",
    "rest": "#e2e8ee",
    "marked": "#eee7c0",
    "danger": "#a32a2f",
}
#: Blue and orange, after Okabe and Ito: the two that every kind of colour-blindness tells apart.
_BLIND = {
    **_DARK,
    "real": "#cc9fd0",
    "profit": "#56b4e9",
    "loss": "#e69f00",
    "buy": "#7fc0e6",
    "sell": "#dcae52",
    "warn": "#f0e442",
    "alarm": "#ff8c3a",
    "focus": "#9fb8d0",
}
_CONTRAST = {
    "ground": "#000000",
    "panel": "#000000",
    "frame": "#a8a8a8",
    "focus": "#5fd7ff",
    "text": "#ffffff",
    "strong": "#ffffff",
    "dim": "#c6c6c6",
    "real": "#5fd7ff",
    "paper": "#d0d0d0",
    "profit": "#5fff87",
    "loss": "#ff9f8f",
    "buy": "#87ffaf",
    "sell": "#ffb8a8",
    "warn": "#ffd75f",
    "alarm": "#ff8787",
    "cursor": "#00405f",
    "rest": "#262626",
    "marked": "#3f3f00",
    "danger": "#b00000",
}
#: By the names that settings and state files know them by, with what they are called.
PALETTES: Mapping[str, Mapping[str, str]] = {
    "dark": _DARK,
    "light": _LIGHT,
    "colour-blind": _BLIND,
    "high-contrast": _CONTRAST,
}
TITLES: Mapping[str, str] = {
    "dark": "quiet and dark",
    "light": "light",
    "colour-blind": "dark, in colours that colour-blind eyes tell apart",
    "high-contrast": "white and bright colours on black",
}
DEFAULT = "dark"


def theme(name: str) -> Theme:
    """A theme for Textual; it is registered as ``aster-NAME``."""
    colours = PALETTES[name]
    return Theme(
        name=f"aster-{name}",
        primary=colours["focus"],
        secondary=colours["real"],
        warning=colours["warn"],
        error=colours["alarm"],
        success=colours["profit"],
        accent=colours["focus"],
        foreground=colours["text"],
        background=colours["ground"],
        surface=colours["ground"],
        panel=colours["panel"],
        dark=name != "light",
        variables={f"aster-{part}": colour for part, colour in colours.items()},
    )


#: Texts on the red ground of an armed session on MAINNET, whatever the theme. What is an alarm there, and
#: the way to close all, stand on black.
ON_DANGER: Mapping[str, str] = {
    "strong": "bold #ffffff",
    "dim": "#ffe9ea",
    "ok": "#c4f7da",
    "warn": "bold #ffe08a",
    "alarm": "bold #ffffff on #000000",
    "key": "#ffffff",
    "notice": "bold #ffe8a6",
}


@cache
def styles_on_danger(name: str) -> Styles:
    """Styles of a theme for header and footer, on the ground that says danger."""
    return {**styles_of(name), **ON_DANGER}


@cache
def styles_of(name: str) -> Styles:
    """Styles of the header, the footer and the overlays, in Rich's words."""
    c = PALETTES[name]
    return {
        "strong": f"bold {c['strong']}",
        "dim": c["dim"],
        "ok": c["profit"],
        "warn": c["warn"],
        "alarm": f"bold {c['alarm']}",
        "key": c["focus"],
        "tab": f"bold {c['strong']} on {c['cursor']}",
        "notice": f"bold {c['warn']}",
        "watch": f"bold {c['ground']} on {c['warn']}",
        "armed": f"bold {c['ground']} on {c['sell']}",
        "closing": f"bold {c['ground']} on {c['alarm']}",
        "flat": f"bold {c['ground']} on {c['profit']}",
        "MAINNET": f"bold #ffffff on {c['danger']}",
        "TESTNET": f"bold {c['ground']} on {c['warn']}",
        "PRACTICE": f"bold {c['ground']} on {c['focus']}",
    }

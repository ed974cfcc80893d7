"""What the console says where nothing is configured: how to connect."""

from __future__ import annotations

from rich.text import Text

from aster_tui import locations
from aster_tui.console.details import beside
from aster_tui.console.status_line import Styles


def welcome_text(network: str, styles: Styles, width: int) -> Text:
    """What to set, where, and how to look around without setting anything."""
    text = Text()
    text.append("There is nothing to show yet: no database is configured and no agent is named.\n\n")
    for head, words in (
        ("to look around", "aster-tui demo: a practice exchange and a database of its own, nothing to set"),
        ("the agents", "MONGODB_URI=mongodb+srv://USER:PASSWORD@HOST/DATABASE"),
        ("without MongoDB", "AGENT_NAME_USER=0x… and AGENT_NAME_SIGNER=0x… for each agent, by its name"),
        ("their keys", "AGENT_NAME_PRIVATE_KEY, or encrypted: aster-tui keys import NAME"),
        ("the network", f"--profile mainnet, testnet or practice; this is {network}"),
        ("only to watch", "--read-only, or --no-keys, which loads no key at all"),
        ("where to set it", f"the environment, or {locations.env_file()} (readable by you alone), or"),
        ("", str(locations.config_file())),
        ("to see all paths", "aster-tui paths"),
        ("to check it", "aster-tui doctor"),
    ):
        beside(text, f"  {head:<18}", styles["key"], Text(words), width)
    return text

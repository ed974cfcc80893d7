"""Who sits at this console, and where: what the audit and the other consoles are told."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """``operator`` is the user with the address the SSH session came from, ``host`` this machine."""

    operator: str
    host: str


def identity(environment: Mapping[str, str] = os.environ) -> Identity:
    """The person as the system knows it: the user before sudo, and where the SSH session comes from."""
    user = environment.get("SUDO_USER") or environment.get("LOGNAME") or environment.get("USER") or ""
    if not user:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = f"uid {os.getuid()}"
    came_from = environment.get("SSH_CONNECTION", "").split(" ")[0]
    return Identity(f"{user}@{came_from}" if came_from else user, socket.gethostname())

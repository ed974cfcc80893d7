"""The command line: ``main``, ``acting`` and ``emergency`` say what can be asked for, ``doing…`` does it."""

from aster_tui.cli.main import main

__all__ = ["main"]

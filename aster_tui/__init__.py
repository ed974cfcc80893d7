"""aster-tui: the terminal console of the person who runs AI trading agents on Aster."""

__version__ = "0.1.0"

"""``python -m aster_tui.cli``."""

from aster_tui.cli.main import main

main()

"""``python -m aster_tui`` is ``aster-tui``."""

from aster_tui.cli import main

if __name__ == "__main__":
    main(prog_name="aster-tui")

"""Exit codes, the same for every command."""

DONE, FAILED, USAGE, REFUSED, UNKNOWN, UNREACHABLE = 0, 1, 2, 3, 4, 5

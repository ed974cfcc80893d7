"""The engine on its own thread and loop: feeds, fleet state, sync and commands. Knows no screen."""

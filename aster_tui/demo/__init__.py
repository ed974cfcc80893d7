"""The demo: practice exchange, a MongoDB of its own and a decision maker, in one companion process."""

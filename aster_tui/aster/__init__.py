"""The exchange client: signing, nonces, REST, streams, wire models. Knows no agents, database or screens."""

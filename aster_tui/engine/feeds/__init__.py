"""What comes in: streams, prices and the database's changes, and the syncs between them."""

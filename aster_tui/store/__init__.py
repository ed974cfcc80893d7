"""The store interface, MongoDB behind it, and the local journal."""

"""The Textual console: panes, screens and actions over snapshots of the fleet."""

"""What opens above the panes: dialogs and detail screens."""

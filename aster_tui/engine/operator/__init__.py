"""What a person asks for: orders, modes, halts, close-all and drills, and who else is at a console."""

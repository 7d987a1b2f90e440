"""What a command reads from its line and shows in a terminal."""

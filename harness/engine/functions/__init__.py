"""What torch is asked for during a forward pass, computed for all members at once: one file per family of functions."""

"""One livestream and the task that owns it: start once, wait, decide, stop."""

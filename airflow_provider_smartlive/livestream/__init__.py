"""One livestream and the task that owns it: starting it once, waiting, deciding, stopping it."""

"""What the sandbox's MetaStudio does: rooms, jobs and their scripts, callbacks, faults, and where all of it is kept."""

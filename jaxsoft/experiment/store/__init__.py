"""What is stored: the run folder, its lock, manifest, starts and checkpoints, the log of results."""

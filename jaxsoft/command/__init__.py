"""Flags, the named experiments, signals and output of the command line."""

"""Labels that are learned: one subset, many at once, those of a run, what is kept."""

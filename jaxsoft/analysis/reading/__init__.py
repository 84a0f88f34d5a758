"""Run folders read back: the table of results, what else a run left."""

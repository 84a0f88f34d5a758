"""Reads results and never training code: arrays, statistics, laws, figures, the report."""

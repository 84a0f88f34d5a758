"""Distilled sets that others publish: how their files are laid out, what these do not say, and how a set is kept here."""

"""Which sets are compared, and in which cells."""

"""Who trains on machines that come and go: the waves of a sweep as tasks of a Ray cluster."""

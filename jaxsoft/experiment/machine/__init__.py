"""What it runs on: memory, processes, versions and devices."""

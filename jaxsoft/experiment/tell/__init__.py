"""What is said: progress, the plan in words, examples for the report."""

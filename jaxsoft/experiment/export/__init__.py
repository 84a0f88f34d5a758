"""What is taken from a run: one student's images and labels as files, read back and compared."""

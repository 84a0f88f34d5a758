"""What students read: which images, which label rows, put into banks."""

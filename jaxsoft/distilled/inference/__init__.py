"""What files do not say of a set: the space of its images, what its label rows are, the order of its classes."""

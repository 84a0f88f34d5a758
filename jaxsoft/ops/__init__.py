"""The one convolution, and the ways it is computed."""

"""The engine: the training loop and what a step is made of."""

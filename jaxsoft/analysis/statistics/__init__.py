"""The one rule of inference, the tidy table and its groups, laws and predictions, worth, variance, structure."""

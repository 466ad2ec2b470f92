"""Commands of training and models."""

"""A training run from data set to bundle."""

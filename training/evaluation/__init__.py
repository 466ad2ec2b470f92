"""Figures with confidence intervals, sanity checks and model comparison."""

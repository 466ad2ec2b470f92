"""The shipped demonstration model."""

"""Data sets: reading, checking, splitting and resampling."""

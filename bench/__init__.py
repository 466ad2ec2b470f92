"""Benchmarks of `make bench`; not part of the product."""

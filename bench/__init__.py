"""Measurements behind `make bench`; nothing here is part of the product."""

"""Phantoms: synthetic mammograms with known findings."""

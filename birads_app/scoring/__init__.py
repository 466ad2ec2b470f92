"""Prediction for a whole archive: its images are read by many processes, and nothing but the results is stored."""

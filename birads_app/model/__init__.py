"""Mammogram to prediction: bundles, engines, calibration, heat maps."""

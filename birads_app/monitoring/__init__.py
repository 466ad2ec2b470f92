"""Figures of all processes of the service, for Prometheus."""

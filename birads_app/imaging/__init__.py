"""Bytes of a file to a mammogram. No model, no database, no Flask."""

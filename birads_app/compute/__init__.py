"""Processes that read files for others: a damaged or hostile file costs its own process, not the server."""

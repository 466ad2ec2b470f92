"""Composition root: the web application with the training commands joined to its command line."""

from birads_app import create_app
from training.cli import register

app = create_app()
register(app)

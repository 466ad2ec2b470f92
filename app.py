"""Composition root: the web application with the training commands joined to its command line."""

from birads_app import create_app
from birads_app.practice_cli import export
from training.cli import dataset, register

app = create_app()
dataset.add_command(export)
register(app)

"""Composition root: the web application with the training commands joined to its command line."""

from birads_app import create_app
from birads_app.cli.practice_tables import export
from training.cli.commands import dataset, register

app = create_app()
dataset.add_command(export)
register(app)

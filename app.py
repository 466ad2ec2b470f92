"""Composition root: the web application with the training commands joined to its command line.

What is loaded here stays until the end. The garbage collector leaves it alone: starts, ends and collections take less
time.
"""

import gc

gc.disable()

from birads_app import create_app  # noqa: E402
from birads_app.cli.practice_tables import export  # noqa: E402
from training.cli.commands import dataset, register  # noqa: E402

app = create_app()
dataset.add_command(export)
register(app)

gc.enable()
gc.freeze()

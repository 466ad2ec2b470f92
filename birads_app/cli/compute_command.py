"""The command ``flask compute``."""

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from birads_app.cli.console_errors import one_line_errors
from birads_app.cli.stop_signal import StopSignal
from birads_app.compute import allocator
from birads_app.config import SettingsError
from birads_app.monitoring import instruments
from birads_app.records import derivation_queue, migrate
from birads_app.services import startup


def init_app(app: Flask) -> None:
    """Add the command to the application."""
    app.cli.add_command(compute)


@click.command("compute")
@with_appcontext
def compute() -> None:
    """Read the uploads of all web servers until stopped; run it on as many machines as needed."""
    from birads_app.api import compute_worker

    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    settings = app.extensions["birads_settings"]
    if settings.compute_tier != "queue":
        raise SettingsError("Set BIRADS_COMPUTE_TIER=queue, here and for the web servers.")
    with one_line_errors():
        if not migrate.can_serve():
            raise click.ClickException(
                "The database is not prepared. Run `flask db upgrade`, then start again."
            )
        startup.join()
    allocator.configure_serving()
    stop_signal = StopSignal()
    instruments.count_start("compute")
    startup.prepare_model(app)
    derivation_queue.of_app().start()
    click.echo(f"Reads uploads from the queue, {settings.uploads_at_once} at a time.")
    try:
        compute_worker.run(app, settings.uploads_at_once, stop_signal.wait)
    finally:
        derivation_queue.of_app().stop()

"""The commands ``flask db``."""

from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from birads_app.cli.console_errors import one_line_errors
from birads_app.records import database, migrate, shared_locks, table_copy
from birads_app.records.database import Database
from birads_app.records.sqlite_database import FILE_NAME, SqliteDatabase
from birads_app.setting_values import read_database_url

db_group = AppGroup("db", help="Manage the database.")


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(db_group)


@db_group.command("upgrade")
def upgrade() -> None:
    """Create the database, or migrate it to this version."""
    with one_line_errors():
        migrate.upgrade()


@db_group.command("revision")
@click.argument("message")
def revision(message: str) -> None:
    """Generate a migration from changes to the schema (for developers)."""
    with one_line_errors():
        migrate.revision(message)


@db_group.command("copy")
@click.option("--from", "source", metavar="URL", help="By default SQLite in the instance folder.")
@click.option("--to", "target", metavar="URL", help="By default the database of BIRADS_DATABASE_URL.")
def copy(source: str | None, target: str | None) -> None:
    """Copy all records into an empty database, all or nothing; stop the service first.

    A URL is postgresql://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///FILE.
    """
    read = SqliteDatabase(Path(current_app.instance_path, FILE_NAME)) if source is None else _opened(source)
    written = database.of_app() if target is None else _opened(target)
    with one_line_errors(), shared_locks.of_app().alone("serving.lock") as unused:
        if not unused:
            raise click.ClickException("The service is running. Stop it before its records are copied.")
        rows = table_copy.copy(read, written, lambda line: click.echo(line, err=True))
    click.echo(
        f"Copied {rows:,} rows from {read.name} to {written.name}. Check them with `flask audit verify`."
    )


def _opened(address: str) -> Database:
    """Return the database of a URL."""
    try:
        url = make_url(address)
        if url.drivername == "sqlite" and url.database:
            return SqliteDatabase(Path(url.database).absolute())
        return database.open_server(read_database_url(address))
    except (ArgumentError, ValueError):
        raise click.ClickException(
            "A database has to be given as postgresql://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:///FILE."
        ) from None

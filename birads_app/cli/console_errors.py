"""Errors of commands as one line on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import OperationalError

from birads_app.records import database, migrate
from birads_app.records.write_failures import Failure, reason_of
from birads_app.terms.errors import BiradsError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report an expected error as one line on stderr and exit status 1."""
    try:
        yield
    except BiradsError as error:
        raise click.ClickException(str(error)) from error
    except OperationalError as error:
        if reason_of(error) is Failure.UNREACHABLE:
            name = database.of_app().name
            raise click.ClickException(f"The database {name} cannot be reached: {error.orig}") from error
        if migrate.is_current():
            raise click.ClickException(f"The database cannot be used: {error.orig}") from error
        raise click.ClickException("The database is not prepared. Run `flask db upgrade`.") from error

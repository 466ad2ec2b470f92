"""Errors of commands as one line on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import OperationalError

from birads_app.records import migrate
from birads_app.terms.errors import BiradsError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report an expected error as one line on stderr and exit status 1."""
    try:
        yield
    except BiradsError as error:
        raise click.ClickException(str(error)) from error
    except OperationalError as error:
        if migrate.is_current():
            raise click.ClickException(f"The database cannot be used: {error.orig}") from error
        raise click.ClickException("The database is not prepared. Run `flask db upgrade`.") from error

"""Errors of commands as one line on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import OperationalError

from birads_app.services.service_errors import in_one_line
from birads_app.terms.errors import BiradsError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report an expected error as one line on stderr and exit status 1."""
    try:
        yield
    except (BiradsError, OperationalError) as error:
        raise click.ClickException(in_one_line(error)) from error

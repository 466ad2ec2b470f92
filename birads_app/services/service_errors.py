"""Expected errors in one line, for commands and for the log of a start: what cannot be used, and why."""

from sqlalchemy.exc import OperationalError

from birads_app.records import database, migrate
from birads_app.records.errors import FilesUnavailable, SharedStateUnavailable
from birads_app.records.write_failures import Failure, reason_of, text_of
from birads_app.terms.errors import BiradsError


def in_one_line(error: BiradsError | OperationalError) -> str:
    """Return the error with the reason that a database, Redis or a store has given; none contains a password."""
    if isinstance(error, OperationalError):
        return _of_database(error)
    if isinstance(error, FilesUnavailable | SharedStateUnavailable) and error.__cause__ is not None:
        return f"{error} ({text_of(error.__cause__)})"
    return str(error)


def _of_database(error: OperationalError) -> str:
    reason = text_of(error.orig or error)
    if reason_of(error) is Failure.UNREACHABLE:
        return f"The database {database.of_app().name} cannot be reached: {reason}"
    if migrate.is_current():
        return f"The database cannot be used: {reason}"
    return "The database is not prepared. Run `flask db upgrade`."

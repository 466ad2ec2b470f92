"""Files that were not taken in: counted by reason, for a quality gate that refuses much wants looking at."""

from datetime import date

from sqlalchemy import func, select

from birads_app.records.database import session, writing
from birads_app.records.periods import within
from birads_app.records.schema import RefusedFile
from birads_app.terms.errors import InputError


def count(who: str, error: InputError) -> None:
    """Count a file that was refused; neither its name nor what it held is kept."""
    with writing() as current:
        current.add(RefusedFile(who=who, reason=type(error).__name__))


def by_reason(first: date | None = None, last: date | None = None) -> dict[str, int]:
    """Files refused in a period, by the name of the domain error, most frequent first."""
    count = func.count()
    query = (
        select(RefusedFile.reason, count)
        .where(*within(RefusedFile.at, first, last))
        .group_by(RefusedFile.reason)
    )
    return dict(session().execute(query.order_by(count.desc(), RefusedFile.reason)).all())

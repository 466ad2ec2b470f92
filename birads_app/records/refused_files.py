"""Statistics of refused files by reason: frequent refusals by the quality check need attention."""

from datetime import date

from sqlalchemy import func, select

from birads_app.monitoring import instruments
from birads_app.records.database import session, writing
from birads_app.records.periods import within
from birads_app.records.refused_file_table import RefusedFile
from birads_app.terms.errors import InputError


def count(who: str, error: InputError) -> None:
    """Count a refused file; neither its name nor its content is stored."""
    instruments.count_refusal(type(error).__name__)
    with writing() as current:
        current.add(RefusedFile(who=who, reason=type(error).__name__))


def by_reason(first: date | None = None, last: date | None = None) -> dict[str, int]:
    """Return the number of files refused in a period by name of the domain error, most frequent first."""
    count = func.count()
    query = (
        select(RefusedFile.reason, count)
        .where(*within(RefusedFile.at, first, last))
        .group_by(RefusedFile.reason)
    )
    return dict(session().execute(query.order_by(count.desc(), RefusedFile.reason)).all())

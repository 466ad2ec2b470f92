"""Studies that could not be fetched from the PACS, until a fetch succeeds."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from birads_app.records import audit_log, users
from birads_app.records.database import session, writing
from birads_app.records.fetch_table import FetchProblem
from birads_app.records.schema import now


def store(study_uid: str, reason: str) -> None:
    """Store why a study was not fetched, in place of an earlier reason.

    Parameters
    ----------
    study_uid : as exams are stored under
    reason : a message without anything about the patient
    """
    with writing() as current:
        current.merge(FetchProblem(study_uid=study_uid, at=now(), reason=reason))
        audit_log.add(current, users.NETWORK_NAME, "leave out study", study_uid, str(reason))


def clear(study_uid: str) -> None:
    """Forget a study that has been fetched."""
    with writing() as current:
        current.execute(delete(FetchProblem).where(FetchProblem.study_uid == study_uid))


def listing() -> Sequence[FetchProblem]:
    """Return all, newest first."""
    return session().scalars(select(FetchProblem).order_by(FetchProblem.at.desc())).all()

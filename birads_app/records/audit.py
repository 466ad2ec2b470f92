"""Who did what, when: a list that the database lets nobody change, and that holds no patient's data."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from birads_app.records.database import session, writing
from birads_app.records.models import AuditEntry


def add(current: Session, who: str, action: str, subject: str = "", detail: str = "") -> None:
    """Write an entry inside a transaction, so that it is kept exactly if the deed is.

    Parameters
    ----------
    who : name of the account
    action : such as ``store exam``
    subject : an exam's id or a patient's pseudonym, cut to 64 letters
    detail : the person's reason, cut to 500 letters
    """
    current.add(AuditEntry(who=who, action=action, subject=subject[:64], detail=detail[:500]))


def note(who: str, action: str, subject: str = "", detail: str = "") -> None:
    """Write an entry by itself; parameters as in :func:`add`."""
    with writing() as current:
        add(current, who, action, subject, detail)


def newest(limit: int = 100) -> Sequence[AuditEntry]:
    """The last entries, newest first."""
    return session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()

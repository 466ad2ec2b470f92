"""Bin of deleted exams: an exam is deleted with a reason, may be restored for a time, and is then erased.

A deleted exam is neither listed nor served nor sent, but the practice figures count its signed assessments. Erasing
removes images, identity and the text of reports for good. Of a signed exam, what the figures need remains: pseudonym,
categories, probabilities, readers and outcomes.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import delete, inspect, select
from sqlalchemy.orm import Session

from birads_app.records import audit_log, files, working_drafts
from birads_app.records.database import session, writing
from birads_app.records.deletion_table import Deletion
from birads_app.records.errors import KeptInBin, NotFound, ReasonMissing
from birads_app.records.schema import Assessment, Delivery, Exam, Removed, now
from birads_app.terms.messages import msg

log = logging.getLogger(__name__)

PER_PAGE = 50
# Name in the audit log for what is erased after its time: no account can have it.
AUTOMATIC = "bin (automatic)"
_AT_ONCE = 100
_REASON_MAX = 500


@dataclass(frozen=True)
class BinnedExam:
    """An exam in the bin, and the time until which it is kept there."""

    exam: Exam
    deletion: Deletion
    kept_until: datetime

    @property
    def due(self) -> bool:
        """True if its time is over."""
        return self.kept_until <= now()


def put(exam_id: str, who: str, reason: str) -> None:
    """Move an exam into the bin.

    Parameters
    ----------
    who : name of the account
    reason : recorded in the audit log, cut to 500 letters

    Raises
    ------
    ReasonMissing
        The reason is blank.
    NotFound
        There is no such exam, or it is deleted already.
    """
    reason = reason.strip()[:_REASON_MAX]
    if not reason:
        raise ReasonMissing(msg("deletion-reason-missing"))
    with writing() as current:
        exam = current.get(Exam, exam_id)
        if exam is None or exam.removed:
            raise NotFound(msg("exam-missing"))
        deletion = Deletion(exam_id=exam_id, who=who, reason=reason, status=exam.status)
        deletion.images, deletion.received_at = len(exam.images), exam.created_at
        current.add(deletion)
        exam.status, exam.viewer_id, exam.viewed_at = Removed.BINNED, None, None
        audit_log.add(current, who, "delete exam", exam_id, reason)
    log.info("Moved exam %s into the bin", exam_id)


def restore(exam_id: str, who: str) -> None:
    """Return an exam from the bin to its list; raise NotFound if it is not in the bin."""
    with writing() as current:
        exam, deletion = _binned(current, exam_id)
        exam.status = deletion.status
        current.delete(deletion)
        audit_log.add(current, who, "restore exam", exam_id)
    log.info("Restored exam %s from the bin", exam_id)


def erase(exam_id: str, who: str, *, at_once: bool = False) -> None:
    """Erase an exam of the bin for good.

    Parameters
    ----------
    at_once : before its time is over

    Raises
    ------
    NotFound
        The exam is not in the bin.
    KeptInBin
        Its time is not over, and ``at_once`` is False.
    """
    aside = None
    try:
        with writing() as current:
            exam, deletion = _binned(current, exam_id)
            kept_until = _kept_until(deletion)
            early = kept_until > now()
            if early and not at_once:
                raise KeptInBin(msg("exam-kept-in-bin", until=kept_until))
            aside = files.set_aside(exam)
            _strip(current, exam)
            deletion.erased_at = now()
            audit_log.add(current, who, "erase exam", exam_id, "before its time" if early else "")
    except BaseException:
        if aside is not None:
            aside.put_back()
        raise
    aside.remove()
    log.info("Erased exam %s", exam_id)


def erase_due(who: str = AUTOMATIC) -> int:
    """Erase the exams whose time in the bin is over; return their number."""
    erased = 0
    over = select(Exam.id).join(Deletion, Deletion.exam_id == Exam.id)
    over = over.where(Deletion.erased_at.is_(None), Deletion.at <= now() - _retention()).limit(_AT_ONCE)
    while ids := session().scalars(over).all():
        for exam_id in ids:
            with suppress(NotFound):  # restored or erased in the meantime
                erase(exam_id, who)
                erased += 1
    return erased


def get(exam_id: str) -> BinnedExam:
    """Return an exam of the bin; raise NotFound if it is not there."""
    exam, deletion = _binned(session(), exam_id)
    return BinnedExam(exam, deletion, _kept_until(deletion))


def listing(page: int = 1) -> Sequence[BinnedExam]:
    """Return a page of the bin, PER_PAGE exams, last deleted first; the first page is 1."""
    query = select(Deletion, Exam).join(Exam, Exam.id == Deletion.exam_id).where(Deletion.erased_at.is_(None))
    query = query.order_by(Deletion.at.desc(), Deletion.exam_id).limit(PER_PAGE).offset((page - 1) * PER_PAGE)
    found = session().execute(query.execution_options(populate_existing=True)).all()
    return [BinnedExam(exam, deletion, _kept_until(deletion)) for deletion, exam in found]


def _binned(current: Session, exam_id: str) -> tuple[Exam, Deletion]:
    """Return an exam of the bin with its deletion; raise NotFound."""
    deletion, exam = current.get(Deletion, exam_id), current.get(Exam, exam_id)
    if deletion is None or deletion.erased_at is not None or exam is None:
        raise NotFound(msg("exam-not-in-bin"))
    return exam, deletion


def _strip(current: Session, exam: Exam) -> None:
    """Remove an exam's rows; of a signed one, keep what the practice figures need."""
    if exam.assessor_id is None:
        current.delete(exam)
        return
    current.execute(delete(Delivery).where(Delivery.exam_id == exam.id))
    of_exam, columns = Assessment.exam_id == exam.id, inspect(Assessment).columns
    signed = current.execute(select(*columns).where(of_exam, Assessment.signed)).mappings().all()
    current.execute(delete(Assessment).where(of_exam))
    working_drafts.remove(current, exam.id)
    for row in signed:  # the database rejects a change of an assessment
        current.add(Assessment(**{**row, "findings": [], "text": "", "sections": {}}))
    exam.images, exam.identity, exam.study_uid = [], None, None
    exam.notes, exam.attention, exam.unused_objects, exam.objects_received = [], [], [], None
    exam.failure, exam.views, exam.status = "", "", Removed.ERASED


def _retention() -> timedelta:
    return timedelta(days=current_app.extensions["birads_settings"].bin_days)


def _kept_until(deletion: Deletion) -> datetime:
    return deletion.at + _retention()
